package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/dir"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/object"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/web"
)

// OpenOptions of Open.
type OpenOptions struct {
	Manifest manifest.Policy // zero: verify
	Web      web.Options     // for http and https; its Manifest is overridden by the one above
	Object   object.Options  // for s3
	Stdin    io.Reader       // what "-" means; nil: os.Stdin
	// Spool is the folder where big files are kept that come before the
	// descriptor of a stream; empty: the system's folder for temporary files.
	Spool string
}

// ErrNotAPackage: the name is none that a package can have. Commands exit with 2 on it.
var ErrNotAPackage = errors.New("names no package (app.ova, app.ovf, a folder, - or an http, https or s3 URL of one)")

// Open opens a package by the name that a user gives it: app.ova, app.ovf,
// folder/, "-" for an OVA on standard input, the http or https URL of an .ova or
// .ovf, or its s3://bucket/key. What can be read anywhere is an ovf.Opener; standard input, an
// archive compressed as a whole, and a server without Range are not.
func Open(ctx context.Context, arg string, opts OpenOptions) (ovf.Package, error) {
	scheme, _, hasScheme := strings.Cut(arg, "://")
	switch {
	case arg == "":
		return nil, fmt.Errorf("an empty name %w", ErrNotAPackage)
	case arg == "-":
		in := opts.Stdin
		if in == nil {
			in = struct{ io.Reader }{os.Stdin}
		}
		spool := opts.Spool
		if spool == "" {
			spool = os.TempDir()
		}
		return ova.Read(ctx, in, arg, ova.Options{Manifest: opts.Manifest, Spool: spool})
	case hasScheme && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")):
		opts.Web.Manifest = opts.Manifest
		return web.Open(ctx, arg, opts.Web)
	case object.Is(arg):
		if _, err := object.Parse(arg); err != nil {
			return nil, err // without looking for credentials first
		}
		store, err := object.Dial(opts.Object)
		if err != nil {
			return nil, err
		}
		return store.OpenPackage(ctx, arg, opts.Manifest)
	case hasScheme:
		return nil, fmt.Errorf("%s: scheme %s is not one of http, https, s3: %w", web.Redact(arg), scheme, ErrNotAPackage)
	}
	info, err := os.Stat(arg)
	if err != nil {
		return nil, err
	}
	if info.IsDir() || strings.EqualFold(path.Ext(arg), ".ovf") {
		return dir.Open(ctx, arg, dir.Options{Manifest: opts.Manifest})
	}
	return openArchive(ctx, arg, info, opts)
}

// openArchive opens an OVA: for random access when it is a plain file and not
// compressed as a whole.
func openArchive(ctx context.Context, name string, info os.FileInfo, opts OpenOptions) (ovf.Package, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	options := ova.Options{Manifest: opts.Manifest}
	var pkg ovf.Package
	if info.Mode().IsRegular() {
		pkg, err = ova.Open(ctx, f, info.Size(), name, options)
	}
	if !info.Mode().IsRegular() || errors.Is(err, ova.ErrCompressed) {
		pkg, err = ova.Read(ctx, f, name, options)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return pkg, nil
}

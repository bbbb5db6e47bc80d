// Package web opens packages on web servers: https://h/app.ova, and
// https://h/app.ovf with its files beside it (DSP0243 5.4).
//
// Where the server offers Range, a package is an ovf.Opener: looking at it
// costs its headers and its descriptor, and its files pass in one sequential
// download that resumes where a connection broke. Where it does not, an OVA is
// read in one pass. See package fetch for retries, redirects and credentials.
package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Options of Open.
type Options struct {
	Manifest manifest.Policy // zero: verify
	Fetch    fetch.Options
	Late     bool // as in members.Options
}

// Redact gives a URL for messages; see fetch.Redact.
func Redact(raw string) string { return fetch.Redact(raw) }

// Open opens the package at an http or https URL. Where the server offers
// Range, content decides: XML is a descriptor, anything else an OVA. Elsewhere a
// path that ends in .ovf is a descriptor's. The Package is named by the redacted URL.
func Open(ctx context.Context, rawURL string, opts Options) (ovf.Package, error) {
	u, err := url.Parse(rawURL)
	named := err == nil && strings.EqualFold(path.Ext(u.Path), ".ovf")
	f, err := fetch.Open(ctx, rawURL, opts.Fetch)
	if err != nil {
		// A stall or an ended context knows nothing of where it happened.
		if name := opts.Fetch.Name(rawURL); !strings.Contains(err.Error(), name) {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return nil, err
	}
	isXML := named
	if f.Ranges() {
		start := make([]byte, min(f.Size(), 512))
		n, err := f.At(ctx).ReadAt(start, 0)
		if err != nil && err != io.EOF {
			f.Close()
			return nil, err
		}
		// What is neither goes the way of its name, whose errors are the better ones.
		isXML = LooksXML(start[:n]) || named && !looksTar(start[:n])
	}
	if isXML {
		return openDescriptor(ctx, rawURL, f, opts)
	}
	return OpenFile(ctx, f, opts)
}

// LooksXML tells a descriptor by its first bytes, in any encoding that XML has
// a byte order mark for.
func LooksXML(start []byte) bool {
	start = bytes.ReplaceAll(start, []byte{0}, nil) // UTF-16
	for _, mark := range []string{"\xEF\xBB\xBF", "\xFF\xFE", "\xFE\xFF"} {
		start = bytes.TrimPrefix(start, []byte(mark))
	}
	return bytes.HasPrefix(bytes.TrimLeft(start, " \t\r\n"), []byte("<"))
}

func looksTar(start []byte) bool {
	return len(start) >= 262 && string(start[257:262]) == "ustar"
}

// OpenFile opens the OVA that a fetch.File is, and takes the file over: Close,
// or an error, closes it.
func OpenFile(ctx context.Context, f *fetch.File, opts Options) (ovf.Package, error) {
	options := ova.Options{Manifest: opts.Manifest, Late: opts.Late}
	if f.Ranges() {
		pkg, err := ova.Open(ctx, f, f.Size(), f.URL(), options)
		if err == nil {
			return pkg, nil
		}
		if !errors.Is(err, ova.ErrCompressed) {
			f.Close()
			return nil, err
		}
	}
	s := &sequential{f.Reader(ctx, 0, -1), f}
	pkg, err := ova.Read(ctx, s, f.URL(), options)
	if err != nil {
		s.Close()
		return nil, err
	}
	return pkg, nil
}

// sequential reads a file once, and closes it.
type sequential struct {
	*fetch.Reader
	f *fetch.File
}

var _ io.ReadCloser = (*sequential)(nil)

func (s *sequential) Close() error { return errors.Join(s.Reader.Close(), s.f.Close()) }

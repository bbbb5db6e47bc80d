package dir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/beside"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// WriterOptions of Create.
type WriterOptions struct {
	Descriptor string             // its file name, app.ovf; empty: after the folder's
	Algorithm  manifest.Algorithm // of the manifest; zero: sha256
	NoManifest bool
	Sign       func(manifest []byte) ([]byte, error) // makes the certificate file; nil: none
	// Into puts the files beside whatever else a folder that exists holds,
	// instead of replacing the folder as a whole.
	Into bool
	// Companions, when not nil, are stored in place of a manifest and a
	// certificate made here.
	Companions *Companions
}

// Companions are a manifest and its certificate, byte for byte; a nil
// Certificate leaves that out.
type Companions struct{ Manifest, Certificate []byte }

// Writer writes a package to a folder: to a temporary one beside it, which
// takes its name when all is there. A package that stood there before is
// replaced then, and restored when that fails; between the two renames there
// is a moment with neither.
type Writer struct {
	target string
	temp   string
	root   *os.Root
	opts   WriterOptions

	into    *placing // nil: the folder as a whole
	entries []manifest.Entry
	written map[string]bool
	open    *fileWriter
	err     error
	done    bool
}

var _ ovf.Writer = (*Writer)(nil)

// Create starts a package in the folder target. A target that exists must be
// a folder that holds one package and no other file, or nothing: anything else
// is ErrNotReplaced.
func Create(target string, opts WriterOptions) (*Writer, error) {
	target = filepath.Clean(target)
	if opts.Algorithm == "" {
		opts.Algorithm = manifest.SHA256
	}
	if !opts.Algorithm.Valid() {
		return nil, fmt.Errorf("%s: unknown digest algorithm %q", target, opts.Algorithm)
	}
	if opts.Descriptor == "" {
		opts.Descriptor = filepath.Base(target) + ".ovf"
	}
	if clean, err := ovf.CleanName(opts.Descriptor); err != nil || clean != path.Base(clean) || clean != opts.Descriptor {
		return nil, fmt.Errorf("%s: %q is not the file name of a descriptor", target, opts.Descriptor)
	}
	into, err := place(target, opts)
	if err == nil && into == nil {
		err = replaceable(target)
	}
	if err != nil {
		return nil, err
	}
	parent := filepath.Dir(target)
	if into != nil {
		parent = target
	}
	temp, err := beside.Folder(parent, opts.Descriptor)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(temp)
	if err != nil {
		os.Remove(temp)
		return nil, err
	}
	return &Writer{target: target, temp: temp, root: root, opts: opts, into: into, written: map[string]bool{}}, nil
}

// Create starts the next file.
func (w *Writer) Create(ctx context.Context, name string) (io.WriteCloser, error) {
	if w.err != nil {
		return nil, w.err
	}
	clean, err := ovf.CleanName(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", w.target, err)
	case w.open != nil:
		return nil, fmt.Errorf("%s: %s is still being written", w.target, w.open.name)
	case clean != name || w.written[name] || name == w.opts.Descriptor:
		return nil, fmt.Errorf("%s: %q is written twice, or is not a plain name", w.target, name)
	case w.into != nil:
		if err := w.into.check(name); err != nil {
			return nil, err
		}
	}
	f, err := w.create(name)
	if err != nil {
		return nil, err
	}
	w.written[name] = true
	holes := &holed{f: f}
	w.open = &fileWriter{w: w, ctx: ctx, name: name, f: f, holes: holes, buf: bufio.NewWriterSize(holes, 256<<10), h: w.opts.Algorithm.New()}
	return w.open, nil
}

func (w *Writer) create(name string) (*os.File, error) {
	if folder := path.Dir(name); folder != "." {
		if err := w.root.MkdirAll(folder, 0o777); err != nil {
			return nil, fmt.Errorf("%s: %w", w.target, err)
		}
	}
	f, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.target, err)
	}
	return f, nil
}

type fileWriter struct {
	w     *Writer
	ctx   context.Context
	name  string
	f     *os.File
	holes *holed
	buf   *bufio.Writer
	h     hash.Hash
}

func (f *fileWriter) Write(p []byte) (int, error) {
	if f.w.err == nil {
		f.w.err = f.ctx.Err()
	}
	if f.w.err != nil {
		return 0, f.w.err
	}
	n, err := manifest.Alongside(f.h, p, f.buf.Write)
	if err != nil {
		f.w.err = fmt.Errorf("%s: %s: %w", f.w.target, f.name, err)
	}
	return n, f.w.err
}

func (f *fileWriter) Close() error {
	if f.w.open != f {
		return nil
	}
	f.w.open = nil
	if f.w.err != nil {
		f.f.Close()
		return f.w.err
	}
	if err := errors.Join(f.buf.Flush(), f.holes.end(), f.f.Sync(), f.f.Close()); err != nil {
		f.w.err = fmt.Errorf("%s: %s: %w", f.w.target, f.name, err)
		return f.w.err
	}
	f.w.entries = append(f.w.entries, manifest.NewEntry(f.name, f.w.opts.Algorithm, f.h))
	return nil
}

// Finish writes descriptor, manifest and certificate, and gives the folder its name.
func (w *Writer) Finish(ctx context.Context, descriptor []byte) error {
	if w.done {
		return fmt.Errorf("%s: %w", w.target, os.ErrClosed)
	}
	if err := w.finish(ctx, descriptor); err != nil {
		return errors.Join(err, w.Abort())
	}
	w.done = true
	return nil
}

func (w *Writer) finish(ctx context.Context, descriptor []byte) error {
	switch {
	case w.err != nil:
		return w.err
	case ctx.Err() != nil:
		return ctx.Err()
	case w.open != nil:
		return fmt.Errorf("%s: %s is still being written", w.target, w.open.name)
	}
	if err := w.whole(w.opts.Descriptor, descriptor); err != nil {
		return err
	}
	mf, cert, err := w.companions(descriptor)
	if err != nil {
		return err
	}
	stem := strings.TrimSuffix(w.opts.Descriptor, path.Ext(w.opts.Descriptor))
	for _, c := range []struct {
		ext string
		b   []byte
	}{{".mf", mf}, {".cert", cert}} {
		if c.b != nil {
			if err := w.whole(stem+c.ext, c.b); err != nil {
				return err
			}
		}
	}
	w.root.Close()
	if w.into != nil {
		return w.into.appear(w.temp)
	}
	return w.appear()
}

// companions are manifest and certificate; nil where there is to be none.
func (w *Writer) companions(descriptor []byte) (mf, cert []byte, err error) {
	if c := w.opts.Companions; c != nil {
		return c.Manifest, c.Certificate, nil
	}
	if w.opts.NoManifest {
		return nil, nil, nil
	}
	mf = manifest.OfPackage(w.opts.Algorithm, w.opts.Descriptor, descriptor, w.entries)
	if w.opts.Sign != nil {
		cert, err = w.opts.Sign(mf)
	}
	return mf, cert, err
}

// whole writes a small file.
func (w *Writer) whole(name string, b []byte) error {
	f, err := w.create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: %s: %w", w.target, name, err)
	}
	return nil
}

// appear puts the new folder in the place of the old one.
func (w *Writer) appear() error {
	old := ""
	if _, err := os.Lstat(w.target); err == nil {
		old = w.temp + ".old"
		if err := os.Rename(w.target, old); err != nil {
			return err
		}
	}
	if err := os.Rename(w.temp, w.target); err != nil {
		if old != "" {
			err = errors.Join(err, os.Rename(old, w.target))
		}
		return err
	}
	w.done = true
	if d, err := os.Open(filepath.Dir(w.target)); err == nil {
		_ = d.Sync() // some file systems cannot
		d.Close()
	}
	if old != "" {
		return os.RemoveAll(old)
	}
	return nil
}

// Abort removes what was written; after Finish it does nothing.
func (w *Writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	if w.err == nil {
		w.err = os.ErrClosed
	}
	if w.open != nil {
		w.open.f.Close()
		w.open = nil
	}
	w.root.Close()
	return os.RemoveAll(w.temp)
}

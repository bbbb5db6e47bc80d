package object

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
)

// Create starts a package at s3://bucket/key.ova, at s3://bucket/key.ovf with
// its files beside it, or at s3://bucket/prefix/ under which it puts them.
// Where an upload of the same object was interrupted, what it stored is used.
// An archive replaces one that stood there in one step; of a descriptor with
// files, each object does, the descriptor last.
func (s *Store) Create(ctx context.Context, name string, o ova.WriterOptions) (ovf.Suspender, error) {
	l, err := Parse(name)
	if err != nil {
		return nil, err
	}
	switch {
	case hasExt(l.Key, ".ova"):
		u, err := s.Upload(ctx, l, UploadOptions{Size: -1})
		if err != nil {
			return nil, err
		}
		w, err := ova.NewWriter(l.String(), u, o)
		if err != nil {
			return nil, err
		}
		return w, nil
	case hasExt(l.Key, ".ovf"):
		o.Descriptor = path.Base(l.Key)
	case l.Key == "" || strings.HasSuffix(l.Key, "/"):
		if o.Descriptor == "" {
			return nil, fmt.Errorf("%s: the descriptor has no name", l)
		}
		l.Key += o.Descriptor
	default:
		return nil, fmt.Errorf("%s: %w: as a package its name ends in .ova, .ovf or /", l, ErrNotAnObject)
	}
	return s.createFolder(ctx, l, o)
}

// folderWriter writes a descriptor with its files beside it.
type folderWriter struct {
	store   *Store
	at      Location // of the descriptor
	opts    ova.WriterOptions
	ctx     context.Context
	entries []manifest.Entry
	uploads []*Upload
	written map[string]bool
	open    *fileWriter
	err     error
	done    bool
}

func (s *Store) createFolder(ctx context.Context, l Location, o ova.WriterOptions) (*folderWriter, error) {
	if o.Algorithm == "" {
		o.Algorithm = manifest.SHA256
	}
	if !o.Algorithm.Valid() {
		return nil, fmt.Errorf("%s: unknown digest algorithm %q", l, o.Algorithm)
	}
	if o.Certificate != nil && o.NoManifest {
		return nil, fmt.Errorf("%s: a certificate signs the manifest, and there is to be none", l)
	}
	return &folderWriter{store: s, at: l, opts: o, ctx: ctx, written: map[string]bool{}}, nil
}

// Create starts the next file.
func (w *folderWriter) Create(ctx context.Context, name string) (io.WriteCloser, error) {
	if w.err != nil {
		return nil, w.err
	}
	clean, err := ovf.CleanName(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", w.at, err)
	case w.open != nil:
		return nil, fmt.Errorf("%s: %s is still being written", w.at, w.open.name)
	case clean != name || w.written[name] || name == w.opts.Descriptor:
		return nil, fmt.Errorf("%s: %q is written twice, or is not a plain name", w.at, name)
	}
	u, err := w.store.Upload(w.ctx, w.at.beside(name), UploadOptions{Size: -1})
	if err != nil {
		w.err = err
		return nil, err
	}
	w.uploads = append(w.uploads, u)
	w.written[name] = true
	w.open = &fileWriter{w: w, ctx: ctx, u: u, name: name, h: w.opts.Algorithm.New()}
	return w.open, nil
}

type fileWriter struct {
	w    *folderWriter
	ctx  context.Context
	u    *Upload
	name string
	pos  int64
	h    hash.Hash
}

func (f *fileWriter) Write(p []byte) (int, error) {
	if f.w.err == nil {
		f.w.err = f.ctx.Err()
	}
	if f.w.err != nil {
		return 0, f.w.err
	}
	n, err := f.u.WriteAt(p, f.pos)
	f.h.Write(p[:n])
	f.pos += int64(n)
	f.w.err = err
	return n, err
}

// Close sends the rest. The object appears with the package, not before.
func (f *fileWriter) Close() error {
	if f.w.open != f {
		return nil
	}
	f.w.open = nil
	if f.w.err == nil {
		f.w.err = f.u.flush()
	}
	if f.w.err != nil {
		return f.w.err
	}
	f.w.entries = append(f.w.entries, manifest.NewEntry(f.name, f.w.opts.Algorithm, f.h))
	return nil
}

// Finish stores manifest and certificate, then makes every object appear, the
// descriptor last.
func (w *folderWriter) Finish(ctx context.Context, descriptor []byte) error {
	switch {
	case w.done:
		return fmt.Errorf("%s: %w", w.at, fs.ErrClosed)
	case w.err != nil:
		return w.err
	case w.open != nil:
		return fmt.Errorf("%s: %s is still being written", w.at, w.open.name)
	}
	stem := strings.TrimSuffix(w.opts.Descriptor, path.Ext(w.opts.Descriptor))
	mf, cert, err := w.companions(descriptor)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		ext string
		b   []byte
	}{{".mf", mf}, {".cert", cert}} {
		if c.b == nil {
			continue
		}
		if err := w.small(stem+c.ext, c.b); err != nil {
			return err
		}
	}
	if err := w.small(w.opts.Descriptor, descriptor); err != nil {
		return err
	}
	for _, u := range w.uploads {
		if err := u.Commit(ctx); err != nil {
			w.err = err
			return err
		}
	}
	w.done = true
	return nil
}

// companions are manifest and certificate; nil where there is to be none.
func (w *folderWriter) companions(descriptor []byte) (mf, cert []byte, err error) {
	if c := w.opts.Companions; c != nil {
		return c.Manifest, c.Certificate, nil
	}
	if w.opts.NoManifest {
		return nil, nil, nil
	}
	mf = manifest.OfPackage(w.opts.Algorithm, w.opts.Descriptor, descriptor, w.entries)
	if c := w.opts.Certificate; c != nil {
		cert, err = c.Sign(mf)
	}
	return mf, cert, err
}

func (w *folderWriter) small(name string, b []byte) error {
	u, err := w.store.Upload(w.ctx, w.at.beside(name), UploadOptions{Size: int64(len(b))})
	if err != nil {
		return err
	}
	w.uploads = append(w.uploads, u)
	if _, err := u.WriteAt(b, 0); err != nil {
		return err
	}
	return u.flush()
}

// Abort removes what was stored and has not appeared; after Finish it does nothing.
func (w *folderWriter) Abort() error { return w.endAll((*Upload).Abort) }

// Suspend keeps it for another attempt.
func (w *folderWriter) Suspend() error { return w.endAll((*Upload).Suspend) }

func (w *folderWriter) endAll(end func(*Upload) error) error {
	if w.done {
		return nil
	}
	w.done = true
	if w.err == nil {
		w.err = fs.ErrClosed
	}
	var errs []error
	for _, u := range w.uploads {
		errs = append(errs, end(u))
	}
	return errors.Join(errs...)
}

package ova

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// WriterOptions of Create.
type WriterOptions struct {
	Descriptor string // its file name, app.ovf; empty: after the archive's
	// DescriptorSize is how many bytes to reserve for the descriptor, whose
	// sizes and digests are known only at the end; blanks after </Envelope>
	// fill what is left.
	DescriptorSize int64
	// Files are the names that Create will be called with, in order: the
	// manifest's length is known from them.
	Files       []string
	Algorithm   manifest.Algorithm // zero: sha256
	NoManifest  bool
	Certificate *LayoutCertificate // nil: none
	ModTime     time.Time          // of every member; zero: 1970-01-01
}

// Writer writes an OVA to a file that can seek, in the order of DSP0243 5.3:
// descriptor, manifest, certificate, files. The first three are reserved and
// patched at the end, as is each file's header, so that files of unknown
// length are written straight to their place. The archive appears under its
// name when Finish returns, not before.
type Writer struct {
	target string
	f      *os.File
	opts   WriterOptions

	reserved []reservedFile // descriptor, manifest, certificate
	pos      int64
	entries  []manifest.Entry
	open     *memberWriter
	err      error
	done     bool
}

type reservedFile struct {
	name         string
	offset, size int64 // of the content
}

var _ ovf.Writer = (*Writer)(nil)

// Create starts an archive at target, in a temporary file of the same folder.
func Create(target string, opts WriterOptions) (*Writer, error) {
	if opts.Algorithm == "" {
		opts.Algorithm = manifest.SHA256
	}
	if !opts.Algorithm.Valid() {
		return nil, fmt.Errorf("%s: unknown digest algorithm %q", target, opts.Algorithm)
	}
	if opts.ModTime.IsZero() {
		opts.ModTime = epoch
	}
	if opts.Descriptor == "" {
		opts.Descriptor = strings.TrimSuffix(filepath.Base(target), filepath.Ext(target)) + ".ovf"
	}
	w := &Writer{target: target, opts: opts}
	base := strings.TrimSuffix(opts.Descriptor, path.Ext(opts.Descriptor))
	own := map[string]bool{opts.Descriptor: true, base + ".mf": !opts.NoManifest, base + ".cert": opts.Certificate != nil}
	for _, name := range opts.Files {
		clean, err := ovf.CleanName(name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", target, err)
		case clean != name || own[name]:
			return nil, fmt.Errorf("%s: %q is in the archive twice, or is not a plain name", target, name)
		}
		own[name] = true
	}
	f, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".part-*")
	if err != nil {
		return nil, err
	}
	w.f = f
	if err := errors.Join(f.Chmod(0o644), w.reserve(base)); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// reserve writes the headers of what is patched at the end.
func (w *Writer) reserve(base string) error {
	o := w.opts
	files := []reservedFile{{name: o.Descriptor, size: o.DescriptorSize}}
	if !o.NoManifest {
		files = append(files, reservedFile{name: base + ".mf", size: manifest.Size(o.Algorithm, append([]string{o.Descriptor}, o.Files...)...)})
		if o.Certificate != nil {
			files = append(files, reservedFile{name: base + ".cert", size: o.Certificate.Size})
		}
	}
	for _, r := range files {
		header, err := formatHeader(r.name, r.size, o.ModTime)
		if err != nil {
			return fmt.Errorf("%s: %w", w.target, err)
		}
		if err := w.writeAt(header, w.pos); err != nil {
			return err
		}
		r.offset = w.pos + int64(len(header))
		w.pos = r.offset + padded(r.size)
		w.reserved = append(w.reserved, r)
	}
	return nil
}

func (w *Writer) writeAt(p []byte, off int64) error {
	if _, err := w.f.WriteAt(p, off); err != nil {
		return fmt.Errorf("%s: at byte %d: %w", w.target, off, err)
	}
	return nil
}

// Create starts the next file, which must be the next of WriterOptions.Files.
func (w *Writer) Create(ctx context.Context, name string) (io.WriteCloser, error) {
	switch {
	case w.err != nil:
		return nil, w.err
	case w.open != nil:
		return nil, fmt.Errorf("%s: %s is still being written", w.target, w.open.name)
	case len(w.entries) == len(w.opts.Files) || w.opts.Files[len(w.entries)] != name:
		return nil, fmt.Errorf("%s: %q is not the next of the files announced", w.target, name)
	}
	// A header of a file over 8 GiB is as long as one of an empty file.
	header, err := formatHeader(name, 0, w.opts.ModTime)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.target, err)
	}
	w.open = &memberWriter{w: w, ctx: ctx, name: name, header: w.pos, start: w.pos + int64(len(header)), h: w.opts.Algorithm.New()}
	w.pos = w.open.start
	return w.open, nil
}

// memberWriter writes one file in place.
type memberWriter struct {
	w             *Writer
	ctx           context.Context
	name          string
	header, start int64
	h             hash.Hash
	closed        bool
}

func (m *memberWriter) Write(p []byte) (int, error) {
	w := m.w
	if w.err == nil {
		w.err = m.ctx.Err()
	}
	if w.err != nil {
		return 0, w.err
	}
	if m.closed {
		return 0, fmt.Errorf("%s: %s: %w", w.target, m.name, os.ErrClosed)
	}
	n, err := w.f.WriteAt(p, w.pos)
	m.h.Write(p[:n])
	w.pos += int64(n)
	if err != nil {
		w.err = fmt.Errorf("%s: %s: at byte %d: %w", w.target, m.name, w.pos-m.start, err)
	}
	return n, w.err
}

func (m *memberWriter) Close() error {
	w := m.w
	if m.closed {
		return nil
	}
	m.closed, w.open = true, nil
	if w.err != nil {
		return w.err
	}
	size := w.pos - m.start
	header, err := formatHeader(m.name, size, w.opts.ModTime)
	if err == nil {
		err = w.writeAt(header, m.header)
	}
	if err != nil {
		w.err = err
		return err
	}
	w.pos = m.start + padded(size)
	w.entries = append(w.entries, manifest.Entry{Name: m.name, Algorithm: w.opts.Algorithm, Digest: fmt.Sprintf("%x", m.h.Sum(nil))})
	return nil
}

// Finish patches descriptor, manifest and certificate, and gives the archive
// its name.
func (w *Writer) Finish(ctx context.Context, descriptor []byte) error {
	if w.done {
		return fmt.Errorf("%s: %w", w.target, os.ErrClosed)
	}
	err := w.finish(ctx, descriptor)
	if err != nil {
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
	case len(w.entries) < len(w.opts.Files):
		return fmt.Errorf("%s: %s was announced and not written", w.target, w.opts.Files[len(w.entries)])
	}
	d, err := padDescriptor(descriptor, w.opts.DescriptorSize)
	if err != nil {
		return fmt.Errorf("%s: %w", w.target, err)
	}
	contents := [][]byte{d}
	if !w.opts.NoManifest {
		h := w.opts.Algorithm.New()
		h.Write(d)
		entries := append([]manifest.Entry{{Name: w.opts.Descriptor, Algorithm: w.opts.Algorithm, Digest: fmt.Sprintf("%x", h.Sum(nil))}}, w.entries...)
		mf := manifest.Format(entries)
		contents = append(contents, mf)
		if w.opts.Certificate != nil {
			cert, err := signed(w.opts.Certificate, mf)
			if err != nil {
				return fmt.Errorf("%s: %w", w.target, err)
			}
			contents = append(contents, cert)
		}
	}
	for i, b := range contents {
		if err := w.writeAt(b, w.reserved[i].offset); err != nil {
			return err
		}
	}
	// The end mark is two blocks of zeros; what was skipped as padding reads as zeros too.
	if err := w.writeAt(bytes.Repeat([]byte{0}, endOfArchive), w.pos); err != nil {
		return err
	}
	return w.appear()
}

// appear makes the archive durable under its name.
func (w *Writer) appear() error {
	err := w.f.Sync()
	if err = errors.Join(err, w.f.Close()); err != nil {
		return err
	}
	if err := os.Rename(w.f.Name(), w.target); err != nil {
		return err
	}
	w.done = true
	return syncFolder(filepath.Dir(w.target))
}

func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync a folder, and say so in as many ways.
	_ = d.Sync()
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
	w.f.Close()
	return os.Remove(w.f.Name())
}

package ova

import (
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

// Sink is where a Writer puts an archive. Every byte of it is written once, in
// ascending order but for headers, and for what stands before the files, which
// are written when they are known.
type Sink interface {
	io.WriterAt
	// Commit makes the archive appear, complete, in place of one that was there.
	Commit(ctx context.Context) error
	// Abort removes what was written; after Commit it does nothing.
	Abort() error
}

// suspender is a Sink that can keep what was written for another attempt.
type suspender interface{ Suspend() error }

// Writer writes an OVA to where it can be written at any place, in the order
// of DSP0243 5.3: descriptor, manifest, certificate, files. Room for the first
// three and for each file's header is left and filled at the end, so that
// files of unknown length are written straight to their place. The archive
// appears under its name when Finish returns, not before.
type Writer struct {
	target string
	sink   Sink
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

var _ ovf.Suspender = (*Writer)(nil)

// Create starts an archive at target, in a temporary file of the same folder.
func Create(target string, opts WriterOptions) (*Writer, error) {
	sink, err := createFile(target)
	if err != nil {
		return nil, err
	}
	return NewWriter(target, sink, opts)
}

// NewWriter starts an archive that the user calls target in a sink, which it
// takes over: an error aborts it.
func NewWriter(target string, sink Sink, opts WriterOptions) (*Writer, error) {
	w := &Writer{target: target, sink: sink, opts: opts}
	if err := w.begin(); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

func (w *Writer) begin() error {
	opts, target := &w.opts, w.target
	if opts.Algorithm == "" {
		opts.Algorithm = manifest.SHA256
	}
	if !opts.Algorithm.Valid() {
		return fmt.Errorf("%s: unknown digest algorithm %q", target, opts.Algorithm)
	}
	if opts.ModTime.IsZero() {
		opts.ModTime = epoch
	}
	if opts.Descriptor == "" {
		opts.Descriptor = strings.TrimSuffix(filepath.Base(target), filepath.Ext(target)) + ".ovf"
	}
	base := strings.TrimSuffix(opts.Descriptor, path.Ext(opts.Descriptor))
	own := map[string]bool{opts.Descriptor: true, base + ".mf": !opts.NoManifest, base + ".cert": opts.Certificate != nil}
	for _, name := range opts.Files {
		clean, err := ovf.CleanName(name)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", target, err)
		case clean != name || own[name]:
			return fmt.Errorf("%s: %q is in the archive twice, or is not a plain name", target, name)
		}
		own[name] = true
	}
	return w.reserve(base)
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
	if _, err := w.sink.WriteAt(p, off); err != nil {
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
	n, err := w.sink.WriteAt(p, w.pos)
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
		err = errors.Join(w.writeAt(header, m.header), w.writeAt(make([]byte, padded(size)-size), w.pos))
	}
	if err != nil {
		w.err = err
		return err
	}
	w.pos = m.start + padded(size)
	w.entries = append(w.entries, manifest.Entry{Name: m.name, Algorithm: w.opts.Algorithm, Digest: fmt.Sprintf("%x", m.h.Sum(nil))})
	return nil
}

// Finish fills in descriptor, manifest and certificate, and gives the archive
// its name. After an error only Abort and Suspend are of use.
func (w *Writer) Finish(ctx context.Context, descriptor []byte) error {
	if w.done {
		return fmt.Errorf("%s: %w", w.target, os.ErrClosed)
	}
	if err := w.finish(ctx, descriptor); err != nil {
		if _, keeps := w.sink.(suspender); keeps {
			w.err = err
			return err
		}
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
		r := w.reserved[i]
		if err := errors.Join(w.writeAt(b, r.offset), w.writeAt(make([]byte, padded(r.size)-int64(len(b))), r.offset+int64(len(b)))); err != nil {
			return err
		}
	}
	if err := w.writeAt(make([]byte, endOfArchive), w.pos); err != nil {
		return err
	}
	return w.sink.Commit(ctx)
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
	return w.sink.Abort()
}

// Suspend is Abort, but for what the sink keeps for whoever writes the same
// archive again.
func (w *Writer) Suspend() error {
	sink, ok := w.sink.(suspender)
	if w.done || !ok {
		return w.Abort()
	}
	w.done = true
	if w.err == nil {
		w.err = os.ErrClosed
	}
	return sink.Suspend()
}

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
	// Files are the names that Create will be called with: the manifest's length
	// is known from them. With ManifestLast they need not be known.
	Files       []string
	Algorithm   manifest.Algorithm // zero: sha256
	NoManifest  bool
	Certificate *LayoutCertificate // nil: none
	// Companions, when not nil, are stored in place of a manifest and a
	// certificate made here.
	Companions *Companions
	// ManifestLast puts manifest and certificate behind the files, as 5.3
	// allows: for files whose names are known only when they come.
	ManifestLast bool
	ModTime      time.Time // of every member; zero: 1970-01-01
}

// Companions are a manifest and its certificate, byte for byte; a nil
// Certificate leaves that out.
type Companions struct{ Manifest, Certificate []byte }

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

	descriptor reservedFile
	beside     []reservedFile // manifest and certificate, where they come first
	left       map[string]bool
	written    map[string]bool
	pos        int64
	entries    []manifest.Entry
	open       *memberWriter
	err        error
	done       bool
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
	w.left, w.written = map[string]bool{}, map[string]bool{opts.Descriptor: true}
	for _, r := range w.companions() {
		w.written[r.name] = true
	}
	for _, name := range opts.Files {
		if err := w.announce(name); err != nil {
			return err
		}
	}
	return w.reserve()
}

// announce takes the name of a file that will come.
func (w *Writer) announce(name string) error {
	clean, err := ovf.CleanName(name)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", w.target, err)
	case clean != name || w.left[name] || w.written[name]:
		return fmt.Errorf("%s: %q is in the archive twice, or is not a plain name", w.target, name)
	}
	w.left[name] = true
	return nil
}

// companions are manifest and certificate with the sizes they will have; that
// of a manifest made here is that of one of opts.Files.
func (w *Writer) companions() []reservedFile {
	o := w.opts
	base := strings.TrimSuffix(o.Descriptor, path.Ext(o.Descriptor))
	mf, cert := reservedFile{name: base + ".mf"}, reservedFile{name: base + ".cert"}
	switch {
	case o.Companions != nil:
		mf.size, cert.size = int64(len(o.Companions.Manifest)), int64(len(o.Companions.Certificate))
		if o.Companions.Certificate == nil {
			return []reservedFile{mf}
		}
		return []reservedFile{mf, cert}
	case o.NoManifest:
		return nil
	}
	mf.size = manifest.Size(o.Algorithm, append([]string{o.Descriptor}, o.Files...)...)
	if o.Certificate == nil {
		return []reservedFile{mf}
	}
	cert.size = o.Certificate.Size
	return []reservedFile{mf, cert}
}

// reserve writes the headers of what is patched at the end.
func (w *Writer) reserve() error {
	var err error
	if w.descriptor, err = w.place(reservedFile{name: w.opts.Descriptor, size: w.opts.DescriptorSize}); err != nil || w.opts.ManifestLast {
		return err
	}
	for _, r := range w.companions() {
		if r, err = w.place(r); err != nil {
			return err
		}
		w.beside = append(w.beside, r)
	}
	return nil
}

// place writes the header of a file and leaves room for its content.
func (w *Writer) place(r reservedFile) (reservedFile, error) {
	header, err := formatHeader(r.name, r.size, w.opts.ModTime)
	if err != nil {
		return r, fmt.Errorf("%s: %w", w.target, err)
	}
	if err := w.writeAt(header, w.pos); err != nil {
		return r, err
	}
	r.offset = w.pos + int64(len(header))
	w.pos = r.offset + padded(r.size)
	return r, nil
}

// fill writes the content that room was left for, and what pads it.
func (w *Writer) fill(r reservedFile, content []byte) error {
	return w.writeAt(append(bytes.Clone(content), make([]byte, padded(r.size)-int64(len(content)))...), r.offset)
}

func (w *Writer) writeAt(p []byte, off int64) error {
	if _, err := w.sink.WriteAt(p, off); err != nil {
		return fmt.Errorf("%s: at byte %d: %w", w.target, off, err)
	}
	return nil
}

// Create starts the next file, which must be one of WriterOptions.Files, unless
// the manifest comes last.
func (w *Writer) Create(ctx context.Context, name string) (io.WriteCloser, error) {
	switch {
	case w.err != nil:
		return nil, w.err
	case w.open != nil:
		return nil, fmt.Errorf("%s: %s is still being written", w.target, w.open.name)
	case w.written[name]:
		return nil, fmt.Errorf("%s: %q is in the archive twice", w.target, name)
	case !w.left[name] && !w.opts.ManifestLast:
		return nil, fmt.Errorf("%s: %q is not one of the files announced", w.target, name)
	case !w.left[name]:
		if err := w.announce(name); err != nil {
			return nil, err
		}
	}
	// A header of a file over 8 GiB is as long as one of an empty file.
	header, err := formatHeader(name, 0, w.opts.ModTime)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.target, err)
	}
	delete(w.left, name)
	w.written[name] = true
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
	n, err := manifest.Alongside(m.h, p, func(p []byte) (int, error) { return w.sink.WriteAt(p, w.pos) })
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
	w.entries = append(w.entries, manifest.NewEntry(m.name, w.opts.Algorithm, m.h))
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
	}
	for _, name := range w.opts.Files {
		if w.left[name] {
			return fmt.Errorf("%s: %s was announced and not written", w.target, name)
		}
	}
	d, err := padDescriptor(descriptor, w.descriptor.size)
	if err != nil {
		return fmt.Errorf("%s: %w", w.target, err)
	}
	if err := w.fill(w.descriptor, d); err != nil {
		return err
	}
	contents, err := w.companionBytes(d)
	if err != nil {
		return fmt.Errorf("%s: %w", w.target, err)
	}
	if w.opts.ManifestLast {
		for i, r := range w.companions() {
			r.size = int64(len(contents[i]))
			if r, err = w.place(r); err != nil {
				return err
			}
			w.beside = append(w.beside, r)
		}
	}
	for i, b := range contents {
		if err := w.fill(w.beside[i], b); err != nil {
			return err
		}
	}
	if err := w.writeAt(make([]byte, endOfArchive), w.pos); err != nil {
		return err
	}
	return w.sink.Commit(ctx)
}

// companionBytes are manifest and certificate, for the descriptor as stored.
func (w *Writer) companionBytes(descriptor []byte) ([][]byte, error) {
	o := w.opts
	switch {
	case o.Companions != nil && o.Companions.Certificate != nil:
		return [][]byte{o.Companions.Manifest, o.Companions.Certificate}, nil
	case o.Companions != nil:
		return [][]byte{o.Companions.Manifest}, nil
	case o.NoManifest:
		return nil, nil
	}
	mf := manifest.OfPackage(o.Algorithm, o.Descriptor, descriptor, w.entries)
	if o.Certificate == nil {
		return [][]byte{mf}, nil
	}
	cert, err := signed(o.Certificate, mf)
	return [][]byte{mf, cert}, err
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

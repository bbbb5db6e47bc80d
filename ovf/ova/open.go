// Package ova reads and writes packages stored as one tar file (DSP0243 5.3).
//
// Reading takes what producers write: ustar, GNU (long names, base-256 sizes,
// sparse members), PAX, "./" prefixes, and gzip, xz, zstd or bzip2 around the
// whole. Links, devices, duplicate names and names that leave the package are
// refused by name. A file that can seek is indexed once, from headers only,
// whatever its size; a stream is read in one pass.
//
// Writing gives ustar, or GNU base-256 sizes for members over 8 GiB, never
// PAX, byte for byte the same for the same input.
package ova

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/members"
)

// Options of Open and Read.
type Options struct {
	Manifest manifest.Policy // zero: verify
	// Spool is a folder where Read keeps big files that come before the
	// descriptor, until Close; empty: they are ErrLateDescriptor.
	Spool string
	// Late is for Open, as in members.Options.
	Late bool
}

// ErrCompressed: the archive is compressed as a whole, so it cannot be opened
// for random access; Read it in sequence.
var ErrCompressed = errors.New("archive is compressed as a whole; it can be read in sequence only")

// Open indexes an OVA of size bytes that the user calls name. Only headers,
// descriptor, manifest and certificate are read. An archive that is cut is a
// *ovf.DescriptorError naming the member and both sizes. When r is an
// io.Closer, closing the Package closes it; an error from Open does not.
func Open(ctx context.Context, r io.ReaderAt, size int64, name string, opts Options) (ovf.Opener, error) {
	var start [blockSize]byte
	headers := r
	if c, ok := r.(ContextReaderAt); ok {
		headers = c.At(ctx)
	}
	n, err := headers.ReadAt(start[:min(size, blockSize)], 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := recognise(name, start[:n]); err != nil {
		return nil, err
	}
	a := &archive{name: name, r: r, size: size}
	if err := a.readIndex(ctx, headers); err != nil {
		return nil, err
	}
	if err := a.rebase(); err != nil {
		return nil, err
	}
	p, err := members.Open(ctx, name, uncloseable{a}, members.Options{Manifest: opts.Manifest, Late: opts.Late})
	if err != nil {
		return nil, err
	}
	return &opened{p, a}, nil
}

// opened is a Package that closes the archive's file.
type opened struct {
	*members.Package
	a *archive
}

// Version is that of the archive's bytes, where who gives them tells it.
func (o *opened) Version() string {
	if v, ok := o.a.r.(ovf.Identified); ok {
		return v.Version()
	}
	return ""
}

// Findings are those of the archive and of its files.
func (o *opened) Findings() []ovf.Finding { return slices.Concat(o.a.findings, o.Package.Findings()) }

func (o *opened) Close() error {
	err := o.Package.Close()
	if c, ok := o.a.r.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

// uncloseable keeps a failed Open from closing what its caller passed in.
type uncloseable struct{ *archive }

func (uncloseable) Close() error { return nil }

// archive is an indexed OVA.
type archive struct {
	name    string
	r       io.ReaderAt
	size    int64
	members []*member
	// findings are what was odd about it.
	findings []ovf.Finding
}

func (a *archive) readIndex(ctx context.Context, r io.ReaderAt) error {
	at := &seekableBlocks{r: r, size: a.size}
	s := newScanner(a.name, at)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := s.next()
		if err == io.EOF {
			a.findings = s.findings()
			return nil
		}
		if err != nil {
			return err
		}
		if m.link != "" {
			at.off = m.end()
			alias := *a.member(m.link)
			alias.name = m.name
			a.members = append(a.members, &alias)
			continue
		}
		if m.stored > a.size-m.offset {
			return &ovf.DescriptorError{Package: a.name, Object: m.name, Offset: m.offset, Clause: "5.3",
				Message: fmt.Sprintf("archive is cut: the file has %d bytes, %d of them are there (the archive has %d bytes)", m.stored, max(a.size-m.offset, 0), a.size)}
		}
		a.members = append(a.members, m)
		at.off = m.end()
	}
}

// member finds a file that the scanner has seen.
func (a *archive) member(name string) *member {
	i := slices.IndexFunc(a.members, func(m *member) bool { return m.name == name })
	return a.members[i]
}

// rebase names files from the folder of the descriptor, to which hrefs are
// relative (DSP0243 5.4): some archives are a folder as a whole.
func (a *archive) rebase() error {
	i := slices.IndexFunc(a.members, func(m *member) bool { return members.IsDescriptor(m.name) })
	if i < 0 || path.Dir(a.members[i].name) == "." {
		return nil
	}
	folder := path.Dir(a.members[i].name)
	seen := map[string]bool{}
	for _, m := range a.members {
		m.name = members.Within(folder, m.name)
		if seen[m.name] {
			return &ovf.DescriptorError{Package: a.name, Object: m.name, Offset: m.header, Clause: "5.3",
				Message: "is in the archive twice, in the folder of the descriptor and outside of it"}
		}
		seen[m.name] = true
	}
	return nil
}

// Members lists the files in the order of the archive.
func (a *archive) Members() []ovf.MemberInfo {
	out := make([]ovf.MemberInfo, len(a.members))
	for i, m := range a.members {
		out[i] = ovf.MemberInfo{Name: m.name, Size: m.size}
	}
	return out
}

// Open gives a window on the archive.
func (a *archive) Open(ctx context.Context, i int) (ovf.MemberFile, error) {
	r := a.r
	if c, ok := r.(ContextReaderAt); ok {
		r = c.At(ctx)
	}
	return a.members[i].window(r), nil
}

// ContextReaderAt is an archive behind a network: At gives its bytes as long
// as ctx lasts, Stream gives n bytes from off in sequence.
type ContextReaderAt interface {
	io.ReaderAt
	At(ctx context.Context) io.ReaderAt
	Stream(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// Aparter is an archive behind a network of which n bytes from off can be read
// in sequence beside others, each with requests of its own.
type Aparter interface {
	Apart(ctx context.Context, off, n int64) io.ReadCloser
}

// Stream reads a member in sequence.
func (a *archive) Stream(ctx context.Context, i int) (io.ReadCloser, error) {
	m := a.members[i]
	if c, ok := a.r.(ContextReaderAt); ok && !descriptive(m.name) {
		stored, err := c.Stream(ctx, m.offset, m.stored)
		if err != nil || m.sparse == nil {
			return stored, err
		}
		return struct {
			io.Reader
			io.Closer
		}{m.sparse.reader(stored), stored}, nil
	}
	w, err := a.Open(ctx, i)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.NewSectionReader(w, 0, w.Size())), nil
}

// StreamFrom reads a member from off on, in sequence.
func (a *archive) StreamFrom(ctx context.Context, i int, off int64) (io.ReadCloser, error) {
	m := a.members[i]
	if c, ok := a.r.(Aparter); ok && m.sparse == nil && off <= m.stored {
		return c.Apart(ctx, m.offset+off, m.stored-off), nil
	}
	w, err := a.Open(ctx, i)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.NewSectionReader(w, off, max(0, w.Size()-off))), nil
}

func (a *archive) Close() error { return nil }

// OnThisMachine is false where the archive is behind a network.
func (a *archive) OnThisMachine() bool {
	_, remote := a.r.(ContextReaderAt)
	return !remote
}

// descriptive says whether a file is one that is read apart from the pass.
func descriptive(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".ovf", ".mf", ".cert":
		return true
	}
	return false
}

// window is a member's content for random access.
type window struct {
	io.ReaderAt
	size int64
}

func (m *member) window(r io.ReaderAt) *window {
	stored := io.NewSectionReader(r, m.offset, m.stored)
	if m.sparse == nil {
		return &window{stored, m.size}
	}
	return &window{sparseAt{m.sparse, stored}, m.size}
}

func (w *window) Size() int64  { return w.size }
func (w *window) Close() error { return nil }

type sparseAt struct {
	m *sparseMap
	r io.ReaderAt
}

func (s sparseAt) ReadAt(p []byte, off int64) (int, error) { return s.m.readAt(s.r, p, off) }

// seekableBlocks reads headers from where they lie.
type seekableBlocks struct {
	r         io.ReaderAt
	size, off int64
}

func (b *seekableBlocks) readFull(p []byte) error {
	n, err := b.r.ReadAt(p[:max(0, min(int64(len(p)), b.size-b.off))], b.off)
	b.off += int64(n)
	switch {
	case n == len(p):
		return nil
	case err != nil && err != io.EOF:
		return err
	case n == 0:
		return io.EOF
	}
	return io.ErrUnexpectedEOF
}

func (b *seekableBlocks) skip(n int64) error { b.off += n; return nil }
func (b *seekableBlocks) position() int64    { return b.off }

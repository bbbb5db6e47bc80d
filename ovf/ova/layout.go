package ova

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/members"
)

// LayoutSpec says what an archive will hold. The same spec gives the same
// archive, byte for byte.
type LayoutSpec struct {
	Name       string // in errors; what the user calls the package
	Descriptor string // its file name, app.ovf
	Envelope   []byte // its bytes; frozen
	Files      []LayoutFile
	Algorithm  manifest.Algorithm // of the manifest; zero: sha256
	NoManifest bool
	// Certificate, when not nil, signs the manifest.
	Certificate *LayoutCertificate
	// ModTime of every member; zero: 1970-01-01, so that nothing depends on the clock.
	ModTime time.Time
}

// LayoutFile is a file of the archive: Size bytes that Content gives, the same
// ones however often they are asked for. Digest, when known, is that of the
// content in lower-case hex.
type LayoutFile struct {
	Name    string
	Size    int64
	Content io.ReaderAt
	Digest  string
}

// LayoutCertificate makes the certificate file of a manifest, exactly Size
// bytes long when padded with line feeds.
type LayoutCertificate struct {
	Size int64
	Sign func(manifest []byte) ([]byte, error)
}

// LayoutMember says where a file lies in the archive, in bytes from its start.
type LayoutMember struct {
	Name   string
	Offset int64
	Size   int64
}

// Layout is an archive that is nowhere stored: every byte is made when asked
// for, its length is exact, and a range read twice is the same twice. So
// http.ServeContent over io.NewSectionReader(layout, 0, layout.Size()) serves
// it with Range and resume.
//
// Members are descriptor, files, then manifest and certificate last (DSP0243
// 5.3), whose digests are taken while files pass in ascending order; what did
// not pass so is read when the manifest itself is asked for. Methods may be
// called concurrently.
type Layout struct {
	spec     LayoutSpec
	size     int64
	sections []section
	members  []LayoutMember
	digests  []*fileDigest // of Files
	envelope string        // digest of the descriptor
}

// section is a run of the archive.
type section struct {
	offset, size int64
	read         func(ctx context.Context, p []byte, off int64) error // fills p, from off inside the section
}

// NewLayout lays an archive out.
func NewLayout(spec LayoutSpec) (*Layout, error) {
	if spec.Algorithm == "" {
		spec.Algorithm = manifest.SHA256
	}
	if !spec.Algorithm.Valid() {
		return nil, fmt.Errorf("%s: unknown digest algorithm %q", spec.Name, spec.Algorithm)
	}
	if spec.Certificate != nil && spec.NoManifest {
		return nil, fmt.Errorf("%s: a certificate signs the manifest, and there is to be none", spec.Name)
	}
	if spec.ModTime.IsZero() {
		spec.ModTime = epoch
	}
	base := strings.TrimSuffix(spec.Descriptor, path.Ext(spec.Descriptor))
	if !members.IsDescriptor(spec.Descriptor) || strings.Contains(base, "/") {
		return nil, fmt.Errorf("%s: %q is not the file name of a descriptor (.ovf)", spec.Name, spec.Descriptor)
	}
	l := &Layout{spec: spec}
	h := spec.Algorithm.New()
	h.Write(spec.Envelope)
	l.envelope = fmt.Sprintf("%x", h.Sum(nil))

	names := map[string]bool{}
	names[base+".mf"], names[base+".cert"] = !spec.NoManifest, spec.Certificate != nil
	if err := l.member(names, spec.Descriptor, int64(len(spec.Envelope)), fromBytes(spec.Envelope)); err != nil {
		return nil, err
	}
	listed := []string{spec.Descriptor}
	for i, f := range spec.Files {
		d := newFileDigest(f, spec.Algorithm)
		if f.Digest != "" {
			if err := d.set(f.Digest); err != nil {
				return nil, fmt.Errorf("%s: %w", spec.Name, err)
			}
		}
		l.digests = append(l.digests, d)
		listed = append(listed, f.Name)
		if err := l.member(names, f.Name, f.Size, l.readFile(i)); err != nil {
			return nil, err
		}
	}
	if !spec.NoManifest {
		delete(names, base+".mf")
		if err := l.member(names, base+".mf", manifest.Size(spec.Algorithm, listed...), l.readManifest); err != nil {
			return nil, err
		}
	}
	if spec.Certificate != nil {
		delete(names, base+".cert")
		if err := l.member(names, base+".cert", spec.Certificate.Size, l.readCertificate); err != nil {
			return nil, err
		}
	}
	l.section(endOfArchive, zeros)
	return l, nil
}

type readSection = func(ctx context.Context, p []byte, off int64) error

func (l *Layout) section(size int64, read readSection) {
	if size > 0 {
		l.sections = append(l.sections, section{l.size, size, read})
		l.size += size
	}
}

func (l *Layout) member(names map[string]bool, name string, size int64, read readSection) error {
	if clean, err := ovf.CleanName(name); err != nil {
		return fmt.Errorf("%s: %w", l.spec.Name, err)
	} else if clean != name || names[name] {
		return fmt.Errorf("%s: %q is in the archive twice, or is not a plain name", l.spec.Name, name)
	}
	names[name] = true
	header, err := formatHeader(name, size, l.spec.ModTime)
	if err != nil {
		return fmt.Errorf("%s: %w", l.spec.Name, err)
	}
	if size > maxBase256-l.size {
		return fmt.Errorf("%s: archive is too long", l.spec.Name)
	}
	l.section(int64(len(header)), fromBytes(header))
	l.members = append(l.members, LayoutMember{Name: name, Offset: l.size, Size: size})
	l.section(size, read)
	l.section(padded(size)-size, zeros)
	return nil
}

func fromBytes(b []byte) readSection {
	return func(_ context.Context, p []byte, off int64) error { copy(p, b[off:]); return nil }
}

func zeros(_ context.Context, p []byte, _ int64) error { clear(p); return nil }

// Size is the exact length of the archive in bytes.
func (l *Layout) Size() int64 { return l.size }

// Members lists the files in order, with their offsets.
func (l *Layout) Members() []LayoutMember { return append([]LayoutMember(nil), l.members...) }

// Descriptor is the file name of the descriptor.
func (l *Layout) Descriptor() string { return l.spec.Descriptor }

// Algorithm is that of the manifest and of Digests.
func (l *Layout) Algorithm() manifest.Algorithm { return l.spec.Algorithm }

// ReadAt reads the archive at any place; see io.ReaderAt.
func (l *Layout) ReadAt(p []byte, off int64) (int, error) {
	return l.readAt(context.Background(), p, off)
}

// At is the archive for readers that stop when ctx ends; it matters where
// reading the manifest has to digest files first.
func (l *Layout) At(ctx context.Context) io.ReaderAt { return layoutAt{ctx, l} }

type layoutAt struct {
	ctx context.Context
	l   *Layout
}

func (a layoutAt) ReadAt(p []byte, off int64) (int, error) { return a.l.readAt(a.ctx, p, off) }

func (l *Layout) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	i := sort.Search(len(l.sections), func(i int) bool { return l.sections[i].offset+l.sections[i].size > off })
	n := 0
	for n < len(p) {
		if i == len(l.sections) {
			return n, io.EOF
		}
		if err := ctx.Err(); err != nil {
			return n, err
		}
		s := l.sections[i]
		at := off + int64(n) - s.offset
		part := p[n:min(int64(len(p)), int64(n)+s.size-at)]
		if err := s.read(ctx, part, at); err != nil {
			return n, fmt.Errorf("%s: %w", l.spec.Name, err)
		}
		n += len(part)
		i++
	}
	return n, nil
}

// Stream writes the whole archive to w, which need not seek.
func (l *Layout) Stream(ctx context.Context, w io.Writer) error {
	// Bigger than what a disk format makes at once, and a multiple of blocks.
	buf := make([]byte, 1<<20)
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.NewSectionReader(l.At(ctx), 0, l.size)}, buf)
	return err
}

// readFile reads a file and digests it when it passes in order.
func (l *Layout) readFile(i int) readSection {
	return func(_ context.Context, p []byte, off int64) error {
		f := l.spec.Files[i]
		n, err := f.Content.ReadAt(p, off)
		if n < len(p) {
			if err == nil || err == io.EOF {
				return &ovf.DescriptorError{Package: l.spec.Name, Object: f.Name, Offset: off + int64(n), Message: fmt.Sprintf("content ends before its %d bytes", f.Size)}
			}
			return fmt.Errorf("%s: at byte %d: %w", f.Name, off+int64(n), err)
		}
		l.digests[i].passed(p, off)
		return nil
	}
}

func (l *Layout) readManifest(ctx context.Context, p []byte, off int64) error {
	b, err := l.Manifest(ctx)
	if err != nil {
		return err
	}
	copy(p, b[off:])
	return nil
}

func (l *Layout) readCertificate(ctx context.Context, p []byte, off int64) error {
	b, err := l.Manifest(ctx)
	if err != nil {
		return err
	}
	cert, err := signed(l.spec.Certificate, b)
	if err != nil {
		return err
	}
	copy(p, cert[off:])
	return nil
}

// signed makes the certificate file, padded to its size.
func signed(c *LayoutCertificate, mf []byte) ([]byte, error) {
	b, err := c.Sign(mf)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > c.Size {
		return nil, fmt.Errorf("certificate has %d bytes, %d were reserved", len(b), c.Size)
	}
	return append(bytes.Clone(b), bytes.Repeat([]byte{'\n'}, int(c.Size)-len(b))...), nil
}

// Manifest is the manifest's bytes. Files that have not passed in order are
// read to their ends for it. It is nil when there is to be none.
func (l *Layout) Manifest(ctx context.Context) ([]byte, error) {
	if l.spec.NoManifest {
		return nil, nil
	}
	entries := []manifest.Entry{{Name: l.spec.Descriptor, Algorithm: l.spec.Algorithm, Digest: l.envelope}}
	for i, d := range l.digests {
		sum, err := d.compute(ctx)
		if err != nil {
			return nil, err
		}
		entries = append(entries, manifest.Entry{Name: l.spec.Files[i].Name, Algorithm: l.spec.Algorithm, Digest: sum})
	}
	return manifest.Format(entries), nil
}

// Digests are those known so far, by file name, in hex: for a journal.
func (l *Layout) Digests() map[string]string {
	out := map[string]string{}
	for i, d := range l.digests {
		if sum := d.known(); sum != "" {
			out[l.spec.Files[i].Name] = sum
		}
	}
	return out
}

// SetDigests takes digests back that an earlier Layout of the same spec gave.
// One that differs from a digest taken here, or is of no file, is an error.
func (l *Layout) SetDigests(digests map[string]string) error {
	left := len(digests)
	for i, d := range l.digests {
		if sum, ok := digests[l.spec.Files[i].Name]; ok {
			left--
			if err := d.set(sum); err != nil {
				return fmt.Errorf("%s: %w", l.spec.Name, err)
			}
		}
	}
	if left > 0 {
		return fmt.Errorf("%s: %d digests are of files that the archive does not hold", l.spec.Name, left)
	}
	return nil
}

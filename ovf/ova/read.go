package ova

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/members"
)

// What Read keeps in memory of files that come before the descriptor.
const (
	maxEarlyFile = 8 << 20
	maxEarly     = 32 << 20
)

// ErrLateDescriptor: in a stream, a disk comes before the descriptor that
// would say what it is.
var ErrLateDescriptor = errors.New("the descriptor comes after it, and the source cannot seek; give the package as a file, or with the descriptor first")

// ErrHardLink: a file of a stream is a second name of one that has passed.
var ErrHardLink = errors.New("which has passed, and the source cannot seek; give the package as a file that is not compressed")

// Read reads an OVA, compressed or not, in sequence. It returns when the
// descriptor is known; small files before it are kept in memory, a big one is
// ErrLateDescriptor. The manifest may come after the descriptor or last. r is
// read only by Next and through Members, and closed by Close when it is an io.Closer.
func Read(ctx context.Context, r io.Reader, name string, opts Options) (ovf.Package, error) {
	watch := &watched{r: r}
	b := bufio.NewReaderSize(watch, 128<<10)
	start, err := b.Peek(blockSize)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s := &stream{name: name, src: r, checker: manifest.NewChecker(name, opts.Manifest), policy: opts.Manifest, spoolTo: opts.Spool}
	var in io.Reader = b
	if f := compression.Detect(start); f != compression.Identity {
		if s.inflate, err = compression.Reader(f, b); err != nil {
			return nil, &ovf.DescriptorError{Package: name, Offset: -1, Message: "compressed as " + string(f), Err: err}
		}
		inflated := bufio.NewReaderSize(&inflating{r: s.inflate, src: watch, pkg: name, format: f}, 128<<10)
		if start, err = inflated.Peek(blockSize); err != nil && err != io.EOF {
			s.inflate.Close()
			return nil, &ovf.DescriptorError{Package: name, Offset: -1, Message: "compressed as " + string(f), Err: err}
		}
		in = inflated
	}
	if err = recognise(name, start); err == nil {
		s.in = &streamBlocks{r: in}
		s.scan = newScanner(name, s.in)
		err = s.open(ctx)
	}
	if err != nil {
		s.dropSpooled()
		if s.inflate != nil {
			s.inflate.Close()
		}
		return nil, err
	}
	return s, nil
}

// stream is an OVA that passes once.
type stream struct {
	name    string
	src     io.Reader
	inflate io.ReadCloser
	in      *streamBlocks
	scan    *scanner
	checker *manifest.Checker
	policy  manifest.Policy

	folder                             string // of the descriptor, to which names are relative
	descriptor, manifestName, certName string
	env                                *ovf.Envelope
	manifest, cert, descriptorBytes    []byte
	findings                           []ovf.Finding
	further                            []string // other descriptors that have passed

	early   []earlyFile
	spoolTo string
	spooled []*os.File
	pending *member // header read, data not
	current *manifest.Reader
	begun   bool
	err     error
}

type earlyFile struct {
	m *member
	b []byte
	r io.Reader // in place of b, of a spooled file
}

var (
	_ ovf.Package  = (*stream)(nil)
	_ ovf.Reporter = (*stream)(nil)
)

// open reads up to the descriptor, and the manifest and certificate when they
// follow it.
func (s *stream) open(ctx context.Context) error {
	var kept int64
	var names []string
	for s.env == nil {
		m, err := s.header(ctx)
		if err == io.EOF {
			return members.NoDescriptor(s.name, names)
		}
		if err != nil {
			return err
		}
		names = append(names, m.name)
		if members.IsDescriptor(m.name) {
			if s.descriptorBytes, err = s.small(m); err != nil {
				return err
			}
			s.folder = path.Dir(m.name)
			s.descriptor = members.Within(s.folder, m.name)
			if s.env, err = members.ParseDescriptor(s.name, s.descriptor, s.descriptorBytes); err != nil {
				return s.unproved(ctx, err)
			}
			break
		}
		if big := m.size > maxEarlyFile || kept+m.size > maxEarly; big && s.spoolTo != "" {
			f, err := s.spool(m, s.spoolTo)
			if err != nil {
				return err
			}
			s.early = append(s.early, earlyFile{m: m, r: members.WithContext(ctx, f)})
			continue
		}
		if kept += m.size; m.size > maxEarlyFile || kept > maxEarly {
			return &ovf.DescriptorError{Package: s.name, Object: m.name, Offset: m.offset, Clause: "5.3",
				Message: fmt.Sprintf("file of %d bytes", m.size), Err: ErrLateDescriptor}
		}
		b, err := s.small(m)
		if err != nil {
			return err
		}
		s.early = append(s.early, earlyFile{m: m, b: b})
	}
	for _, f := range s.early {
		f.m.name = members.Within(s.folder, f.m.name)
	}
	s.early = s.takeCompanions(s.early)
	for {
		m, err := s.header(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if took, err := s.takeCompanion(m); err != nil {
			return err
		} else if !took {
			s.pending = m
			return nil
		}
	}
}

// unproved is the better explanation of a descriptor that cannot be read, where
// its manifest came before it or follows: that it has another digest.
func (s *stream) unproved(ctx context.Context, err error) error {
	name := members.ManifestOf(s.descriptor)
	for _, f := range s.early {
		if members.Within(s.folder, f.m.name) == name && f.r == nil {
			return members.Unproved(s.name, s.policy, s.descriptor, s.descriptorBytes, f.b, err)
		}
	}
	m, headerErr := s.header(ctx)
	if headerErr != nil || members.Within(s.folder, m.name) != name {
		return err
	}
	mf, readErr := s.small(m)
	if readErr != nil {
		return err
	}
	return members.Unproved(s.name, s.policy, s.descriptor, s.descriptorBytes, mf, err)
}

// takeCompanions finds manifest and certificate among files that came before
// the descriptor.
func (s *stream) takeCompanions(files []earlyFile) []earlyFile {
	var rest []earlyFile
	for _, f := range files {
		switch {
		case s.isCompanion(f.m.name, ".mf", s.manifestName):
			s.manifestName, s.manifest = f.m.name, f.b
		case s.isCompanion(f.m.name, ".cert", s.certName):
			s.certName, s.cert = f.m.name, f.b
		default:
			rest = append(rest, f)
		}
	}
	return rest
}

func (s *stream) isCompanion(name, ext, already string) bool {
	return already == "" && members.Companion(s.descriptor, ext, s.env, append([]string{name}, s.further...)) == name
}

// takeCompanion reads m when it is the manifest or the certificate.
func (s *stream) takeCompanion(m *member) (bool, error) {
	var err error
	switch {
	case s.isCompanion(m.name, ".mf", s.manifestName):
		s.manifestName = m.name
		s.manifest, err = s.small(m)
	case s.isCompanion(m.name, ".cert", s.certName):
		s.certName = m.name
		s.cert, err = s.small(m)
	default:
		return false, nil
	}
	if f, odd := members.OddlyNamed(s.descriptor, m.name); odd {
		s.findings = append(s.findings, f)
	}
	return true, err
}

// header moves to the next member.
func (s *stream) header(ctx context.Context) (*member, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.in.skip(s.in.left); err != nil {
		return nil, s.cut(err)
	}
	// Some writers leave out the padding of the last file.
	if err := s.in.skip(s.in.padding); err != nil && err != io.EOF {
		return nil, s.cut(err)
	}
	s.in.left, s.in.padding = 0, 0
	m, err := s.scan.next()
	if err != nil {
		return nil, err
	}
	if m.link != "" {
		return nil, &ovf.DescriptorError{Package: s.name, Object: m.name, Offset: m.offset, Clause: "5.3",
			Message: "is a link to " + m.link, Err: ErrHardLink}
	}
	if s.env != nil {
		m.name = members.Within(s.folder, m.name)
	}
	s.in.left, s.in.padding = m.stored, padded(m.stored)-m.stored
	return m, nil
}

func (s *stream) cut(err error) error {
	var unsound *ovf.DescriptorError
	if errors.As(err, &unsound) {
		return err
	}
	if err != io.ErrUnexpectedEOF && err != io.EOF {
		return fmt.Errorf("%s: at byte %d: %w", s.name, s.in.off, err)
	}
	return &ovf.DescriptorError{Package: s.name, Object: "archive", Offset: -1, Clause: "5.3",
		Message: fmt.Sprintf("archive is cut after %d bytes", s.in.off)}
}

// content is what m holds, in sequence.
func (s *stream) content(m *member) io.Reader {
	stored := &memberReader{s: s, m: m}
	if m.sparse != nil {
		return m.sparse.reader(stored)
	}
	return stored
}

// small reads a member into memory.
func (s *stream) small(m *member) ([]byte, error) {
	if m.size > MaxDescriptor {
		return nil, members.TooBig(s.name, m.name, m.size)
	}
	b, err := io.ReadAll(s.content(m))
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Name is what the user called the package.
func (s *stream) Name() string { return s.name }

// Descriptor is the name of the descriptor in the archive.
func (s *stream) Descriptor() string { return s.descriptor }

// Envelope is the parsed descriptor.
func (s *stream) Envelope() *ovf.Envelope { return s.env }

// Manifest is nil until the manifest has passed.
func (s *stream) Manifest() []byte { return s.manifest }

// Certificate is nil until the certificate has passed.
func (s *stream) Certificate() []byte { return s.cert }

// Findings are what was odd so far.
func (s *stream) Findings() []ovf.Finding {
	return slices.Concat(s.findings, s.scan.findings(), s.checker.Findings())
}

// Next gives the next file; see ovf.Package.
func (s *stream) Next(ctx context.Context) (*ovf.Member, error) {
	if s.current != nil {
		if err := s.current.Drain(); err != nil && s.err == nil {
			s.err = err
		}
		s.current = nil
	}
	if !s.begun {
		s.begun = true
		if err := s.begin(); err != nil {
			s.err = err // before a fault in the archive: a wrong digest is nearer the cause
		}
	}
	if s.err == nil {
		m, err := s.next(ctx)
		if err == nil {
			return m, nil
		}
		s.err = err
	}
	return nil, s.err
}

func (s *stream) begin() error {
	if s.manifestName != "" {
		if err := s.checker.SetManifest(s.manifestName, s.manifest); err != nil {
			return err
		}
	}
	return s.checker.Check(s.descriptor, s.descriptorBytes)
}

func (s *stream) next(ctx context.Context) (*ovf.Member, error) {
	if len(s.early) > 0 {
		f := s.early[0]
		s.early = s.early[1:]
		if f.r != nil {
			return s.give(f.m, f.r), nil
		}
		return s.give(f.m, bytes.NewReader(f.b)), nil
	}
	for {
		m, err := s.pending, error(nil)
		if s.pending = nil; m == nil {
			m, err = s.header(ctx)
		}
		if err == io.EOF {
			return nil, s.end()
		}
		if err != nil {
			return nil, err
		}
		had := s.manifestName
		took, err := s.takeCompanion(m)
		switch {
		case err != nil:
			return nil, err
		case !took:
			return s.give(m, members.WithContext(ctx, s.content(m))), nil
		case had == "" && s.manifestName != "":
			if err := s.checker.SetManifest(s.manifestName, s.manifest); err != nil {
				return nil, err
			}
		}
	}
}

func (s *stream) give(m *member, r io.Reader) *ovf.Member {
	if members.IsDescriptor(m.name) && !members.Referenced(s.env, m.name) {
		s.findings = append(s.findings, members.Further(s.descriptor, m.name))
		s.further = append(s.further, m.name)
	}
	s.current = s.checker.Reader(m.name, m.size, r)
	return &ovf.Member{Name: m.name, Size: m.size, Reader: s.current}
}

// end reads what follows the archive, so that a compressed stream's own
// checksum is checked, and answers io.EOF when all digests agree.
func (s *stream) end() error {
	if s.certName != "" && s.checker.Lists(s.certName) {
		if err := s.checker.Check(s.certName, s.cert); err != nil {
			return err
		}
	}
	if s.inflate != nil {
		if _, err := io.Copy(io.Discard, s.in.r); err != nil {
			return s.cut(err)
		}
	}
	if err := s.checker.Finish(); err != nil {
		return err
	}
	return io.EOF
}

// Close releases decompression and closes the source when it is an io.Closer.
func (s *stream) Close() error {
	s.dropSpooled()
	if s.inflate != nil {
		// What was wrong with the bytes was said when they were read.
		s.inflate.Close()
		s.inflate = nil
	}
	if c, ok := s.src.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// memberReader reads the stored bytes of the member at hand.
type memberReader struct {
	s *stream
	m *member
}

func (r *memberReader) Read(p []byte) (int, error) {
	b := r.s.in
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.off += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		if err = nil; b.left > 0 {
			err = &ovf.DescriptorError{Package: r.s.name, Object: r.m.name, Offset: r.m.offset, Clause: "5.3",
				Message: fmt.Sprintf("archive is cut: the file has %d bytes, %d of them came", r.m.stored, r.m.stored-b.left)}
		}
	}
	return n, err
}

// streamBlocks reads headers as they pass.
type streamBlocks struct {
	r       io.Reader
	off     int64
	left    int64 // unread bytes of the member at hand
	padding int64 // after them
}

func (b *streamBlocks) readFull(p []byte) error {
	n, err := io.ReadFull(b.r, p)
	b.off += int64(n)
	return err
}

func (b *streamBlocks) skip(n int64) error {
	m, err := io.CopyN(io.Discard, b.r, n)
	b.off += m
	return err
}

func (b *streamBlocks) position() int64 { return b.off }

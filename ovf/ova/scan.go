package ova

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// Limits on what an archive may hold. No package comes near them; without
// them a hostile archive costs memory at will.
const (
	MaxMembers       = 100_000
	MaxDescriptor    = 64 << 20 // bytes; also of a manifest and a certificate
	maxLongName      = 64 << 10
	maxPAX           = 1 << 20
	maxSpecialInARow = 32 // headers that only describe the next one
)

// member is a regular file of the archive, as its headers describe it.
type member struct {
	name   string // clean
	size   int64  // of the content
	header int64  // offset of the first of its headers
	offset int64  // of the stored data
	stored int64  // bytes of stored data
	sparse *sparseMap
	link   string // of a hard link: the file, before it, that it is another name of
}

// end is where the next header lies.
func (m *member) end() int64 { return m.offset + padded(m.stored) }

func padded(n int64) int64 { return (n + blockSize - 1) &^ (blockSize - 1) }

// blocks is the archive as the scanner sees it.
type blocks interface {
	// readFull fills p with the bytes at the current position and moves past
	// them. It answers io.EOF when there are none, io.ErrUnexpectedEOF when too few.
	readFull(p []byte) error
	// skip moves n bytes on.
	skip(n int64) error
	// position is in bytes from the start of the archive.
	position() int64
}

// scanner finds the members of an archive, one header after the other.
type scanner struct {
	pkg  string
	in   blocks
	seen map[string]bool
	err  error
	// unended: the archive was over before a whole end mark came.
	unended bool
}

func newScanner(pkg string, in blocks) *scanner {
	return &scanner{pkg: pkg, in: in, seen: map[string]bool{}}
}

// described collects what special headers say about the next member.
type described struct {
	name, link       string
	hasName, hasSize bool
	size             int64
	sparseMajor      string
	sparseMinor      string
	sparseName       string
	sparseSize       int64
	hasSparseSize    bool
	sparsePairs      []string
	hasSparse        bool
}

// next finds the next regular file and leaves the position at its stored
// data; io.EOF after the last. Directories are passed over. Anything else is a
// *ovf.DescriptorError that names the member; all errors stay.
func (s *scanner) next() (*member, error) {
	if s.err != nil {
		return nil, s.err
	}
	m, err := s.scan()
	s.err = err
	return m, err
}

func (s *scanner) scan() (*member, error) {
	var d described
	special := 0
	first := int64(-1)
	for {
		at := s.in.position()
		b, err := s.block()
		switch {
		case err == io.EOF && special == 0:
			s.unended = true // some writers leave the end mark out
			return nil, io.EOF
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			return nil, s.broken("archive", at, fmt.Sprintf("archive is cut inside a header, after %d bytes", s.in.position()), nil)
		case err != nil:
			return nil, err
		case b.zero():
			return nil, s.endMark(at, special)
		case !b.checksummed():
			return nil, s.broken("archive", at, "not a tar header (wrong checksum)", nil)
		}
		if first < 0 {
			first = at
		}
		size, err := b.size()
		if err != nil {
			return nil, s.broken(b.name(), at, "size of the member", err)
		}
		switch t := b.typeflag(); t {
		case 'x', 'L', 'K', 'g':
			if special++; special > maxSpecialInARow {
				return nil, s.broken("archive", at, fmt.Sprintf("more than %d extended headers in a row", maxSpecialInARow), nil)
			}
			if err := s.special(&d, t, size, at); err != nil {
				return nil, err
			}
		case 'V': // GNU volume label
			if err := s.in.skip(padded(size)); err != nil {
				return nil, err
			}
		default:
			m, err := s.member(b, &d, size, at)
			if err != nil {
				return nil, err
			}
			if m != nil {
				m.header = first
				return m, nil
			}
			d, special, first = described{}, 0, -1 // a directory
		}
	}
}

// RuleUnended is the id of the finding about an archive that does not say where it
// ends. All that it holds is whole, but nothing tells whether that is all.
const RuleUnended = "OVF-PKG-015"

// findings are what was odd about the archive as far as was scanned.
func (s *scanner) findings() []ovf.Finding {
	if !s.unended {
		return nil
	}
	return []ovf.Finding{{ID: RuleUnended, Severity: ovf.Warning, Object: "archive", Clause: "DSP0243 5.3",
		Message: "it ends without the two blocks of zeros that end an archive, so files that were cut off it are not missed", Hint: "compare its size with that of its source"}}
}

func (s *scanner) block() (*block, error) {
	var b block
	if err := s.in.readFull(b[:]); err != nil {
		return nil, err
	}
	return &b, nil
}

// endMark reads on after a block of zeros: a second one, or the end of the
// file, ends the archive.
func (s *scanner) endMark(at int64, special int) error {
	if special > 0 {
		return s.broken("archive", at, "archive ends after an extended header", nil)
	}
	switch b, err := s.block(); {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		s.unended = true
		return io.EOF
	case err != nil:
		return err
	case !b.zero():
		return s.broken("archive", at, "one block of zeros amid the members", nil)
	}
	return io.EOF
}

func (s *scanner) broken(object string, at int64, message string, err error) error {
	return &ovf.DescriptorError{Package: s.pkg, Object: object, Offset: at, Message: message, Clause: "5.3", Err: err}
}

// special reads a header that describes the next one.
func (s *scanner) special(d *described, t byte, size, at int64) error {
	limit := int64(maxLongName)
	if t == 'x' || t == 'g' {
		limit = maxPAX
	}
	if size > limit {
		return s.broken("archive", at, fmt.Sprintf("extended header of %d bytes, the limit is %d", size, limit), nil)
	}
	data := make([]byte, padded(size))
	if err := s.in.readFull(data); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return s.broken("archive", at, fmt.Sprintf("archive is cut inside an extended header, after %d bytes", s.in.position()), nil)
		}
		return err
	}
	data = data[:size]
	switch t {
	case 'L':
		d.name, d.hasName = cString(data), true
	case 'K':
		d.link = cString(data)
	case 'x':
		records, err := paxRecords(data)
		if err != nil {
			return s.broken("archive", at, "", err)
		}
		for _, r := range records {
			if err := d.pax(r[0], r[1]); err != nil {
				return s.broken("archive", at, "", err)
			}
		}
	}
	return nil
}

func (d *described) pax(key, value string) (err error) {
	number := func() int64 {
		n, e := strconv.ParseInt(value, 10, 64)
		if e != nil || n < 0 {
			err = fmt.Errorf("PAX %s: %q is not a size", key, shorten(value))
		}
		return n
	}
	switch key {
	case "path":
		d.name, d.hasName = value, value != ""
	case "linkpath":
		d.link = value
	case "size":
		d.size, d.hasSize = number(), true
	case "GNU.sparse.major":
		d.sparseMajor = value
	case "GNU.sparse.minor":
		d.sparseMinor = value
	case "GNU.sparse.name":
		d.sparseName = value
	case "GNU.sparse.size", "GNU.sparse.realsize":
		d.sparseSize, d.hasSparseSize = number(), true
	case "GNU.sparse.map":
		d.sparsePairs, d.hasSparse = []string{value}, true
	case "GNU.sparse.offset", "GNU.sparse.numbytes":
		if (key == "GNU.sparse.offset") != (len(d.sparsePairs)%2 == 0) || strings.Contains(value, ",") {
			return errors.New("PAX sparse map: offsets and lengths do not alternate")
		}
		d.sparsePairs, d.hasSparse = append(d.sparsePairs, value), true
	case "GNU.sparse.numblocks":
		d.hasSparse = true
	}
	return err
}

// sparseVersion is "." when nothing says it: format 0.0 and members that are not sparse.
func (d *described) sparseVersion() string { return d.sparseMajor + "." + d.sparseMinor }

// member makes sense of a header that is not special; nil for a directory.
func (s *scanner) member(b *block, d *described, size, at int64) (*member, error) {
	raw := b.name()
	if d.hasName {
		raw = d.name
	}
	if d.sparseName != "" {
		raw = d.sparseName
	}
	if d.hasSize {
		size = d.size
	}
	t := b.typeflag()
	if (t == 0 || t == '0' || t == '7' || t == 'S') && strings.HasSuffix(raw, "/") {
		if size > 0 {
			return nil, s.broken(raw, at, fmt.Sprintf("is a folder of %d bytes", size), nil)
		}
		t = '5' // as archives older than ustar write a directory
	}
	switch t {
	case 0, '0', '7', 'S':
	case '5':
		if c := strings.Trim(raw, "./"); c != "" {
			if _, err := ovf.CleanName(raw); err != nil {
				return nil, s.broken(raw, at, "", err)
			}
		}
		return nil, nil
	case '1':
		return s.hardLink(raw, linkOf(b, d), at)
	case '2':
		return nil, s.broken(raw, at, fmt.Sprintf("is a link (to %q); a package holds files only", shorten(linkOf(b, d))), ovf.ErrUnsafePath)
	case '3', '4', '6':
		return nil, s.broken(raw, at, "is a device or pipe; a package holds files only", ovf.ErrUnsafePath)
	default:
		return nil, s.broken(raw, at, fmt.Sprintf("has the tar type %q; a package holds files only", t), nil)
	}
	name, err := s.take(raw, at)
	if err != nil {
		return nil, err
	}
	m := &member{name: name, size: size, stored: size}
	if size > math.MaxInt64-2*blockSize-s.in.position() {
		return nil, s.broken(name, at, fmt.Sprintf("size %d is beyond all archives", size), nil)
	}
	if err := s.sparse(m, b, d, at); err != nil {
		return nil, err
	}
	m.offset = s.in.position()
	return m, nil
}

// take is the clean name of a file that is not in the archive yet.
func (s *scanner) take(raw string, at int64) (string, error) {
	name, err := ovf.CleanName(raw)
	if err != nil {
		return "", s.broken("", at, "", err)
	}
	if s.seen[name] {
		return "", s.broken(name, at, "is in the archive twice", nil)
	}
	if len(s.seen) == MaxMembers {
		return "", s.broken(name, at, fmt.Sprintf("more than %d files in the archive", MaxMembers), nil)
	}
	s.seen[name] = true
	return name, nil
}

func linkOf(b *block, d *described) string {
	if d.link != "" {
		return d.link
	}
	return cString(b[157:257])
}

// hardLink is a second name of a file that came before: tar writes it for
// files that share their bytes. A link to anything else leads out of the archive.
func (s *scanner) hardLink(raw, target string, at int64) (*member, error) {
	clean, err := ovf.CleanName(target)
	if err != nil || !s.seen[clean] {
		return nil, s.broken(raw, at, fmt.Sprintf("is a link to %q, which is no file before it", shorten(target)), ovf.ErrUnsafePath)
	}
	name, err := s.take(raw, at)
	if err != nil {
		return nil, err
	}
	return &member{name: name, link: clean, offset: s.in.position()}, nil
}

// sparse reads the map of a sparse member, in any of GNU's four forms.
func (s *scanner) sparse(m *member, b *block, d *described, at int64) error {
	var pairs []int64
	var err error
	realSize := d.sparseSize
	switch {
	case b.typeflag() == 'S':
		pairs, realSize, err = s.oldGNUSparse(b)
	case d.sparseVersion() == "1.0":
		if !d.hasSparseSize {
			return s.broken(m.name, at, "sparse member without its size", nil)
		}
		var length int64
		left := m.stored
		pairs, length, err = readSparse10(func() (*block, error) {
			if left -= blockSize; left < 0 {
				return nil, errors.New("sparse map is longer than the member")
			}
			return s.block()
		})
		m.stored -= length
	case d.sparseVersion() != "." && d.sparseVersion() != "0.0" && d.sparseVersion() != "0.1":
		return s.broken(m.name, at, fmt.Sprintf("sparse format %q is not known", shorten(d.sparseVersion())), nil)
	case d.hasSparse:
		if !d.hasSparseSize {
			return s.broken(m.name, at, "sparse member without its size", nil)
		}
		pairs, err = sparseList(strings.Join(d.sparsePairs, ","))
	default:
		return nil
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errors.New("archive is cut inside a sparse map")
	}
	if err == nil {
		m.sparse, err = newSparseMap(pairs, realSize, m.stored)
	}
	if err != nil {
		return s.broken(m.name, at, "", err)
	}
	m.size = realSize
	return nil
}

func (s *scanner) oldGNUSparse(b *block) (pairs []int64, realSize int64, err error) {
	if realSize, err = parseNumber(b[483:495]); err != nil {
		return nil, 0, fmt.Errorf("size of the sparse member %w", err)
	}
	if pairs, err = sparseFields(b[386:], 4); err != nil {
		return nil, 0, err
	}
	for extended := b[482] != 0; extended; {
		x, err := s.block()
		if err != nil {
			return nil, 0, err
		}
		more, err := sparseFields(x[:], 21)
		if err != nil {
			return nil, 0, err
		}
		if pairs = append(pairs, more...); len(pairs) > 2*maxRuns || len(more) == 0 {
			return nil, 0, errors.New("sparse map has too many or empty blocks")
		}
		extended = x[504] != 0
	}
	return pairs, realSize, nil
}

func shorten(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}

package vmdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// Spread is a disk whose content lies in other files than the descriptor that
// names them: monolithicFlat, twoGbMaxExtentFlat, twoGbMaxExtentSparse, the flat
// disks of VMFS, and custom ones of such extents. Methods may be called from
// several goroutines.
type Spread struct {
	variant  string
	encoding string // of the descriptor, as it says
	size     int64
	pieces   []piece
	opened   []io.Closer
}

var _ disk.Image = (*Spread)(nil)

// piece is one extent of the descriptor: a run of the disk and the image that
// holds it, nil for zeros.
type piece struct {
	at, n int64
	img   disk.Image
}

const (
	// maxDescriptorFile bounds a descriptor that is a file, in bytes.
	maxDescriptorFile = 1 << 20
	// maxPieces bounds the files that are open at a time.
	maxPieces = 1100
)

// spreadTypes are the createTypes read, in lower case.
var spreadTypes = map[string]string{
	"monolithicflat": "monolithicFlat", "twogbmaxextentflat": "twoGbMaxExtentFlat",
	"twogbmaxextentsparse": "twoGbMaxExtentSparse", "vmfs": "vmfs",
	"custom": "custom", "2gbmaxextentflat": "twoGbMaxExtentFlat", "2gbmaxextentsparse": "twoGbMaxExtentSparse",
}

// OpenSpread opens the disk that the descriptor of length bytes in r tells of;
// name is what errors call it. files opens what the descriptor names; without
// it the disk is disk.ErrUnsupported. Closing the image closes those files.
func OpenSpread(r io.ReaderAt, length int64, name string, files disk.Files) (_ *Spread, err error) {
	if length > maxDescriptorFile {
		return nil, corrupt(name, 0, "a descriptor of at most 1 MiB", fmt.Sprintf("%d bytes", length))
	}
	b := make([]byte, length)
	if err := disk.ReadFull(r, b, 0); err != nil {
		return nil, err
	}
	m := &Spread{}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	lines, err := m.parse(name, string(b))
	if err != nil {
		return nil, err
	}
	if files == nil {
		return nil, &disk.UnsupportedError{Name: name, Format: disk.VMDK, Feature: m.variant + ", whose content lies in other files: make one file of it first"}
	}
	for _, l := range lines {
		if l.sectors <= 0 || l.sectors > maxCapacity-m.size/sector {
			return nil, corrupt(name, -1, "extents of 64 TiB in all", fmt.Sprintf("one of %d sectors", l.sectors))
		}
		p := piece{at: m.size, n: l.sectors * sector}
		if l.kind != "ZERO" {
			if p.img, err = m.open(l, p.n, files); err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					return nil, corrupt(name, -1, fmt.Sprintf("the file %q beside it, which holds the content of an extent", l.file), "none")
				}
				return nil, fmt.Errorf("%s: extent %q: %w", name, l.file, err)
			}
		}
		m.pieces = append(m.pieces, p)
		m.size += p.n
	}
	return m, nil
}

// extentLine is a line of a descriptor: access, sectors, kind, file, offset.
type extentLine struct {
	sectors int64
	kind    string // SPARSE, FLAT, ZERO or VMFS
	file    string
	offset  int64 // of flat content in the file, in sectors
}

var (
	extentPattern = regexp.MustCompile(`^(RW|RDONLY|NOACCESS)\s+([0-9]{1,18})\s+(?:(ZERO)|([A-Z]+)\s+"([^"]+)"(?:\s+([0-9]{1,18}))?)(?:\s|$)`)
	// accessPattern is how a line of an extent begins, sound or not: one that is
	// passed over is content that is not there.
	accessPattern = regexp.MustCompile(`(?i)^(RW|RDONLY|NOACCESS)\s`)
)

func (m *Spread) parse(name, text string) ([]extentLine, error) {
	unsupported := func(feature string) error {
		return &disk.UnsupportedError{Name: name, Format: disk.VMDK, Feature: feature}
	}
	var lines []extentLine
	text, _, _ = strings.Cut(text, "\x00")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		e := extentPattern.FindStringSubmatch(line)
		if e == nil && accessPattern.MatchString(line) {
			return nil, corrupt(name, -1, `an extent: access, sectors, type, a "file" in quotes`, fmt.Sprintf("%.80q", line))
		}
		if e != nil {
			l := extentLine{kind: e[3] + e[4], file: e[5]}
			l.sectors, _ = strconv.ParseInt(e[2], 10, 64)
			l.offset, _ = strconv.ParseInt(e[6], 10, 64)
			switch l.kind {
			case "SPARSE", "FLAT", "ZERO", "VMFS":
			default:
				return nil, unsupported("extents of type " + l.kind)
			}
			if e[1] == "NOACCESS" {
				return nil, unsupported("an extent without access")
			}
			if lines = append(lines, l); len(lines) > maxPieces {
				return nil, unsupported(fmt.Sprintf("more than %d extent files", maxPieces))
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "parentcid":
			if !strings.EqualFold(value, "ffffffff") {
				return nil, unsupported("a delta link: the rest of the content is in a parent (parentCID " + value + ")")
			}
		case "createtype":
			if m.variant = spreadTypes[strings.ToLower(value)]; m.variant == "" {
				return nil, unsupported("createType " + value)
			}
		case "encoding":
			m.encoding = value
		}
	}
	switch {
	case m.variant == "":
		return nil, corrupt(name, 0, "a createType", "a descriptor without")
	case len(lines) == 0:
		return nil, corrupt(name, 0, "extents", "a descriptor without")
	}
	return lines, nil
}

// open opens the file of an extent of n bytes.
func (m *Spread) open(l extentLine, n int64, files disk.Files) (disk.Image, error) {
	f, err := m.find(l.file, files)
	if err != nil {
		return nil, err
	}
	m.opened = append(m.opened, f)
	if l.kind != "SPARSE" {
		at := l.offset * sector
		if l.offset > maxCapacity || at > f.Size-n {
			return nil, corrupt(l.file, f.Size, fmt.Sprintf("%d bytes from %d on", n, at), "the end of the file")
		}
		if at == 0 {
			return raw.New(f.ReaderAt, n), nil
		}
		return raw.New(io.NewSectionReader(f, at, n), n), nil
	}
	img, err := open(f, f.Size, l.file, nil, true)
	if err == nil && img.Size() != n {
		err = corrupt(l.file, 12, fmt.Sprintf("the %d sectors of its descriptor", n/sector), fmt.Sprint(img.Size()/sector))
	}
	return img, err
}

// find opens the file of an extent. Names in another encoding than UTF-8 are of
// the system that wrote them, and may have been translated since.
func (m *Spread) find(name string, files disk.Files) (disk.OpenedFile, error) {
	f, err := files(name)
	if !errors.Is(err, fs.ErrNotExist) || utf8.ValidString(name) {
		return f, err
	}
	encoding, unknown := htmlindex.Get(m.encoding)
	if unknown != nil || strings.EqualFold(m.encoding, "utf-8") {
		encoding = charmap.Windows1252
	}
	translated, bad := encoding.NewDecoder().String(name)
	if bad != nil {
		return f, err
	}
	return files(translated)
}

func (m *Spread) Size() int64 { return m.size }

func (m *Spread) Info() disk.Info {
	return disk.Info{Format: disk.VMDK, Variant: m.variant, Size: m.size, Allocated: -1}
}

// Close closes the files that the descriptor named.
func (m *Spread) Close() error {
	var errs []error
	for _, c := range m.opened {
		errs = append(errs, c.Close())
	}
	m.opened = nil
	return errors.Join(errs...)
}

func (m *Spread) ReadAt(p []byte, off int64) (int, error) {
	p, atEnd := disk.Within("vmdk", p, off, m.size)
	done := 0
	for _, e := range m.pieces {
		pos := off + int64(done)
		if pos < e.at || pos >= e.at+e.n || done == len(p) {
			continue
		}
		part := p[done:min(int64(len(p)), int64(done)+e.at+e.n-pos)]
		if e.img == nil {
			clear(part)
		} else if err := disk.ReadFull(e.img, part, pos-e.at); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, atEnd
}

// Extents are those of the files, one after the other.
func (m *Spread) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return disk.Merged(func(yield func(disk.Extent, error) bool) {
		if off < 0 || n < 0 || off > m.size-n {
			yield(disk.Extent{}, fmt.Errorf("vmdk: extents of %d bytes at %d: the disk has %d", n, off, m.size))
			return
		}
		for _, e := range m.pieces {
			from, to := max(off, e.at), min(off+n, e.at+e.n)
			if from >= to {
				continue
			}
			if e.img == nil {
				if !yield(disk.Extent{Offset: from, Length: to - from, Zero: true}, nil) {
					return
				}
				continue
			}
			for x, err := range e.img.Extents(ctx, from-e.at, to-from) {
				x.Offset += e.at
				if !yield(x, err) || err != nil {
					return
				}
			}
		}
	})
}

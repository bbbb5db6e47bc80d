package ova

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
)

// maxRuns bounds the map of a sparse member: 1 Mi runs are 16 MiB of memory
// and describe a disk with a hole every other block for half a gigabyte, more
// than any archiver makes of a disk image.
const maxRuns = 1 << 20

// run is a piece of a sparse member's content that is stored.
type run struct {
	offset, length int64 // in the content
	stored         int64 // where it lies, from the start of the stored data
}

// sparseMap says which parts of a member are stored; the rest reads as zeros.
type sparseMap struct {
	runs []run
	size int64 // of the content
}

// newSparseMap checks pairs of offset and length: ascending, inside size,
// together as long as what is stored.
func newSparseMap(pairs []int64, size, stored int64) (*sparseMap, error) {
	if len(pairs)%2 != 0 || len(pairs)/2 > maxRuns {
		return nil, fmt.Errorf("sparse map has %d numbers", len(pairs))
	}
	m := &sparseMap{size: size}
	var end, at int64
	for i := 0; i < len(pairs); i += 2 {
		offset, length := pairs[i], pairs[i+1]
		if offset < end || length < 0 || offset > size || length > size-offset {
			return nil, fmt.Errorf("sparse map: run at %d of %d bytes does not lie inside %d bytes after %d", offset, length, size, end)
		}
		end = offset + length
		if length > 0 {
			m.runs = append(m.runs, run{offset, length, at})
			at += length
		}
	}
	if at != stored {
		return nil, fmt.Errorf("sparse map covers %d bytes, %d are stored", at, stored)
	}
	return m, nil
}

// readAt fills p with content from off, reading stored bytes through r.
func (m *sparseMap) readAt(r io.ReaderAt, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off >= m.size {
		return 0, io.EOF
	}
	var atEnd error
	if int64(len(p)) > m.size-off {
		p, atEnd = p[:m.size-off], io.EOF
	}
	clear(p)
	i := sort.Search(len(m.runs), func(i int) bool { return m.runs[i].offset+m.runs[i].length > off })
	for ; i < len(m.runs) && m.runs[i].offset < off+int64(len(p)); i++ {
		x := m.runs[i]
		from := max(x.offset, off)
		to := min(x.offset+x.length, off+int64(len(p)))
		n, err := r.ReadAt(p[from-off:to-off], x.stored+from-x.offset)
		if int64(n) < to-from {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return int(from-off) + n, err
		}
	}
	return len(p), atEnd
}

// reader gives the content in sequence from stored bytes in sequence.
func (m *sparseMap) reader(stored io.Reader) io.Reader { return &sparseReader{m: m, r: stored} }

type sparseReader struct {
	m   *sparseMap
	r   io.Reader
	pos int64
	i   int
}

func (s *sparseReader) Read(p []byte) (int, error) {
	for s.i < len(s.m.runs) && s.pos == s.m.runs[s.i].offset+s.m.runs[s.i].length {
		s.i++
	}
	switch {
	case s.pos >= s.m.size:
		// The stored bytes end here too; asking makes a cut archive show.
		n, err := s.r.Read(make([]byte, 1))
		if n == 0 && err == nil {
			err = io.EOF
		}
		return 0, err
	case len(p) == 0:
		return 0, nil
	case s.i == len(s.m.runs) || s.pos < s.m.runs[s.i].offset:
		hole := s.m.size - s.pos
		if s.i < len(s.m.runs) {
			hole = s.m.runs[s.i].offset - s.pos
		}
		n := int(min(hole, int64(len(p))))
		clear(p[:n])
		s.pos += int64(n)
		return n, nil
	}
	x := s.m.runs[s.i]
	n, err := s.r.Read(p[:min(int64(len(p)), x.offset+x.length-s.pos)])
	s.pos += int64(n)
	if err == io.EOF {
		err = nil
		if n == 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// sparseFields are the numeric pairs of an old GNU sparse header or one of its
// continuation blocks: up to n pairs of 12-byte fields.
func sparseFields(b []byte, n int) ([]int64, error) {
	var pairs []int64
	for i := range n {
		f := b[i*24:]
		if f[0] == 0 {
			break
		}
		offset, err := parseNumber(f[:12])
		if err != nil {
			return nil, fmt.Errorf("sparse map: offset %w", err)
		}
		length, err := parseNumber(f[12:24])
		if err != nil {
			return nil, fmt.Errorf("sparse map: length %w", err)
		}
		pairs = append(pairs, offset, length)
	}
	return pairs, nil
}

// sparseList reads the comma-separated map of the PAX formats 0.0 and 0.1.
func sparseList(s string) ([]int64, error) {
	if s == "" {
		return nil, nil
	}
	if strings.Count(s, ",") >= 2*maxRuns {
		return nil, errors.New("sparse map is too long")
	}
	var pairs []int64
	for f := range strings.SplitSeq(s, ",") {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("sparse map: %q is not a size", f)
		}
		pairs = append(pairs, n)
	}
	return pairs, nil
}

// readSparse10 reads the map that the PAX format 1.0 puts before the data:
// decimal lines, padded to a block. It answers the pairs and the length of the map.
func readSparse10(next func() (*block, error)) (pairs []int64, length int64, err error) {
	var buf bytes.Buffer
	line := func() (int64, error) {
		for {
			if i := bytes.IndexByte(buf.Bytes(), '\n'); i >= 0 {
				s := string(buf.Next(i + 1)[:i])
				n, err := strconv.ParseInt(s, 10, 64)
				if err != nil || n < 0 {
					return 0, fmt.Errorf("sparse map: %q is not a size", s)
				}
				return n, nil
			}
			if buf.Len() > 32 {
				return 0, errors.New("sparse map: line too long")
			}
			b, err := next()
			if err != nil {
				return 0, err
			}
			length += blockSize
			buf.Write(b[:])
		}
	}
	count, err := line()
	if err != nil {
		return nil, 0, err
	}
	if count > maxRuns {
		return nil, 0, fmt.Errorf("sparse map has %d runs, the limit is %d", count, maxRuns)
	}
	for range 2 * count {
		n, err := line()
		if err != nil {
			return nil, 0, err
		}
		pairs = append(pairs, n)
	}
	return pairs, length, nil
}

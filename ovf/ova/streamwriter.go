package ova

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cimimove/cimimove/ovf"
)

// StreamWriter writes an archive of files that pass once and whose sizes are
// known, to a sink that cannot seek. Its bytes are those of a Layout of the
// same files. Where the files can be read again, a Layout is the better choice.
type StreamWriter struct {
	w        io.Writer
	modified time.Time
	names    map[string]bool
	left     int64 // of the file at hand
	padding  int64
	err      error
}

// NewStreamWriter writes to w; modified is the time of every member, zero: 1970-01-01.
func NewStreamWriter(w io.Writer, modified time.Time) *StreamWriter {
	if modified.IsZero() {
		modified = epoch
	}
	return &StreamWriter{w: w, modified: modified, names: map[string]bool{}}
}

// Create starts a file of size bytes, which are then written to the Writer it
// gives, all of them before the next Create or Close.
func (s *StreamWriter) Create(name string, size int64) (io.Writer, error) {
	if err := s.end(); err != nil {
		return nil, err
	}
	clean, err := ovf.CleanName(name)
	if err == nil && (clean != name || s.names[name]) {
		err = fmt.Errorf("%q is in the archive twice, or is not a plain name", name)
	}
	if err != nil {
		return nil, err
	}
	header, err := formatHeader(name, size, s.modified)
	if err != nil {
		return nil, err
	}
	s.names[name] = true
	if _, s.err = s.w.Write(header); s.err != nil {
		return nil, s.err
	}
	s.left, s.padding = size, padded(size)-size
	return streamFile{s, name}, nil
}

// end pads the file before.
func (s *StreamWriter) end() error {
	if s.err == nil && s.left > 0 {
		s.err = fmt.Errorf("a file of the archive lacks %d bytes", s.left)
	}
	if s.err == nil {
		_, s.err = s.w.Write(make([]byte, s.padding))
		s.padding = 0
	}
	return s.err
}

// Close ends the archive; it does not close the sink.
func (s *StreamWriter) Close() error {
	if err := s.end(); err != nil {
		return err
	}
	_, err := s.w.Write(make([]byte, endOfArchive))
	s.err = errors.Join(err, errors.New("archive is closed"))
	return err
}

type streamFile struct {
	s    *StreamWriter
	name string
}

func (f streamFile) Write(p []byte) (int, error) {
	s := f.s
	if s.err != nil {
		return 0, s.err
	}
	if int64(len(p)) > s.left {
		return 0, fmt.Errorf("%s: %d bytes more than its size", f.name, int64(len(p))-s.left)
	}
	n, err := s.w.Write(p)
	s.left -= int64(n)
	s.err = err
	return n, err
}

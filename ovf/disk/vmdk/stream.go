package vmdk

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
)

// maxPadding is how many zeros may follow the end of an image, in bytes.
const maxPadding = 64 << 10

// stream reads an image front to back and knows where it is. That the bytes
// end is corrupt; that reading them fails is the reader's own error.
type stream struct {
	r    *bufio.Reader
	name string
	off  int64
}

func newStream(r io.Reader, name string) *stream {
	return &stream{r: disk.NewBuffered(r, 256<<10), name: name}
}

// ended turns an end of file before n bytes for what into corruption.
func (s *stream) ended(err error, what string) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return &disk.CorruptError{Name: s.name, Format: disk.VMDK, Offset: s.off, Expected: what, Got: "the end of the image", Err: io.ErrUnexpectedEOF}
}

func (s *stream) read(p []byte, what string) error {
	n, err := io.ReadFull(s.r, p)
	s.off += int64(n)
	if err != nil {
		return s.ended(err, what)
	}
	return nil
}

// skipTo goes to byte offset off, which what is at; it cannot go back.
func (s *stream) skipTo(off int64, what string) error {
	if off < s.off {
		return &disk.UnsupportedError{Name: s.name, Format: disk.VMDK,
			Feature: fmt.Sprintf("%s at %d, before offset %d: not readable as a stream", what, off, s.off)}
	}
	for s.off < off {
		n, err := s.r.Discard(int(min(off-s.off, 1<<30)))
		s.off += int64(n)
		if err != nil {
			return s.ended(err, what)
		}
	}
	return nil
}

// finish reads to the end, which must come within maxPadding bytes of zeros.
func (s *stream) finish() error {
	start := s.off
	var b [sector]byte
	for {
		n, err := io.ReadFull(s.r, b[:])
		if !disk.IsZero(b[:n]) || s.off+int64(n)-start > maxPadding {
			return corrupt(s.name, s.off, "nothing after the end-of-stream marker", "more bytes")
		}
		s.off += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// drain reads to the end whatever is there.
func (s *stream) drain() error {
	n, err := io.Copy(io.Discard, s.r)
	s.off += n
	return err
}

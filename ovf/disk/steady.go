package disk

import (
	"bufio"
	"io"
)

// NewBuffered is r with a buffer of size bytes, r itself where it has one so
// large. An error of r's that comes with bytes, or that who peeks passes over,
// comes again with each later read: bufio tells it once, and a reader that goes
// on after one may say that it ends.
func NewBuffered(r io.Reader, size int) *bufio.Reader {
	if b, ok := r.(*bufio.Reader); ok && b.Size() >= size {
		return b
	}
	return bufio.NewReaderSize(&steady{r: r}, size)
}

type steady struct {
	r   io.Reader
	err error
}

func (s *steady) Read(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	n, s.err = s.r.Read(p)
	return n, s.err
}

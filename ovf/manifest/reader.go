package manifest

import (
	"errors"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf"
)

// Reader digests a stored file as it is read. End-of-file is shown only after
// size and digest matched; otherwise the error takes its place, and stays.
type Reader struct {
	c    *Checker
	name string
	size int64 // -1 when unknown
	read int64
	r    io.Reader
	file *running
	here bool  // the size is that of bytes at hand
	err  error // what every further Read answers

	resumed   bool // a part has passed before
	again     func(off int64) (io.ReadCloser, error)
	entrusted *entrusted
}

// AtHand says that the content has its size whether it is read or not, so that
// Drain need not read what no digest is known of.
func (r *Reader) AtHand() { r.here = r.size >= 0 }

// Reader wraps the content of a stored file of size bytes (-1 when only
// reading tells). Content that ends early or goes on is a
// *ovf.DescriptorError with both sizes, a wrong digest an *ovf.IntegrityError.
func (c *Checker) Reader(name string, size int64, r io.Reader) *Reader {
	return &Reader{c: c, name: name, size: size, r: r, file: c.start(name)}
}

func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.r.Read(p)
	if r.entrusted != nil {
		r.entrusted.passed.Write(p[:n])
	} else {
		r.file.Write(p[:n])
	}
	r.read += int64(n)
	switch {
	case r.size >= 0 && r.read > r.size:
		r.err = r.wrongSize("goes on after")
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		r.err = err
	case r.size >= 0 && r.read < r.size:
		r.err = r.wrongSize("ends before")
	default:
		r.end()
	}
	return n, r.err
}

// Drain reads what was left unread and gives the verdict: nil when size and
// digest match.
func (r *Reader) Drain() error {
	if r.entrusted != nil && (r.err == nil || r.err == io.EOF) {
		r.redeem()
	}
	if r.here && r.err == nil && !r.file.digested() {
		r.end()
	}
	if r.err == nil {
		buf := make([]byte, min(1<<20, max(r.size-r.read, 4<<10)))
		for r.err == nil {
			r.Read(buf) // keeps its error
		}
	}
	if r.err == io.EOF {
		return nil
	}
	return r.err
}

// end compares digests at the end of the content.
func (r *Reader) end() {
	r.err = io.EOF
	if r.entrusted != nil {
		return // which Attest or Drain compares
	}
	if mismatch := r.c.pass(r.name, r.file); mismatch != nil {
		r.err = mismatch
	}
}

func (r *Reader) wrongSize(how string) error {
	return &ovf.DescriptorError{Package: r.c.pkg, Object: r.name, Offset: -1,
		Message: fmt.Sprintf("content %s its %d bytes; %d bytes came", how, r.size, r.read)}
}

package files

import (
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
)

// join reads stored files one after the other.
type join struct {
	reader   io.Reader
	more     func() (io.Reader, error) // nil when there is one file only
	inflater *inflater
	err      error
}

func (j *join) Read(p []byte) (int, error) {
	for j.err == nil {
		n, err := j.reader.Read(p)
		if err == io.EOF {
			if j.more == nil {
				j.err = io.EOF
			} else {
				j.reader, j.err = j.more()
			}
			err = nil
		}
		if err != nil {
			j.err = err
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, j.err
}

// drain reads the rest of the stored bytes, so that digests are compared.
func (j *join) drain() error {
	if j.inflater != nil {
		j.inflater.close()
	}
	if last, ok := j.reader.(interface{ Drain() error }); ok && j.more == nil && (j.err == nil || j.err == io.EOF) {
		if j.err = last.Drain(); j.err == nil {
			j.err = io.EOF
			return nil
		}
		return j.err
	}
	return j.drainRest()
}

// inflater undoes compression. Behind a decode error it reads the stored bytes
// to their end, because a wrong digest is the better explanation; at the end of
// the content it does so too, so that what follows the compressed stream is proved.
type inflater struct {
	pkg, name string
	format    compression.Format
	stored    *join
	limit     int64 // -1: none
	read      int64
	r         io.ReadCloser
	err       error
}

func (f *inflater) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if f.r == nil {
		if f.r, f.err = compression.Reader(f.format, f.stored); f.err != nil {
			f.err = f.explain(f.err)
			return 0, f.err
		}
	}
	n, err := f.r.Read(p)
	f.read += int64(n)
	if f.limit >= 0 && f.read > f.limit {
		f.err = &ovf.DescriptorError{Package: f.pkg, Object: f.name, Offset: -1, Clause: "7.1",
			Message: fmt.Sprintf("content is longer than %d bytes", f.limit), Err: ErrTooLong}
		return max(0, n-int(f.read-f.limit)), f.err
	}
	switch {
	case err == nil:
	case err == io.EOF:
		if f.err = f.stored.drainRest(); f.err == nil {
			f.err = io.EOF
		}
	default:
		f.err = f.explain(err)
	}
	return n, f.err
}

func (j *join) drainRest() error {
	_, err := io.Copy(io.Discard, struct{ io.Reader }{j})
	return err
}

// explain prefers what is wrong with the stored bytes to what decoding them says.
func (f *inflater) explain(err error) error {
	if f.stored.err != nil && f.stored.err != io.EOF {
		return f.stored.err
	}
	if f.format == compression.Identity {
		return err
	}
	if stored := f.stored.drainRest(); stored != nil {
		return stored
	}
	return &ovf.DescriptorError{Package: f.pkg, Object: f.name, Offset: -1, Clause: "7.1",
		Message: fmt.Sprintf("not sound %s after %d bytes of content", f.format, f.read), Err: err}
}

func (f *inflater) close() {
	if f.r != nil {
		f.r.Close()
		f.r = nil
		if f.err == nil {
			f.err = io.ErrClosedPipe
		}
	}
}

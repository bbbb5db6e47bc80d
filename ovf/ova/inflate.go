package ova

import (
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
)

// inflating is a compressed archive as it is decompressed. What the source
// says of itself passes; what the decompression finds wrong with the bytes is a
// *ovf.DescriptorError; an early end stays io.ErrUnexpectedEOF, which who reads
// members explains better.
type inflating struct {
	r      io.Reader
	src    *watched
	pkg    string
	format compression.Format
	read   int64
}

func (i *inflating) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	i.read += int64(n)
	switch {
	case err == nil, err == io.EOF, err == io.ErrUnexpectedEOF:
		return n, err
	case i.src.err != nil:
		return n, i.src.err
	}
	return n, &ovf.DescriptorError{Package: i.pkg, Object: "archive", Offset: -1, Clause: "5.3",
		Message: fmt.Sprintf("not sound %s after %d bytes of content", i.format, i.read), Err: err}
}

// watched remembers why a source ended other than at its end.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

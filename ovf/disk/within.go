package disk

import (
	"fmt"
	"io"
)

// Within is the part of p that something of size bytes can fill from off, as
// io.ReaderAt wants it: with io.EOF where that is not all of p, which is to be
// returned once the part is filled. The part is empty with the error of an
// offset before the first byte; what names the reader in it.
func Within(what string, p []byte, off, size int64) ([]byte, error) {
	switch {
	case off < 0:
		return nil, fmt.Errorf("%s: read at negative offset %d", what, off)
	case off >= size:
		return nil, io.EOF
	case int64(len(p)) > size-off:
		return p[:size-off], io.EOF
	}
	return p, nil
}

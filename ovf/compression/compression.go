// Package compression undoes what is around a stored file: the gzip of
// ovf:compression (DSP0243 7.1), and the bzip2, xz and zstd that some
// producers use there or around a whole OVA. It reads only, and in bounded
// memory whatever the stream asks for.
package compression

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Format is a compression, spelled as ovf:compression does.
type Format string

// The formats that Reader undoes.
const (
	Identity Format = "identity"
	Gzip     Format = "gzip"
	Bzip2    Format = "bzip2"
	XZ       Format = "xz"
	Zstd     Format = "zstd"
)

// maxWindow is how far back a stream may refer: what xz -9 and zstd --ultra -22 need.
const maxWindow = 128 << 20

// ErrUnknown: the compression is none that Reader undoes.
var ErrUnknown = errors.New("unknown compression")

// Parse takes the value of ovf:compression; empty is identity.
func Parse(s string) (Format, error) {
	switch f := Format(strings.ToLower(strings.TrimSpace(s))); f {
	case "":
		return Identity, nil
	case Identity, Gzip, Bzip2, XZ, Zstd:
		return f, nil
	case "gz", "x-gzip":
		return Gzip, nil
	case "bz2":
		return Bzip2, nil
	case "zst":
		return Zstd, nil
	}
	return "", fmt.Errorf("%w %q (identity, gzip, bzip2, xz and zstd are known)", ErrUnknown, s)
}

// Detect tells a compression by the first bytes of a stream; Identity when
// they are those of none.
func Detect(start []byte) Format {
	for _, m := range []struct {
		magic  string
		format Format
	}{
		{"\x1f\x8b\x08", Gzip}, {"BZh", Bzip2}, {"\xfd7zXZ\x00", XZ}, {"\x28\xb5\x2f\xfd", Zstd},
	} {
		if bytes.HasPrefix(start, []byte(m.magic)) {
			return m.format
		}
	}
	return Identity
}

// Reader gives the content of a compressed stream; Close releases what it
// took, not r.
func Reader(f Format, r io.Reader) (io.ReadCloser, error) {
	switch f {
	case Identity, "":
		return io.NopCloser(r), nil
	case Gzip:
		return gzip.NewReader(r)
	case Bzip2:
		return io.NopCloser(bzip2.NewReader(r)), nil
	case XZ:
		return xzReader(r)
	case Zstd:
		d, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("%w %q", ErrUnknown, f)
}

// xzReader refuses a dictionary over maxWindow, which the decoder would
// otherwise take as asked: up to 4 GiB.
func xzReader(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	start, err := b.Peek(12 + 64)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if size, ok := xzDictionary(start); ok && size > maxWindow {
		return nil, fmt.Errorf("xz: dictionary of %d bytes, the limit is %d", size, maxWindow)
	}
	x, err := xz.NewReader(b)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(x), nil
}

// xzDictionary finds the LZMA2 dictionary size in the first block header.
func xzDictionary(b []byte) (int64, bool) {
	const streamHeader = 12
	if len(b) < streamHeader+2 || b[streamHeader] == 0 {
		return 0, false
	}
	flags := b[streamHeader+1]
	at := streamHeader + 2
	for _, present := range []bool{flags&0x40 != 0, flags&0x80 != 0} {
		for present && at < len(b) && b[at]&0x80 != 0 {
			at++
		}
		if present {
			at++
		}
	}
	for range int(flags&3) + 1 {
		if at+2 >= len(b) {
			return 0, false
		}
		id, length := b[at], int(b[at+1])
		if id == 0x21 && length == 1 {
			bits := b[at+2] & 0x3f
			if bits >= 40 {
				return 1 << 32, true
			}
			return int64(2|bits&1) << (bits/2 + 11), true
		}
		at += 2 + length
	}
	return 0, false
}

// Package compression undoes what is around a stored file: the gzip of
// ovf:compression (DSP0243 7.1), and the bzip2, xz and zstd that some
// producers use there or around a whole OVA, in bounded memory whatever the
// stream asks for. It writes gzip only, the one that the standard knows.
package compression

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
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
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err // not a nil *gzip.Reader in an interface
		}
		return z, nil
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

// Writer compresses what is written to it into w; Close ends the stream, not w.
// The same content gives the same bytes. level is 1 (fastest) to 9 (smallest),
// 0 the format's default. Identity and Gzip can be written, others are an
// ErrUnknown.
func Writer(f Format, w io.Writer, level int) (io.WriteCloser, error) {
	switch f {
	case Identity, "":
		return unclosed{w}, nil
	case Gzip:
		if level == 0 {
			level = gzip.DefaultCompression
		}
		return gzip.NewWriterLevel(w, level)
	}
	return nil, fmt.Errorf("writing: %w %q", ErrUnknown, f)
}

type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

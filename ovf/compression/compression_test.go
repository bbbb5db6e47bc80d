package compression

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const text = "what is inside\n"

func compressed(t *testing.T) map[Format][]byte {
	t.Helper()
	out := map[Format][]byte{}
	for f, open := range map[Format]func(io.Writer) (io.WriteCloser, error){
		Gzip: func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		XZ:   func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
		Zstd: func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	} {
		var b bytes.Buffer
		w, err := open(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		out[f] = b.Bytes()
	}
	// Made by bzip2 1.0.8 of the same text.
	b, err := hex.DecodeString(bzip2Text)
	if err != nil {
		t.Fatal(err)
	}
	out[Bzip2] = b
	return out
}

func TestReader(t *testing.T) {
	for f, b := range compressed(t) {
		if got := Detect(b); got != f {
			t.Errorf("%s is taken for %s", f, got)
		}
		r, err := Reader(f, bytes.NewReader(b))
		if err != nil {
			t.Fatal(f, err)
		}
		if got, err := io.ReadAll(r); string(got) != text || err != nil {
			t.Errorf("%s: %q, %v", f, got, err)
		}
		r.Close()
		for n := range b {
			if r, err = Reader(f, bytes.NewReader(b[:n])); err == nil {
				_, err = io.ReadAll(r)
				r.Close()
			}
			if err == nil && n > 0 {
				t.Errorf("%s cut at %d of %d is taken", f, n, len(b))
			}
		}
	}
	if Detect([]byte("KDMV")) != Identity || Detect(nil) != Identity {
		t.Error("a disk is taken for compressed")
	}
}

func TestParse(t *testing.T) {
	for s, want := range map[string]Format{"": Identity, "identity": Identity, "gzip": Gzip, "GZIP": Gzip, "gz": Gzip, "bzip2": Bzip2, "xz": XZ, "zstd": Zstd} {
		if got, err := Parse(s); got != want || err != nil {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
	if _, err := Parse("rar"); !errors.Is(err, ErrUnknown) {
		t.Errorf("error %v", err)
	}
}

// A stream that asks for 1 GiB of memory to be read is refused.
func TestXZDictionary(t *testing.T) {
	b := compressed(t)[XZ]
	const dictionary = 12 + 4 // of the LZMA2 filter in the first block header
	b[dictionary] = 36
	if _, err := Reader(XZ, bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), "1073741824") {
		t.Errorf("error %v", err)
	}
}

const bzip2Text = "425a683931415926535987c27a8700000751800010400026610c8020003100d34d0406869a03da4ab2c1925e2ee48a70a1210f84f50e"

// What is no compressed stream gives no reader to close, or one that fails.
func TestNotCompressed(t *testing.T) {
	for _, f := range []Format{Gzip, Bzip2, XZ, Zstd} {
		r, err := Reader(f, strings.NewReader("nothing of the kind, but longer than any header could be"))
		if err != nil {
			if r != nil {
				t.Errorf("%s: a reader and %v", f, err)
			}
			continue
		}
		if _, err := io.ReadAll(r); err == nil {
			t.Errorf("%s: plain text is read", f)
		}
		r.Close()
	}
}

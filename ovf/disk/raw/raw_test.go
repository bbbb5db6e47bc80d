package raw_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

func file(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestDecode: a stream becomes a sparse file of the same content, whose
// extents cover it.
func TestDecode(t *testing.T) {
	ctx := context.Background()
	for name, content := range disktest.Patterns() {
		t.Run(name, func(t *testing.T) {
			f := file(t)
			if _, err := f.WriteString("what was there before"); err != nil {
				t.Fatal(err)
			}
			size := int64(len(content))
			res, err := raw.Decode(ctx, bytes.NewReader(content), size, raw.NewSink(f), disk.DecodeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(f.Name())
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("the file holds other content (%v)", err)
			}
			img, err := raw.Open(f)
			if err != nil {
				t.Fatal(err)
			}
			want, err := disk.ContentDigest(ctx, img, size, nil)
			if err != nil || !res.HasDigest || res.Digest != want || res.StreamBytes != size {
				t.Errorf("%+v, digest of the file %v (%v)", res, want, err)
			}
			checkExtents(t, img, content, 0, size)
			if size > 5000 {
				checkExtents(t, img, content, 4097, size-5000)
			}
			var out bytes.Buffer
			enc, err := raw.Encode(ctx, img, &out, disk.EncodeOptions{})
			if err != nil || !bytes.Equal(out.Bytes(), content) || enc.Digest != want || enc.StreamBytes != size {
				t.Errorf("streams otherwise: %+v (%v)", enc, err)
			}
		})
	}
}

func checkExtents(t *testing.T, img disk.Image, content []byte, off, n int64) {
	t.Helper()
	at := off
	for e, err := range img.Extents(context.Background(), off, n) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Offset != at || e.Length <= 0 {
			t.Fatalf("extent %+v where %d is expected", e, at)
		}
		at += e.Length
		if e.Zero && !disk.IsZero(content[e.Offset:at]) {
			t.Errorf("extent %+v holds data", e)
		}
	}
	if at != off+n {
		t.Errorf("extents of %d bytes at %d end at %d", n, off, at)
	}
}

func TestHolesAreLeft(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("holes are asked for on Linux only")
	}
	content := make([]byte, 64<<20)
	content[33<<20] = 1
	f := file(t)
	if _, err := raw.Decode(context.Background(), bytes.NewReader(content), int64(len(content)), raw.NewSink(f), disk.DecodeOptions{}); err != nil {
		t.Fatal(err)
	}
	img, err := raw.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := disk.Allocated(context.Background(), img); err != nil || n > 64<<10 {
		t.Errorf("%d bytes allocated for one that is not zero (%v)", n, err)
	}
}

func TestDecodeSizeMismatch(t *testing.T) {
	content := make([]byte, 3<<20)
	for _, size := range []int64{0, 1, 3<<20 - 1, 3<<20 + 1, 9 << 20} {
		_, err := raw.Decode(context.Background(), bytes.NewReader(content), size, disktest.Discard{}, disk.DecodeOptions{Name: "disk.raw"})
		if !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("declared %d: %v", size, err)
		}
	}
	if _, err := raw.Decode(context.Background(), bytes.NewReader(content), -1, disktest.Discard{}, disk.DecodeOptions{}); err == nil {
		t.Error("no size declared, and taken")
	}
}

func TestReadAtEnds(t *testing.T) {
	img := raw.New(bytes.NewReader([]byte("0123456789")), 8)
	p := make([]byte, 4)
	for _, c := range []struct {
		off  int64
		want string
		err  error
	}{{0, "0123", nil}, {4, "4567", nil}, {6, "67", io.EOF}, {8, "", io.EOF}, {99, "", io.EOF}} {
		n, err := img.ReadAt(p, c.off)
		if string(p[:n]) != c.want || err != c.err {
			t.Errorf("at %d: %q, %v", c.off, p[:n], err)
		}
	}
}

func TestSinkRefusesBeyondTheSize(t *testing.T) {
	s := raw.NewSink(file(t))
	if err := s.Begin(disk.Info{Size: 1000}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteAt(make([]byte, 10), 991); err == nil {
		t.Error("a write beyond the size is taken")
	}
}

// TestContinueSink: a file that holds the first bytes of its disk keeps those;
// what lies behind them is cleared, whatever it was.
func TestContinueSink(t *testing.T) {
	for _, kept := range []int64{0, 100, 4096, 5000} {
		f := file(t)
		if _, err := f.Write(bytes.Repeat([]byte("x"), 4500)); err != nil {
			t.Fatal(err)
		}
		s := raw.ContinueSink(f, kept)
		if err := s.Begin(disk.Info{Size: 4600}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.WriteAt([]byte("yy"), 4598); err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 4600)
		copy(want[:min(kept, 4500)], bytes.Repeat([]byte("x"), 4500))
		copy(want[4598:], "yy")
		if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes kept: the file has other content (%v)", kept, err)
		}
	}
}

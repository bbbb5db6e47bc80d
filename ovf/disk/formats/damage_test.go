package formats_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// imageOf is content in the way k, written to a file.
func imageOf(t testing.TB, content []byte, k kept) []byte {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "image")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := formats.Convert(context.Background(), raw.New(bytes.NewReader(content), int64(len(content))), f, k.to, k.opts); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readAll(b []byte, k kept) ([]byte, error) {
	img, err := formats.Open(bytes.NewReader(b), int64(len(b)), formats.Source{Name: "disk", Declared: k.to})
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
}

// TestTruncatedAnywhere: of an image cut off anywhere either all the content
// can still be read or the image is corrupt; it never has zeros instead.
func TestTruncatedAnywhere(t *testing.T) {
	ovftest.Slow(t)
	content := disktest.Text(rand.New(rand.NewPCG(1, 9)), 70000)
	for name, k := range ways() {
		if k.to == disk.Raw {
			continue // its size is declared elsewhere
		}
		image := imageOf(t, content, k)
		for n := 0; n < len(image); n += 512 {
			got, err := readAll(image[:n], k)
			switch {
			case err == nil && bytes.Equal(got, disktest.Padded(content)):
			case errors.Is(err, disk.ErrCorrupt):
			case errors.Is(err, disk.ErrWrongFormat) && (n < 4096 || k.opts.Variant == "fixed" && k.to == disk.VHD):
			default:
				t.Fatalf("%s: the first %d bytes of %d: %v", name, n, len(image), err)
			}
		}
	}
}

// TestTruncatedStream: the same of an image that comes as a stream, and of a raw
// one whose size was declared.
func TestTruncatedStream(t *testing.T) {
	content := disktest.Text(rand.New(rand.NewPCG(1, 9)), 70000)
	for name, k := range ways() {
		image := imageOf(t, content, k)
		size, step := int64(-1), 512
		if k.to == disk.Raw {
			size = int64(len(content))
		}
		if k.to != disk.Raw && k.to != disk.VMDK {
			step = 512 * 61 // it is kept as a whole and read as TestTruncatedAnywhere does
		}
		for n := 0; n < len(image); n += step {
			var got disktest.Memory
			_, err := formats.Decode(context.Background(), bytes.NewReader(image[:n]), formats.Source{Declared: k.to, TempDir: t.TempDir()}, size, &got, disk.DecodeOptions{})
			switch {
			case err == nil && k.to != disk.Raw && bytes.Equal(got.Data, disktest.Padded(content)):
			case errors.Is(err, disk.ErrCorrupt):
			case errors.Is(err, disk.ErrWrongFormat) && k.to != disk.Raw && (n < 4096 || k.opts.Variant == "fixed" && k.to == disk.VHD):
			default:
				t.Fatalf("%s: the first %d bytes of %d: %v", name, n, len(image), err)
			}
		}
	}
}

// FuzzOpen: whatever the bytes, opening and reading ends without panic and
// what is read and the extents agree.
func FuzzOpen(f *testing.F) {
	content := disktest.Text(rand.New(rand.NewPCG(1, 10)), 5000)
	for _, k := range ways() {
		// VDI and VHDX, which are megabytes, have fuzz targets of their own.
		if image := imageOf(f, content, k); k.to != disk.Raw && len(image) < 512<<10 {
			f.Add(image)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		var img disk.Image
		var err error
		disktest.Bounded(t, disktest.Bound, func() { img, err = formats.Open(bytes.NewReader(b), int64(len(b)), formats.Source{}) })
		if err != nil {
			return
		}
		limit := min(img.Size(), 8<<20)
		at := int64(0)
		for e, err := range img.Extents(context.Background(), 0, limit) {
			if err != nil {
				return
			}
			if e.Offset != at || e.Length <= 0 {
				t.Fatalf("extent %+v at %d", e, at)
			}
			p := make([]byte, min(e.Length, 1<<20))
			if err := disk.ReadFull(img, p, e.Offset); err == nil && e.Zero && !disk.IsZero(p) {
				t.Fatalf("extent %+v holds data", e)
			}
			at += e.Length
		}
		if at != limit {
			t.Fatalf("extents end at %d of %d", at, limit)
		}
	})
}

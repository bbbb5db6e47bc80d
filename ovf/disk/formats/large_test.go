package formats_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestLargeSparse: sizes whose sector counts or byte offsets overflow 32 bits,
// with data at the places where they do.
func TestLargeSparse(t *testing.T) {
	ovftest.Slow(t)
	for _, size := range []int64{40<<30 + 512, 2<<40 + 64<<20 + 512} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { largeSparse(t, size) })
	}
}

func largeSparse(t *testing.T, size int64) {
	ctx := context.Background()
	dir := t.TempDir()
	img, source, marks := huge(t, size)
	want, err := disk.ContentDigest(ctx, img, size, nil)
	if err != nil {
		t.Fatal(err)
	}

	image := create(t, dir, "disk.vmdk")
	enc, err := formats.Convert(ctx, img, image, disk.VMDK, disk.EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if enc.Digest != want {
		t.Errorf("digest while encoding is %v, of the source %v", enc.Digest, want)
	}
	if _, err := image.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	back := create(t, dir, "back.raw")
	dec, err := formats.ConvertStream(ctx, image, formats.Source{Name: image.Name()}, -1, back, disk.Raw, disk.EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !dec.HasDigest || dec.Digest != want {
		t.Errorf("digest while decoding is %v, of the source %v", dec.Digest, want)
	}
	copied, err := raw.Open(back)
	if err != nil {
		t.Fatal(err)
	}
	if at, equal, err := disk.Compare(ctx, img, copied); !equal || err != nil {
		t.Errorf("differs at %d (%v)", at, err)
	}
	if n, err := disk.Allocated(ctx, copied); err != nil || n > 1<<20 {
		t.Errorf("the copy has %d bytes allocated (%v), not a few pages", n, err)
	}

	qemu := disktest.Tool(t, "qemu-img")
	if size < 1<<40 || os.Getenv("CIMIMOVE_E2E") == "1" { // qemu-img looks at each grain, of 2 TiB for minutes
		disktest.Run(t, qemu, "check", "-f", "vmdk", image.Name())
		disktest.Run(t, qemu, "compare", "-f", "raw", "-F", "vmdk", source, image.Name())
	}
	readsMarks(t, qemu, "vmdk", image.Name(), marks)
}

// mark is a sector that tells where it belongs.
func mark(off int64) []byte {
	return append(fmt.Appendf(nil, "sector of byte %d", off), make([]byte, 512)...)[:512]
}

func create(t testing.TB, dir, name string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

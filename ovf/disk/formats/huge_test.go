package formats_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// mostVHD is the largest disk that the format's readers take.
const mostVHD = 2040 << 30

// huge is a sparse raw disk with data where 32 bits of sectors or bytes end, and
// at both ends.
func huge(t *testing.T, size int64) (img *raw.Image, path string, marks []int64) {
	t.Helper()
	f := create(t, t.TempDir(), "source.raw")
	if err := f.Truncate(size); err != nil {
		t.Skipf("no sparse file of %d bytes here: %v", size, err)
	}
	for _, off := range []int64{0, 1 << 31, 1<<32 - 512, 1 << 40, 2<<40 - 512, size - 512} {
		if off > size-512 {
			continue
		}
		if _, err := f.WriteAt(mark(off), off); err != nil {
			t.Fatal(err)
		}
		marks = append(marks, off)
	}
	img, err := raw.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return img, f.Name(), marks
}

// TestHugeEveryFormat: 2 TiB and more in every format that can, written by us
// and read by qemu-img, and the other way round.
func TestHugeEveryFormat(t *testing.T) {
	ovftest.Slow(t)
	ctx := context.Background()
	for way, k := range ways() {
		if k.to == disk.Raw || k.opts.Variant == "fixed" || k.to == disk.VMDK || k.opts.Level == 9 { // TestLargeSparse has VMDK
			continue
		}
		t.Run(way, func(t *testing.T) {
			size := int64(2<<40 + 64<<20 + 512)
			if k.to == disk.VHD {
				size = mostVHD
			}
			img, source, marks := huge(t, size)
			want, err := disk.ContentDigest(ctx, img, size, nil)
			if err != nil {
				t.Fatal(err)
			}
			out := create(t, t.TempDir(), "ours")
			res, err := formats.Convert(ctx, img, out, k.to, k.opts)
			if err != nil || res.Digest != want {
				t.Fatalf("digest %v, of the source %v (%v)", res.Digest, want, err)
			}
			equal := func(who, path string) {
				t.Helper()
				got := open(t, path, k.to)
				if at, equal, err := disk.Compare(ctx, img, got); err != nil || !equal {
					t.Errorf("%s writes and we read otherwise at %d (%v)", who, at, err)
				}
			}
			equal("cimimove", out.Name())

			qemu := disktest.Tool(t, "qemu-img")
			readsMarks(t, qemu, k.oracle, out.Name(), marks)
			theirs := filepath.Join(t.TempDir(), "theirs")
			disktest.Run(t, qemu, append(append([]string{"convert", "-t", "unsafe", "-f", "raw", "-O", k.oracle}, hugeOptions[way]...), source, theirs)...)
			equal("qemu-img", theirs)
		})
	}
}

// hugeOptions are what makes qemu-img write a way.
var hugeOptions = map[string][]string{
	"vmdk-sparse": {"-o", "subformat=monolithicSparse"},
	"qcow2, zlib": {"-c"}, "qcow2, zstd": {"-c", "-o", "compression_type=zstd"},
	"vhd": {"-o", "force_size=on"},
}

// readsMarks has qemu-img read the marks of an image.
func readsMarks(t *testing.T, qemu, format, image string, marks []int64) {
	t.Helper()
	for _, off := range marks {
		piece := filepath.Join(t.TempDir(), "piece.raw")
		disktest.Run(t, qemu, "dd", "-f", format, "-O", "raw", "bs=512", fmt.Sprintf("skip=%d", off/512),
			fmt.Sprintf("count=%d", off/512+1), "if="+image, "of="+piece)
		if got, err := os.ReadFile(piece); err != nil || !bytes.Equal(got, mark(off)) {
			t.Errorf("qemu-img reads %q at %d (%v)", bytes.TrimRight(got, "\x00"), off, err)
		}
	}
}

// TestTooLargeForVHD: the format ends at 2040 GiB, which is said before
// anything is written.
func TestTooLargeForVHD(t *testing.T) {
	img, _, _ := huge(t, mostVHD+512)
	for _, variant := range []string{"", "fixed"} {
		out := create(t, t.TempDir(), "out.vhd")
		_, err := formats.Convert(context.Background(), img, out, disk.VHD, disk.EncodeOptions{Variant: variant})
		var unsupported *disk.UnsupportedError
		if st, _ := out.Stat(); !errors.As(err, &unsupported) || unsupported.Format != disk.VHD || st.Size() != 0 {
			t.Errorf("%q: %v, and %d bytes", variant, err, st.Size())
		}
	}
}

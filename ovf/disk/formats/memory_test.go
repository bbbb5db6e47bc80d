package formats_test

import (
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// repeated reads as one megabyte of content over and over.
type repeated []byte

func (r repeated) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], r[(off+int64(n))%int64(len(r)):])
	}
	return len(p), nil
}

// TestMemoryDoesNotGrowWithTheDisk: a pass over more of a disk allocates hardly
// more in all once every buffer is there, so that it holds no more at any time.
func TestMemoryDoesNotGrowWithTheDisk(t *testing.T) {
	ovftest.Slow(t)
	ctx := context.Background()
	content := repeated(disktest.Text(rand.New(rand.NewPCG(1, 1)), 1<<20))
	opts := disk.EncodeOptions{Level: 1, Workers: 2, NoDigest: true}
	passes := map[string]func(size int64) error{
		"encode": func(size int64) error {
			_, err := formats.Encode(ctx, raw.New(content, size), io.Discard, disk.VMDK, opts)
			return err
		},
		"encode, then decode": func(size int64) error {
			r, w := io.Pipe()
			go func() {
				_, err := formats.Encode(ctx, raw.New(content, size), w, disk.VMDK, opts)
				w.CloseWithError(err)
			}()
			_, err := formats.Decode(ctx, r, formats.Source{Name: "d.vmdk"}, -1, disktest.Discard{}, disk.DecodeOptions{Workers: 2})
			return err
		},
		"stored form": func(size int64) error {
			s, err := vmdk.Stored(ctx, raw.New(content, size), vmdk.StoredOptions{})
			if err != nil {
				return err
			}
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.NewSectionReader(s, 0, s.Size()), make([]byte, 1<<20))
			return err
		},
		"content digest": func(size int64) error {
			_, err := disk.ContentDigest(ctx, raw.New(content, size), size, nil)
			return err
		},
	}
	for name, pass := range passes {
		allocated := func(size int64) int64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := pass(size); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			runtime.ReadMemStats(&after)
			return int64(after.TotalAlloc - before.TotalAlloc)
		}
		small, large := allocated(64<<20), allocated(88<<20)
		if small > 48<<20 {
			t.Errorf("%s: allocates %d MiB", name, small>>20)
		}
		// Buffers settle at the size of the largest block seen; tables grow by
		// some bytes a megabyte.
		if grown := large - small; grown > 6<<20 {
			t.Errorf("%s: 24 MiB more of disk allocate %d bytes more", name, grown)
		}
	}
}

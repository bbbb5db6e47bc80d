package vmdk_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// seeds are images small enough to mutate well.
func seeds(f *testing.F) {
	rng := rand.New(rand.NewPCG(11, 12))
	for _, size := range []int{0, 512, disktest.Grain, 3*disktest.Grain + 512} {
		image, _ := encode(f, disktest.Text(rng, size), vmdk.EncodeOptions{})
		f.Add(image)
	}
	f.Add(sparseImage(disktest.Text(rng, 2*disktest.Grain)))
	f.Add(frontTables(disktest.Text(rng, 2*disktest.Grain)))
}

// FuzzOpen: whatever the bytes, opening and reading ends without panic, and
// an image that opens has extents that cover it.
func FuzzOpen(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var img *vmdk.Image
		var err error
		disktest.Bounded(t, disktest.Bound, func() { img, err = vmdk.Open(bytes.NewReader(b), int64(len(b)), "fuzz") })
		if err != nil {
			return
		}
		size := img.Size()
		at := int64(0)
		for e, err := range img.Extents(context.Background(), 0, min(size, 1<<30)) {
			if err != nil {
				return
			}
			if e.Offset != at || e.Length <= 0 {
				t.Fatalf("extent %+v at %d", e, at)
			}
			at += e.Length
		}
		if at != min(size, 1<<30) {
			t.Fatalf("extents end at %d of %d", at, size)
		}
		_, _ = io.Copy(io.Discard, io.NewSectionReader(img, 0, min(size, 8<<20)))
		_, _ = img.ReadAt(make([]byte, 700), size-600)
	})
}

// FuzzDecode: whatever the bytes, decoding ends without panic, and where both
// readers succeed they agree.
func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		got := disktest.Memory{Limit: 64 << 20}
		res, err := vmdk.Decode(context.Background(), bytes.NewReader(b), &got, disk.DecodeOptions{})
		if err != nil {
			return
		}
		if res.StreamBytes < int64(len(b)) {
			t.Fatalf("%d bytes read of %d", res.StreamBytes, len(b))
		}
		if res.HasDigest && res.Digest.Size != int64(len(got.Data)) {
			t.Fatalf("digest over %d bytes of %d", res.Digest.Size, len(got.Data))
		}
	})
}

// FuzzLayout: a kept layout either is refused or gives itself back.
func FuzzLayout(f *testing.F) {
	for _, content := range disktest.Patterns() {
		kept, err := layout(f, holed(content, nil)).MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kept)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var l vmdk.Layout
		if err := l.UnmarshalBinary(b); err != nil {
			return
		}
		again, err := l.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var second vmdk.Layout
		if err := second.UnmarshalBinary(again); err != nil || second.Size() != l.Size() {
			t.Fatalf("does not come back: %v", err)
		}
	})
}

package formats_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// TestTranscode: a stream re-encoded as a stream holds the same disk, holes at
// either end and odd sizes included.
func TestTranscode(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(3, 4))
	for _, size := range []int64{0, 512, 65536, 1<<20 + 512, 40<<20 + 1536} {
		content := make([]byte, size)
		for at := int64(0); at < size; at += 5 << 20 {
			copy(content[at:], disktest.Noise(rng, int(min(size-at, 1<<20+700))))
		}
		img := raw.New(bytes.NewReader(content), size)
		var first, second bytes.Buffer
		if _, err := formats.Encode(ctx, img, &first, disk.VMDK, disk.EncodeOptions{Level: disk.LevelStored}); err != nil {
			t.Fatal(err)
		}
		res, err := formats.Transcode(ctx, bytes.NewReader(first.Bytes()), formats.Source{}, -1, &second, disk.VMDK, disk.EncodeOptions{})
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		out, err := formats.Open(bytes.NewReader(second.Bytes()), int64(second.Len()), formats.Source{})
		if err != nil {
			t.Fatal(err)
		}
		if at, equal, err := disk.Compare(ctx, img, out); err != nil || !equal {
			t.Errorf("%d bytes: differs at %d (%v)", size, at, err)
		}
		want, err := disk.ContentDigest(ctx, img, size, nil)
		if err != nil || !res.HasDigest || res.Digest != want {
			t.Errorf("%d bytes: digest %v, the content's is %v (%v)", size, res.Digest, want, err)
		}
	}
}

// TestTranscodeTruncated: a stream that breaks off gives an error, not a disk.
func TestTranscodeTruncated(t *testing.T) {
	ctx := context.Background()
	content := disktest.Noise(rand.New(rand.NewPCG(5, 6)), 8<<20)
	var whole, out bytes.Buffer
	if _, err := formats.Encode(ctx, raw.New(bytes.NewReader(content), int64(len(content))), &whole, disk.VMDK, disk.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := formats.Transcode(ctx, bytes.NewReader(whole.Bytes()[:5<<20]), formats.Source{}, -1, &out, disk.VMDK, disk.EncodeOptions{})
	if !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

package vmdk_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// TestDecodeTogether: blocks that are digested side by side have the digests, the
// content and the order of those that are digested alone, however many there are,
// with gaps, and a last one that is short.
func TestDecodeTogether(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int64{disk.BlockSize, 15 * disk.BlockSize, 16 * disk.BlockSize, 17*disk.BlockSize + 5*512, 40*disk.BlockSize - 512} {
		content := make([]byte, size)
		for at := int64(0); at < size; at += 64 << 10 {
			if r.IntN(4) > 0 && at/(4<<20)%3 != 1 {
				for i := at; i < min(size, at+64<<10); i += 97 {
					content[i] = byte(r.Uint32())
				}
			}
		}
		var out bytes.Buffer
		if _, err := vmdk.Encode(ctx, raw.New(bytes.NewReader(content), size), &out, vmdk.EncodeOptions{}); err != nil {
			t.Fatal(err)
		}
		type told struct {
			index int64
			sum   disk.BlockSum
		}
		run := func(together bool) (disk.Result, []told, []byte) {
			var blocks []told
			got := make([]byte, size)
			res, err := vmdk.Decode(ctx, bytes.NewReader(out.Bytes()), disktest.Discard{}, disk.DecodeOptions{Together: together,
				OnBlock:   func(index int64, sum disk.BlockSum) { blocks = append(blocks, told{index, sum}) },
				OnContent: func(p []byte, off int64) error { copy(got[off:], p); return nil }})
			if err != nil {
				t.Fatal(err)
			}
			return res, blocks, got
		}
		alone, one, _ := run(false)
		side, other, got := run(true)
		if alone.Digest != side.Digest || !side.HasDigest || alone.DataBytes != side.DataBytes || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: alone %+v, together %+v", size, alone, side)
		}
		if len(one) != len(other) {
			t.Fatalf("%d bytes: told of %d blocks alone, of %d together", size, len(one), len(other))
		}
		for i := range one {
			if one[i] != other[i] {
				t.Errorf("%d bytes: block %d is %x together, %x alone", size, one[i].index, other[i].sum, one[i].sum)
			}
		}
	}
}

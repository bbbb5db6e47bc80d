package relay_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/migrate/relay"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// TestDigestGoesOn: where a part of a disk is known, a reader that begins
// anywhere behind it completes what is known, and no block has another digest
// than its content: also when it begins in the middle of one, at a grain, in the
// middle of that, or far behind what is known.
func TestDigestGoesOn(t *testing.T) {
	t.Parallel()
	const size = 12 << 20
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i*7 + i>>13)
	}
	img, err := vmdk.Stored(t.Context(), raw.New(bytes.NewReader(content), size), vmdk.StoredOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const grain = 66048
	front := int64(128 * 512)
	block := int64(16 * grain)
	for name, from := range map[string]int64{
		"at a block": front + 5*block, "in a block, at a grain": front + 5*block + 3*grain, "in a grain": front + 5*block + 3*grain + 777,
		"far behind": front + 9*block, "far behind, in a block": front + 9*block + grain, "before what is known": front + 2*block + 5*grain,
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			sums := map[int64]disk.BlockSum{}
			known := int64(4)
			for i := range known {
				sums[i] = disk.SumBlock(content[i<<20 : (i+1)<<20])
			}
			tap := relay.NewTap(context.Background(), img, []relay.Disk{{ID: "d", Name: "d.vmdk", Size: img.Size(), Capacity: size, Known: known}}, relay.TapOptions{
				Blocks: func(_ string, upto int64, blocks []relay.Block) error {
					mu.Lock()
					defer mu.Unlock()
					for _, b := range blocks {
						sums[b.Index] = b.Sum
					}
					known = upto
					return nil
				}})
			// As web servers are asked: the start first, then from where it broke off.
			if _, err := tap.ReadAt(make([]byte, 64<<10), 0); err != nil {
				t.Fatal(err)
			}
			r := tap.Stream(context.Background(), from, img.Size()-from)
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Fatal(err)
			}
			r.Close()
			tap.Close()
			for i, sum := range sums {
				if sum != disk.SumBlock(content[i<<20:min((i+1)<<20, size)]) {
					t.Errorf("block %d has another digest than its content", i)
				}
			}
			for i := range known {
				if _, ok := sums[i]; !ok {
					t.Errorf("%d blocks are said to be known, block %d is not", known, i)
				}
			}
			if whole := (from-front)%grain == 0; whole && known != 12 {
				t.Errorf("%d blocks are known, expected 12", known)
			}
		})
	}
}

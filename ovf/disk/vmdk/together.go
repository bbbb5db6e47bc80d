package vmdk

import (
	"crypto/sha256"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/lanes"
)

// together holds blocks that were decoded until there are enough of them to be
// digested side by side. It belongs to the goroutine that delivers.
type together struct {
	waiting []*block
	spare   [][]byte // buffers for those whose own ones wait
	data    [][]byte
	sums    [][sha256.Size]byte
}

func newTogether(spare [][]byte) *together {
	width := len(spare)
	return &together{waiting: make([]*block, 0, width), spare: spare, data: make([][]byte, 0, width), sums: make([][sha256.Size]byte, width)}
}

// add takes the content of a block, which gets another buffer for it, and
// delivers what waits when that is enough.
func (t *together) add(bs *blocks, b *block) error {
	last := len(t.spare) - 1
	t.waiting = append(t.waiting, &block{index: b.index, data: b.data, carry: b.carry})
	b.data, t.spare = t.spare[last], t.spare[:last]
	if last > 0 {
		return nil
	}
	return t.flush(bs)
}

// flush digests and delivers what waits.
func (t *together) flush(bs *blocks) error {
	t.data = t.data[:0]
	for _, b := range t.waiting {
		if bs.whole(b) {
			t.data = append(t.data, b.data)
		}
	}
	lanes.Sum(t.data, t.sums)
	n := 0
	for _, b := range t.waiting {
		if bs.whole(b) {
			b.sum = t.sums[n]
			n++
		} else {
			b.sum = disk.SumBlock(b.data[:min(disk.BlockSize, bs.h.size()-b.index*disk.BlockSize)])
		}
		if err := bs.deliver(b); err != nil {
			return err
		}
		t.spare = append(t.spare, b.data)
	}
	t.waiting = t.waiting[:0]
	return nil
}

// whole tells a block that lies within the disk from the last one.
func (bs *blocks) whole(b *block) bool { return (b.index+1)*disk.BlockSize <= bs.h.size() }

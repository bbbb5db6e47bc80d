package vmdk_test

import (
	"context"
	"iter"

	"github.com/cimimove/cimimove/ovf/disk"
)

// holes is an image whose grains of zeros are zero extents, but for those that
// keep names.
type holes struct {
	disk.Image
	content []byte
	keep    func(g int64) bool
}

func (h *holes) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		for end := off + n; off < end; {
			g := off / grainSize
			next := min((g+1)*grainSize, end)
			zero := disk.IsZero(h.content[off:next]) && (h.keep == nil || !h.keep(g))
			if !yield(disk.Extent{Offset: off, Length: next - off, Zero: zero}, nil) {
				return
			}
			off = next
		}
	}
}

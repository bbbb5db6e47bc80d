package relay

import (
	"context"
	"io"
	"iter"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
)

// Complete is the content digest of a disk of the package in src of which the
// first d.Known blocks are known already: only the others are read. known
// gives the recorded digests, ascending; blocks it does not give are zero.
func Complete(ctx context.Context, src Content, d Disk, known func(yield func(Block) error) error, progress disk.Progress) (disk.Digest, error) {
	section := io.NewSectionReader(src, d.Offset, d.Size)
	img, err := formats.Open(section, d.Size, formats.Source{Name: d.Name, Declared: d.Declared})
	if err != nil {
		return disk.Digest{}, err
	}
	defer img.Close()
	digester := disk.NewDigester(img.Size(), nil)
	if d.Known > 0 {
		err := known(func(b Block) error {
			if b.Index >= d.Known {
				return nil
			}
			return digester.WriteBlock(b.Index, b.Sum)
		})
		if err != nil {
			return disk.Digest{}, err
		}
	}
	var sumErr error
	_, err = disk.Stream(ctx, tail{img, d.Known * disk.BlockSize}, func([]byte, int64) error { return sumErr }, disk.EncodeOptions{
		Progress: progress,
		OnBlock: func(i int64, sum disk.BlockSum) {
			if sumErr == nil {
				sumErr = digester.WriteBlock(i, sum)
			}
		},
	})
	if err == nil {
		err = sumErr
	}
	if err != nil {
		return disk.Digest{}, err
	}
	return digester.Sum(), nil
}

// tail shows an image as if everything before from were zero.
type tail struct {
	disk.Image
	from int64
}

func (t tail) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		if off < t.from {
			skip := min(t.from-off, n)
			if !yield(disk.Extent{Offset: off, Length: skip, Zero: true}, nil) {
				return
			}
			off, n = off+skip, n-skip
		}
		if n > 0 {
			t.Image.Extents(ctx, off, n)(yield)
		}
	}
}

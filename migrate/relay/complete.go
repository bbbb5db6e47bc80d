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
	_, err = disk.Stream(ctx, window{img, d.Known * disk.BlockSize, img.Size()}, func([]byte, int64) error { return sumErr }, disk.EncodeOptions{
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

// window shows an image as if everything outside of it were zero.
type window struct {
	disk.Image
	from, to int64
}

func (t window) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		end := off + n
		zero := func(to int64) bool {
			if to = min(to, end); to <= off {
				return true
			}
			at := off
			off = to
			return yield(disk.Extent{Offset: at, Length: to - at, Zero: true}, nil)
		}
		if !zero(t.from) {
			return
		}
		if inside := min(t.to, end); inside > off {
			going := true
			t.Image.Extents(ctx, off, inside-off)(func(e disk.Extent, err error) bool {
				going = yield(e, err)
				return going
			})
			if !going {
				return
			}
			off = inside
		}
		zero(end)
	}
}

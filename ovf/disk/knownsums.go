package disk

import (
	"context"
	"fmt"
)

// ContentDigestWith is ContentDigest where the sums of some blocks are known,
// which are not read: known gives that of a block, or false.
func ContentDigestWith(ctx context.Context, img Image, size int64, known func(block int64) (BlockSum, bool, error), progress Progress) (Digest, error) {
	if size < 0 || size > img.Size() {
		return Digest{}, fmt.Errorf("content digest of %d bytes: the image has %d", size, img.Size())
	}
	digester := NewDigester(size, nil)
	read, err := NewUnitSums(ctx, within{img, size}, BlockSize, len(BlockSum{}))
	if err != nil {
		return Digest{}, err
	}
	blocks := (size + BlockSize - 1) / BlockSize
	missing := func(from, to int64) error {
		b := make([]byte, (to-from)*int64(len(BlockSum{})))
		if len(b) == 0 {
			return nil
		}
		if _, err := read.ReadAt(b, from*int64(len(BlockSum{}))); err != nil {
			return err
		}
		for i := from; i < to; i++ {
			if err := digester.WriteBlock(i, BlockSum(b[(i-from)*int64(len(BlockSum{})):])); err != nil {
				return err
			}
		}
		progress.tell(min(to*BlockSize, size), size)
		return nil
	}
	from := int64(0) // blocks before it are digested
	for i := range blocks {
		if err := ctx.Err(); err != nil {
			return Digest{}, err
		}
		sum, ok, err := known(i)
		if err == nil && (ok || i-from == sumsAtOnce) {
			err = missing(from, i)
			from = i
		}
		if err == nil && ok {
			err = digester.WriteBlock(i, sum)
			from = i + 1
		}
		if err != nil {
			return Digest{}, err
		}
	}
	if err := missing(from, blocks); err != nil {
		return Digest{}, err
	}
	progress.tell(size, size)
	return digester.Sum(), nil
}

// within is an image as if it ended before.
type within struct {
	Image
	size int64
}

func (w within) Size() int64 { return w.size }

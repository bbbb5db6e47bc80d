package disk

import (
	"bytes"
	"context"
	"errors"

	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
)

// Compare compares the content of a with that of b. Formats round sizes up, so
// a larger b is equal when the rest of it is zero; a smaller one differs at
// its end. firstDiff is the offset of the first differing byte, -1 when equal.
func Compare(ctx context.Context, a, b Image) (firstDiff int64, equal bool, err error) {
	size := b.Size()
	errDiffers := errors.New("differs")
	firstDiff = -1
	if a.Size() > size {
		firstDiff = size
	}
	err = inorder.Line[block]{
		New: func() *block { return &block{buf: make([]byte, BlockSize), other: make([]byte, BlockSize)} },
		Produce: func(ctx context.Context, next func() (*block, error), submit func(*block)) error {
			for index, err := range either(DataBlocks(ctx, a, min(a.Size(), size)), DataBlocks(ctx, b, size)) {
				if err != nil {
					return err
				}
				it, err := next()
				if err != nil {
					return err
				}
				it.index, it.n = index, int(min(BlockSize, size-index*BlockSize))
				submit(it)
			}
			return nil
		},
		Work: func(_ context.Context, _ int, it *block) error {
			off := it.index * BlockSize
			left, right := it.buf[:it.n], it.other[:it.n]
			if err := ReadFull(b, right, off); err != nil {
				return err
			}
			k := max(0, min(int64(it.n), a.Size()-off))
			clear(left[k:])
			if err := ReadFull(a, left[:k], off); err != nil {
				return err
			}
			if it.at = -1; !bytes.Equal(left, right) {
				it.at = off + firstDifference(left, right)
			}
			return nil
		},
		Deliver: func(it *block) error {
			if it.at >= 0 {
				firstDiff = it.at
				return errDiffers
			}
			return nil
		},
	}.Run(ctx)
	if err == errDiffers {
		err = nil
	}
	if err != nil {
		return -1, false, err
	}
	return firstDiff, firstDiff < 0, nil
}

func firstDifference(a, b []byte) int64 {
	for i := range a {
		if a[i] != b[i] {
			return int64(i)
		}
	}
	return int64(len(a))
}

package disk

import (
	"context"
	"io"
	"iter"

	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
)

// File is an empty file that an image is written to, of zeros where nothing is
// written. Writes come from several goroutines, in any order.
type File interface {
	io.WriterAt
	// Truncate sets the length in bytes, longer or shorter.
	Truncate(size int64) error
}

// Scatter writes the content of img to wherever place says, in pieces of unit
// bytes, a power of two up to BlockSize. Pieces of zeros are left out: place is
// asked for the others, ascending, one call at a time, and gives the offset in
// w for the piece that begins at off of the disk. Blocks are read in parallel,
// and written one after the other beside that and beside their digest; pages of zeros within a piece are left to w, which holds
// zeros where nothing is written. The last piece may be short.
func Scatter(ctx context.Context, img Image, w io.WriterAt, unit int, place func(off int64) (int64, error), opts EncodeOptions) (Result, error) {
	size := img.Size()
	res := Result{Info: img.Info()}
	digester := NewDigester(size, opts.OnBlock)
	sums := newSums(opts.tellSum(digester), size, opts.Workers)
	err := sums.end(inorder.Pass[scattered]{
		Workers: opts.Workers,
		New: func() *scattered {
			return &scattered{block: block{buf: sums.rooms.take()}, places: make([]int64, BlockSize/unit)}
		},
		Numbers: func(ctx context.Context) iter.Seq2[int64, error] { return DataBlocks(ctx, img, size) },
		Work: func(_ context.Context, b *scattered, index int64) error {
			if err := b.read(img, index, size); err != nil {
				return err
			}
			b.carry = 0
			for i := 0; i*unit < b.n; i++ {
				piece := b.data[i*unit : min(b.n, (i+1)*unit)]
				if b.places[i] = nowhere; !IsZero(piece) {
					b.places[i] = 0
					b.carry += int64(len(piece))
				}
			}
			return nil
		},
		Finish: func(b *scattered) error {
			for i := 0; i*unit < b.n; i++ {
				if b.places[i] == nowhere {
					continue
				}
				at, err := place(b.index*BlockSize + int64(i*unit))
				if err != nil {
					return err
				}
				b.places[i] = at
			}
			return b.write(w, unit)
		},
		Deliver: func(b *scattered) error {
			res.DataBytes += b.carry
			opts.Progress.tell(b.end(), size)
			return sums.add(&b.block)
		},
	}.Run(ctx))
	if err != nil {
		return res, err
	}
	if !opts.NoDigest {
		res.Digest, res.HasDigest = digester.Sum(), true
	}
	opts.Progress.tell(size, size)
	return res, nil
}

// nowhere is the place of a piece of zeros.
const nowhere = -1

type scattered struct {
	block
	places []int64 // of the pieces
	carry  int64
}

// write writes the pieces, those that lie one after the other in one go.
func (b *scattered) write(w io.WriterAt, unit int) error {
	for i := 0; i*unit < b.n; {
		at := b.places[i]
		if at == nowhere {
			i++
			continue
		}
		first := i
		for i++; i*unit < b.n && b.places[i] == at+int64((i-first)*unit); i++ {
		}
		if err := WriteData(w, b.data[first*unit:min(b.n, i*unit)], at); err != nil {
			return err
		}
	}
	return nil
}

// WriteData writes p at off, runs of zeros apart, which w holds already.
func WriteData(w io.WriterAt, p []byte, off int64) error {
	return NonZero(off, p, func(off int64, p []byte) error {
		_, err := w.WriteAt(p, off)
		return err
	})
}

package disk

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"
)

// UnitSums are the SHA-256s of the content of an image in units of equal
// length, the last one padded with zeros, as bytes that can be read anywhere:
// the first Length bytes of each sum, in order. They are computed when they
// are read; holes of the image are not read.
type UnitSums struct {
	ctx    context.Context
	img    Image
	unit   int64
	length int64
	zero   [sha256.Size]byte
}

// NewUnitSums gives those of img, whose reading ends with ctx. unit is a divisor
// of BlockSize, in bytes, and length how many bytes of each sum count.
func NewUnitSums(ctx context.Context, img Image, unit int64, length int) (*UnitSums, error) {
	if unit <= 0 || BlockSize%unit != 0 || length <= 0 || length > sha256.Size {
		return nil, fmt.Errorf("%d bytes of the sums of %d bytes each: %w", length, unit, ErrUnsupported)
	}
	s := &UnitSums{ctx: ctx, img: img, unit: unit, length: int64(length)}
	h := sha256.New()
	writeZeros(h, unit)
	h.Sum(s.zero[:0])
	return s, nil
}

// Size is how many bytes the sums have.
func (s *UnitSums) Size() int64 { return (s.img.Size() + s.unit - 1) / s.unit * s.length }

// Step is a length of reads that takes a moment, not minutes.
func (s *UnitSums) Step() int { return int(sumsAtOnce * BlockSize / s.unit * s.length) }

// sumsAtOnce is how many MiB of content a step of reading is.
const sumsAtOnce = 32

// ReadAt gives bytes of the sums from off.
func (s *UnitSums) ReadAt(p []byte, off int64) (int, error) {
	p, atEnd := Within("sums", p, off, s.Size())
	if len(p) == 0 {
		return 0, atEnd
	}
	each := BlockSize / s.unit // units in a block
	first, last := off/s.length, (off+int64(len(p))-1)/s.length
	g, ctx := errgroup.WithContext(s.ctx)
	g.SetLimit(Processors())
	for block := first / each; block <= last/each; block++ {
		g.Go(func() error {
			from, to := max(first, block*each), min(last+1, (block+1)*each)
			return s.sum(ctx, from, to, func(unit int64, sum []byte) {
				// Where the sum lies in p, which may have only a part of it.
				at := unit*s.length - off
				if at < 0 {
					sum, at = sum[-at:], 0
				}
				copy(p[at:], sum)
			})
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return len(p), atEnd
}

// sum gives those of the units of one block from from to before to.
func (s *UnitSums) sum(ctx context.Context, from, to int64, give func(unit int64, sum []byte)) error {
	off := from * s.unit
	n := min(to*s.unit, s.img.Size()) - off
	zeros := true
	for e, err := range s.img.Extents(ctx, off, n) {
		if err != nil {
			return err
		}
		if zeros = e.Zero; !zeros {
			break
		}
	}
	if zeros {
		for u := from; u < to; u++ {
			give(u, s.zero[:s.length])
		}
		return nil
	}
	b := make([]byte, (to-from)*s.unit) // zeros behind the end
	if k, err := s.img.ReadAt(b[:n], off); err != nil && (err != io.EOF || int64(k) < n) {
		return err
	}
	for u := from; u < to; u++ {
		sum := sha256.Sum256(b[(u-from)*s.unit : (u-from+1)*s.unit])
		give(u, sum[:s.length])
	}
	return nil
}

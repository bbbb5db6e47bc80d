package disk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
)

// ContentDigest is the content digest of the first size bytes of img, which
// may be larger. It reads data extents only, in parallel, holding a few blocks
// in memory.
func ContentDigest(ctx context.Context, img Image, size int64, progress Progress) (Digest, error) {
	if size < 0 || size > img.Size() {
		return Digest{}, fmt.Errorf("content digest of %d bytes: the image has %d", size, img.Size())
	}
	digester := NewDigester(size, nil)
	err := eachBlock(ctx, img, size, 0, digester.WriteBlock, nil, func(b *block) error {
		progress.tell(b.end(), size)
		return nil
	})
	if err != nil {
		return Digest{}, err
	}
	progress.tell(size, size)
	return digester.Sum(), nil
}

// PlainDigest is the SHA-256 of the first size bytes of img as they are, the
// zeros of its holes included. As many workers read img; 0 is for one per
// processor, 1 is enough where reading is no work.
func PlainDigest(ctx context.Context, img Image, size int64, workers int, progress Progress) ([sha256.Size]byte, error) {
	var out [sha256.Size]byte
	if size < 0 || size > img.Size() {
		return out, fmt.Errorf("sha256 of %d bytes: the image has %d", size, img.Size())
	}
	h, done := sha256.New(), int64(0)
	fill := func(to int64) error {
		for done < to {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(to-done, 64*BlockSize)
			writeZeros(h, n)
			done += n
			progress.tell(done, size)
		}
		return nil
	}
	err := eachBlock(ctx, img, size, workers, nil, nil, func(b *block) error {
		if err := fill(b.index * BlockSize); err != nil {
			return err
		}
		h.Write(b.data)
		done = b.end()
		progress.tell(done, size)
		return nil
	})
	if err == nil {
		err = fill(size)
	}
	h.Sum(out[:0])
	return out, err
}

// Allocated is how many bytes of content img maps as data. It reads the
// image's map, not its data.
func Allocated(ctx context.Context, img Image) (int64, error) {
	var sum int64
	for e, err := range img.Extents(ctx, 0, img.Size()) {
		if err != nil {
			return 0, err
		}
		if !e.Zero {
			sum += e.Length
		}
	}
	return sum, nil
}

// block is one BlockSize piece of a disk's content, short at its end.
type block struct {
	index int64
	n     int
	buf   []byte
	data  []byte // buf[:n], filled when work is called
	other []byte // room for the block of a second image
	at    int64  // what work found
}

func (b *block) end() int64 { return b.index*BlockSize + int64(b.n) }

// read fills b with block index of an image that counts as size bytes long.
func (b *block) read(img Image, index, size int64) error {
	b.index, b.n = index, int(min(BlockSize, size-index*BlockSize))
	b.data = b.buf[:b.n]
	return ReadFull(img, b.data, index*BlockSize)
}

// eachBlock reads the blocks of the first size bytes of img that overlap data
// extents, in parallel; finish, which may be nil, and then deliver are called in
// ascending order, see inorder.Pass. tell, which may be nil, is told their sums
// in that order, later.
func eachBlock(ctx context.Context, img Image, size int64, workers int, tell tellSum, finish, deliver func(*block) error) error {
	sums := newSums(tell, size, workers)
	return sums.end(inorder.Pass[block]{
		Workers: workers,
		New:     func() *block { return &block{buf: sums.rooms.take()} },
		Numbers: func(ctx context.Context) iter.Seq2[int64, error] { return DataBlocks(ctx, img, size) },
		Work: func(_ context.Context, b *block, index int64) error {
			return b.read(img, index, size)
		},
		Finish: finish,
		Deliver: func(b *block) error {
			if err := deliver(b); err != nil {
				return err
			}
			return sums.add(b)
		},
	}.Run(ctx))
}

// DataBlocks yields the indexes of the blocks of BlockSize of the first size
// bytes of img that overlap a data extent, ascending. It ends after the first
// error.
func DataBlocks(ctx context.Context, img Image, size int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		from := int64(0)
		for e, err := range img.Extents(ctx, 0, size) {
			if err != nil {
				yield(0, err)
				return
			}
			if e.Zero || e.Length == 0 {
				continue
			}
			last := (e.Offset + e.Length - 1) / BlockSize
			for i := max(from, e.Offset/BlockSize); i <= last; i++ {
				if !yield(i, nil) {
					return
				}
			}
			from = last + 1
		}
	}
}

// ReadFull reads len(p) bytes at off; an image that ends within them is
// io.ErrUnexpectedEOF.
func ReadFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading %d bytes at %d: %w", len(p), off, err)
}

func (p Progress) tell(done, total int64) {
	if p != nil {
		p(done, total)
	}
}

// FirstData is where an image has its first byte from off on that is not zero;
// -1 where it has none.
func FirstData(ctx context.Context, img Image, off int64) (int64, error) {
	b := make([]byte, BlockSize)
	for e, err := range img.Extents(ctx, off, img.Size()-off) {
		if err != nil {
			return -1, err
		}
		for at := e.Offset; !e.Zero && at < e.Offset+e.Length; at += int64(len(b)) {
			p := b[:min(int64(len(b)), e.Offset+e.Length-at)]
			if n, err := img.ReadAt(p, at); err != nil && (err != io.EOF || n < len(p)) {
				return -1, err
			}
			if !IsZero(p) {
				return at, ctx.Err()
			}
		}
	}
	return -1, ctx.Err()
}

// Package pipe connects a decoder, which writes a disk, with an encoder, which
// reads one: the disk passes block by block, in ascending order, and is stored
// nowhere. Memory is bounded by the blocks on the way.
package pipe

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"

	"github.com/cimimove/cimimove/ovf/disk"
)

// ErrOrder: the decoder's content does not come in ascending order, so it
// cannot pass from stream to stream.
var ErrOrder = errors.New("the disk's content is not in ascending order; convert it from a file instead of a stream")

// maxHeld bounds the blocks that were written and not read yet. Decoders keep
// fewer on their way; more means that they come out of order.
const maxHeld = 128

// Pipe is a disk.Sink on one end and a disk.Image, readable once, on the other.
type Pipe struct {
	ctx     context.Context
	started chan struct{} // closed by Begin
	ready   chan int64    // indices of blocks that are whole, ascending
	info    disk.Info

	mu   sync.Mutex
	held map[int64]*block
	free []*block
	err  error // why the writing end failed
}

type block struct {
	data [disk.BlockSize]byte
	left int // bytes that were not read yet
}

// New makes a Pipe; ctx ends both of its ends.
func New(ctx context.Context) *Pipe {
	return &Pipe{ctx: ctx, started: make(chan struct{}), ready: make(chan int64, 4), held: map[int64]*block{}}
}

// Begin is the Sink's.
func (p *Pipe) Begin(info disk.Info) error {
	p.info = info
	close(p.started)
	return nil
}

// WriteAt is the Sink's.
func (p *Pipe) WriteAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		index, at := (off+int64(done))/disk.BlockSize, (off+int64(done))%disk.BlockSize
		k, err := p.block(index)
		if err != nil {
			return done, err
		}
		done += copy(k.data[at:], b[done:])
	}
	return done, nil
}

func (p *Pipe) block(index int64) (*block, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.held[index]; k != nil {
		return k, nil
	}
	if len(p.held) >= maxHeld {
		return nil, ErrOrder
	}
	var k *block
	if n := len(p.free); n > 0 {
		k, p.free = p.free[n-1], p.free[:n-1]
		clear(k.data[:])
	} else {
		k = new(block)
	}
	k.left = int(min(disk.BlockSize, p.info.Size-index*disk.BlockSize))
	p.held[index] = k
	return k, nil
}

// OnBlock is the decoder's: block index is whole. It waits until the encoder
// has room.
func (p *Pipe) OnBlock(index int64, _ disk.BlockSum) {
	select {
	case p.ready <- index:
	case <-p.ctx.Done():
	}
}

// CloseWrite ends the writing end, with the decoder's error or nil.
func (p *Pipe) CloseWrite(err error) {
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	select {
	case <-p.started:
	default:
		close(p.started)
	}
	close(p.ready)
}

// Image waits for the decoder to know the disk's size, and gives the reading end.
func (p *Pipe) Image() (disk.Image, error) {
	select {
	case <-p.started:
	case <-p.ctx.Done():
		return nil, p.ctx.Err()
	}
	return reader{p}, p.failed()
}

func (p *Pipe) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// reader is the reading end: each byte can be read once, ascending within its
// block, while Extents is being iterated.
type reader struct{ p *Pipe }

func (r reader) Size() int64     { return r.p.info.Size }
func (r reader) Info() disk.Info { return r.p.info }
func (r reader) Close() error    { return nil }

// Extents follows the decoder: it can be iterated once, over the whole disk.
func (r reader) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		if off != 0 || n != r.Size() {
			yield(disk.Extent{}, errors.New("a piped disk is read from its start to its end"))
			return
		}
		at := int64(0)
		for {
			var index int64
			var open bool
			select {
			case index, open = <-r.p.ready:
			case <-ctx.Done():
				yield(disk.Extent{}, ctx.Err())
				return
			}
			if !open {
				break
			}
			start := index * disk.BlockSize
			length := min(disk.BlockSize, r.Size()-start)
			if start > at && !yield(disk.Extent{Offset: at, Length: start - at, Zero: true}, nil) {
				return
			}
			if !yield(disk.Extent{Offset: start, Length: length}, nil) {
				return
			}
			at = start + length
		}
		if err := r.p.failed(); err != nil {
			yield(disk.Extent{}, err)
			return
		}
		if at < r.Size() {
			yield(disk.Extent{Offset: at, Length: r.Size() - at, Zero: true}, nil)
		}
	}
}

// ReadAt reads what was written, and lets go of a block when all of it was read.
func (r reader) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		pos := off + int64(done)
		if pos >= r.Size() {
			return done, io.EOF
		}
		index, at := pos/disk.BlockSize, pos%disk.BlockSize
		n := int(min(int64(len(b)-done), disk.BlockSize-at, r.Size()-pos))
		r.p.mu.Lock()
		k := r.p.held[index]
		r.p.mu.Unlock()
		if k == nil {
			clear(b[done : done+n])
			done += n
			continue
		}
		copy(b[done:done+n], k.data[at:])
		r.p.mu.Lock()
		if k.left -= n; k.left <= 0 {
			delete(r.p.held, index)
			r.p.free = append(r.p.free, k)
		}
		r.p.mu.Unlock()
		done += n
	}
	return done, nil
}

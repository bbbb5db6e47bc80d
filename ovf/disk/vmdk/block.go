package vmdk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
	"github.com/cimimove/cimimove/ovf/disk/internal/lanes"
)

// block is the work unit of decoding: the grains of one block of the content
// digest, which many grains fill, as they came in the stream.
type block struct {
	index  int64
	stored []byte // what the stream holds of the grains, one after the other
	grains []storedGrain
	data   []byte // the content, disk.BlockSize bytes
	sum    disk.BlockSum
	carry  int64 // bytes of content its grains hold
}

type storedGrain struct {
	at         int  // place in the block's data
	inflated   bool // it is there already
	start, end int  // else of the stored bytes
	offset     int64
}

// blocks takes grains from a stream and writes them to a sink, in parallel.
type blocks struct {
	h    *header
	sink disk.Sink
	opts disk.DecodeOptions
	res  *disk.Result

	digester *disk.Digester // of the delivering goroutine
	hashing  atomic.Bool    // whether block sums are still of use
	given    int64          // bytes of content up to which OnContent was called
	together *together      // nil where blocks are digested one by one
	next     func() (*block, error)
	submit   func(*block)
	current  *block
}

// run calls produce, which calls room for each grain.
func (bs *blocks) run(ctx context.Context, produce func() error) error {
	size, together := bs.h.size(), 0
	count := (size + disk.BlockSize - 1) / disk.BlockSize
	if !bs.opts.NoDigest {
		bs.digester = disk.NewDigester(size, bs.opts.OnBlock)
		bs.hashing.Store(true)
		if bs.opts.Together && lanes.Width() > 1 {
			together = int(max(1, min(int64(lanes.Width()), count)))
		}
	}
	buffers := disk.NewBuffers(int(min(int64(inorder.Depth(bs.opts.Workers)), count)) + together)
	if together > 0 {
		bs.together, buffers = newTogether(buffers[:together:together]), buffers[together:]
	}
	err := inorder.Line[block]{
		Workers: bs.opts.Workers,
		New: func() *block {
			if len(buffers) == 0 { // a block whose grains are not all together comes again
				return &block{data: disk.NewBuffer()}
			}
			b := &block{data: buffers[0]}
			buffers = buffers[1:]
			return b
		},
		Produce: func(_ context.Context, next func() (*block, error), submit func(*block)) error {
			bs.next, bs.submit = next, submit
			if err := produce(); err != nil {
				return err // the block in hand may be half read
			}
			if bs.current != nil {
				submit(bs.current)
			}
			return nil
		},
		Work:    func(_ context.Context, _ int, b *block) error { return bs.write(b) },
		Deliver: bs.arrange,
	}.Run(ctx)
	if err == nil && bs.together != nil {
		err = bs.together.flush(bs)
	}
	if err != nil {
		return err
	}
	if bs.digester != nil {
		bs.res.Digest, bs.res.HasDigest = bs.digester.Sum(), true
	}
	if bs.opts.Progress != nil {
		bs.opts.Progress(size, size)
	}
	return nil
}

// room is where the n stored bytes of the grain at sector lba go, which lie at
// byte offset of the stream.
func (bs *blocks) room(lba uint64, n int, offset int64) ([]byte, error) {
	b, err := bs.open(lba)
	if err != nil {
		return nil, err
	}
	if b.stored == nil {
		// Room for a block that does not compress: growing to it would leave
		// twice as much behind. What is not used takes no memory.
		b.stored = make([]byte, 0, disk.BlockSize+disk.BlockSize/16)
	}
	start := len(b.stored)
	b.stored = slices.Grow(b.stored, n)[:start+n]
	b.grains = append(b.grains, storedGrain{at: int(int64(lba) * sector % disk.BlockSize), start: start, end: start + n, offset: offset})
	return b.stored[start:], nil
}

// open gives the block in hand, that of sector lba.
func (bs *blocks) open(lba uint64) (*block, error) {
	index := int64(lba) * sector / disk.BlockSize
	if b := bs.current; b != nil && b.index != index {
		bs.submit(b)
		bs.current = nil
	}
	if bs.current == nil {
		b, err := bs.next()
		if err != nil {
			return nil, err
		}
		b.index, b.stored, b.grains = index, b.stored[:0], b.grains[:0]
		bs.current = b
	}
	return bs.current, nil
}

// need is how many bytes of the grain at a place in a block lie within the
// disk's capacity.
func (bs *blocks) need(b *block, at int) int {
	return int(min(bs.h.grainBytes(), bs.h.size()-b.index*disk.BlockSize-int64(at)))
}

// write inflates a block's grains and writes them.
func (bs *blocks) write(b *block) error {
	size := bs.h.grainBytes()
	begin := b.index * disk.BlockSize
	limit := int(min(disk.BlockSize, bs.h.size()-begin))
	slices.SortFunc(b.grains, func(x, y storedGrain) int { return cmp.Compare(x.at, y.at) })
	b.carry = 0
	clear(b.data[:b.grains[0].at])
	for i := 0; i < len(b.grains); {
		// A run of grains without a gap is one write.
		from, to := b.grains[i].at, b.grains[i].at
		for ; i < len(b.grains) && b.grains[i].at == to; i++ {
			g := b.grains[i]
			if !g.inflated {
				if err := bs.inflate(b.data[to:to+int(size)], b.stored[g.start:g.end], bs.need(b, to), g.offset); err != nil {
					return err
				}
			}
			to += int(size)
		}
		end := min(to, limit)
		if _, err := bs.sink.WriteAt(b.data[from:end], begin+int64(from)); err != nil {
			return err
		}
		b.carry += int64(end - from)
		gapEnd := disk.BlockSize
		if i < len(b.grains) {
			gapEnd = b.grains[i].at
		}
		clear(b.data[to:gapEnd])
	}
	if bs.together == nil && bs.hashing.Load() {
		b.sum = disk.SumBlock(b.data[:limit])
	}
	return nil
}

// inflate fills out from stored. need bytes lie within the disk's capacity;
// the last grain may hold just those.
func (bs *blocks) inflate(out, stored []byte, need int, offset int64) error {
	if !bs.h.compressed() {
		clear(out[copy(out, stored):])
		return nil
	}
	n, err := inflateGrain(out, stored)
	if err == nil && n < need {
		err = fmt.Errorf("it inflates to %d", n)
	}
	if err != nil {
		return &disk.CorruptError{Name: bs.opts.Name, Format: disk.VMDK, Offset: offset,
			Expected: fmt.Sprintf("a grain of %d bytes", need), Err: err}
	}
	clear(out[n:])
	return nil
}

// arrange delivers a block, or keeps it for others to be digested with.
func (bs *blocks) arrange(b *block) error {
	if bs.together == nil {
		return bs.deliver(b)
	}
	return bs.together.add(bs, b)
}

func (bs *blocks) deliver(b *block) error {
	bs.res.DataBytes += b.carry
	if bs.opts.Progress != nil {
		bs.opts.Progress(min((b.index+1)*disk.BlockSize, bs.h.size()), bs.h.size())
	}
	if bs.opts.OnContent != nil {
		at := b.index * disk.BlockSize
		if at < bs.given {
			return fmt.Errorf("%s: bytes at %d after those before %d: %w", bs.opts.Name, at, bs.given, disk.ErrNotAscending)
		}
		bs.given = min(at+disk.BlockSize, bs.h.size())
		if err := bs.opts.OnContent(b.data[:bs.given-at], at); err != nil {
			return err
		}
	}
	if bs.digester == nil {
		return nil
	}
	err := bs.digester.WriteBlock(b.index, b.sum)
	if errors.Is(err, disk.ErrNotAscending) {
		bs.hashing.Store(false)
		bs.digester, err = nil, nil
	}
	return err
}

package disk

import (
	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
	"github.com/cimimove/cimimove/ovf/disk/internal/lanes"
)

// tellSum is told the sum of each block, ascending.
type tellSum = func(index int64, sum BlockSum) error

// tellSum is who is told the sums of a conversion; nil where there is to be no
// digest.
func (o *EncodeOptions) tellSum(d *Digester) tellSum {
	if o.NoDigest {
		return nil
	}
	return d.WriteBlock
}

// sums takes the digests of blocks that come in order, many together where that
// is faster, and tells of them in order. Each block that is added hashes its
// share of all that are under way, so that one of them is done. It is for one
// goroutine at a time.
type sums struct {
	tell  tellSum
	rooms *rooms
	belt  *lanes.Belt[int64] // nil where blocks are hashed one by one
	told  int64              // how many were
	queue []summed           // those that were not
}

type summed struct {
	index int64
	buf   []byte // which the belt reads from; nil where sum is known
	sum   BlockSum
}

// newSums is for the first size bytes of an image, whose blocks as many workers
// add. tell may be nil.
func newSums(tell tellSum, size int64, workers int) *sums {
	s := &sums{tell: tell}
	blocks := inorder.Depth(workers)
	if lanes.Width() > 1 && tell != nil {
		s.belt = lanes.NewBelt[int64](BlockSize)
		blocks += lanes.Width() - 1
	}
	s.rooms = newRooms(int(min(int64(blocks), (size+BlockSize-1)/BlockSize)))
	return s
}

// add takes a block, which gets another buffer where its own is needed longer.
func (s *sums) add(b *block) error {
	if s.tell == nil {
		return nil
	}
	if s.belt == nil || len(b.data) < BlockSize || IsZero(b.data) {
		s.queue = append(s.queue, summed{index: b.index, sum: SumBlock(b.data)})
		if len(s.queue) > mostQueued {
			s.finish()
		}
		return s.flush()
	}
	s.belt.Add(b.data, s.told+int64(len(s.queue)))
	s.queue = append(s.queue, summed{index: b.index, buf: b.buf})
	s.belt.Step(s.done)
	b.buf, b.data = s.rooms.take(), nil
	return s.flush()
}

// mostQueued is how many blocks of zeros, which are quick to sum, may wait for
// the one before them.
const mostQueued = 256

func (s *sums) done(n int64, sum BlockSum) {
	q := &s.queue[n-s.told]
	s.rooms.give(q.buf)
	q.sum, q.buf = sum, nil
}

// finish hashes until the oldest block is done.
func (s *sums) finish() { s.belt.Finish(func(n int64) bool { return n == s.told }, s.done) }

// flush tells what is known.
func (s *sums) flush() error {
	for len(s.queue) > 0 && s.queue[0].buf == nil {
		q := s.queue[0]
		s.queue = s.queue[1:]
		s.told++
		if err := s.tell(q.index, q.sum); err != nil {
			return err
		}
	}
	return nil
}

// end hashes and tells the rest, unless adding ended with err, which it gives back.
func (s *sums) end(err error) error {
	for err == nil && len(s.queue) > 0 {
		s.finish()
		err = s.flush()
	}
	return err
}

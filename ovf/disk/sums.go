package disk

import (
	"crypto/sha256"
	"sync"

	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
	"github.com/cimimove/cimimove/ovf/disk/internal/lanes"
)

// sums takes the digests of blocks of one conversion, many together where that
// is faster: workers give it blocks that they are done with, and who delivers
// them in order waits for the sum. Blocks wait for others to be hashed with,
// unless none is coming: then delivery would wait for ever.
type sums struct {
	batch int // how many blocks are hashed together

	mu      sync.Mutex
	waiting []*block
	coming  int    // blocks that were submitted and not given yet
	wanted  *block // the one that delivery waits for
	hurry   bool   // something failed: nobody waits for others
}

// sums are those of a conversion; nil where there is to be no digest.
func (o *EncodeOptions) sums() *sums {
	if o.NoDigest {
		return nil
	}
	return newSums()
}

func newSums() *sums { return &sums{batch: lanes.Width()} }

// depth is how many blocks a conversion holds in memory: those that wait to be
// hashed together besides those that are worked on.
func (s *sums) depth(workers int) int {
	if s == nil || s.batch == 1 {
		return 0
	}
	return s.batch + 2*inorder.Count(workers)
}

// submitted says that a block will be given, or fail.
func (s *sums) submitted() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.coming++
	s.mu.Unlock()
}

// give takes a block that was worked on, with err, whose data stays as it is
// until wait has returned for it. It gives err back.
func (s *sums) give(b *block, err error) error {
	switch {
	case s == nil:
		return err
	case err != nil:
		s.end()
		return err
	}
	if b.summed == nil {
		b.summed = make(chan struct{}, 1)
	}
	together := s.batch > 1 && len(b.data) == BlockSize && !IsZero(b.data)
	if !together {
		b.sum = SumBlock(b.data)
		b.summed <- struct{}{}
	}
	s.mu.Lock()
	s.coming--
	if together {
		b.queued = true
		s.waiting = append(s.waiting, b)
	}
	s.hash()
	return nil
}

// wait returns when the sum of a block that was given is known.
func (s *sums) wait(b *block) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.wanted = b
	s.hash()
	<-b.summed
	s.mu.Lock()
	s.wanted = nil
	s.mu.Unlock()
}

// end says that blocks that were submitted may not come.
func (s *sums) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.hurry = true
	s.hash()
}

// hash hashes the blocks that wait when it is time, and unlocks s.
func (s *sums) hash() {
	stuck := s.wanted != nil && s.wanted.queued && s.coming == 0
	if len(s.waiting) < s.batch && !stuck && !s.hurry {
		s.mu.Unlock()
		return
	}
	blocks := s.waiting
	s.waiting = nil
	for _, b := range blocks {
		b.queued = false
	}
	s.mu.Unlock()

	data, out := make([][]byte, len(blocks)), make([][sha256.Size]byte, len(blocks))
	for i, b := range blocks {
		data[i] = b.data
	}
	lanes.Sum(data, out)
	for i, b := range blocks {
		b.sum = out[i]
		b.summed <- struct{}{}
	}
}

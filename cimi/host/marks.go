package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
)

func newHead(b []byte) io.Reader { return bytes.NewReader(b) }

const (
	// maxHead is how much of the start of an image is kept until it is known
	// how much is wanted.
	maxHead = 128 << 10
	// step is how far apart the states of the digest are, at least, that are held
	// for a while: the decoder reads ahead of the places that it tells.
	step = 256 << 10
	// enough is more than a decoder reads ahead.
	enough = 1 << 20
	// far is how much passes at most without a state.
	far = 4 << 20
)

// marks reads an image and notes where an import could go on. Read and place
// are called by the goroutine that reads, block by the one that delivers.
type marks struct {
	ctx   context.Context
	keep  Keeper
	disk  *Disk
	c     *files.Content
	head  []byte // of the image; grows until it is complete
	whole bool   // it is
	// ahead is what of the stream lies in front of what is read now: where in
	// the stored file a place of the stream is.
	ahead int64

	passed []stretch // of a little while, without gaps
	last   int64     // place of the last mark, in the stored file
	prev   int64     // the block before the next place

	mu      sync.Mutex
	said    disk.Info
	waiting []mark // for their block
	ready   *Kept  // the latest that may be kept
	failed  error
	busy    sync.WaitGroup
	working bool
}

// stretch is a part of the stream that has passed.
type stretch struct {
	state ovf.Passed // before it
	bytes []byte
}

// end is its end in the stored file.
func (s *stretch) end() int64 { return s.state.Offset + int64(len(s.bytes)) }

// mark is a place that counts when a block is written.
type mark struct {
	after int64
	kept  Kept
}

func newMarks(ctx context.Context, k Keeper, d *Disk, c *files.Content, was Kept) *marks {
	m := &marks{ctx: ctx, keep: k, disk: d, c: c, prev: -1, last: was.File.Offset}
	if state, ok := c.Passage.Passed(); ok {
		m.passed = append(m.passed, stretch{state: state, bytes: make([]byte, 0, 2*step)})
	}
	if was.Head != nil {
		m.head, m.whole = was.Head, true
		m.ahead = was.File.Offset - int64(len(was.Head))
	}
	return m
}

func (m *marks) Read(p []byte) (int, error) {
	n, err := m.c.Reader.Read(p)
	if !m.whole && len(m.head) < maxHead {
		m.head = append(m.head, p[:min(n, maxHead-len(m.head))]...)
	}
	m.hold(p[:n])
	return n, err
}

// hold holds the bytes that passed last, and the states of the digest on the
// way. A stretch that is left behind is the room for the next one.
func (m *marks) hold(p []byte) {
	if len(m.passed) == 0 {
		return
	}
	last := &m.passed[len(m.passed)-1]
	last.bytes = append(last.bytes, p...)
	if len(last.bytes) < step {
		return
	}
	at := last.end()
	state, ok := m.c.Passage.Passed()
	if !ok || state.Offset != at {
		if len(last.bytes) > far {
			m.passed = nil // nothing can be kept
		}
		return
	}
	var room []byte
	for m.passed[0].end() <= at-enough {
		room = m.passed[0].bytes[:0]
		m.passed = append(m.passed[:0], m.passed[1:]...)
	}
	if room == nil {
		room = make([]byte, 0, 2*step)
	}
	m.passed = append(m.passed, stretch{state: state, bytes: room})
}

// info is what the image says of itself.
func (m *marks) info(i disk.Info) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said = i
}

// place notes where a block begins, once a chunk.
func (m *marks) place(index, offset int64) {
	prev := m.prev
	m.prev = index
	if prev > index {
		m.last = 1<<62 - 1 // in no order: nothing can be kept
		return
	}
	if !m.whole {
		head, ok := headOf(m.head)
		if !ok {
			m.last = 1<<62 - 1
			return
		}
		m.head, m.whole = head, true
	}
	at := offset + m.ahead
	if at-m.last < m.keep.Chunk() || prev < 0 {
		return
	}
	i := slices.IndexFunc(m.passed, func(s stretch) bool { return s.state.Offset <= at && at <= s.end() })
	if i < 0 {
		return // held no more
	}
	s := m.passed[i]
	state, err := manifest.Advance(s.state, s.bytes[:at-s.state.Offset])
	if err != nil {
		return
	}
	m.last = at
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting = append(m.waiting, mark{prev, Kept{File: state, Block: index, Head: m.head, Info: m.said}})
}

// block is told that a block is written, and all before it.
func (m *marks) block(index int64, _ disk.BlockSum) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.waiting) > 0 && m.waiting[0].after <= index {
		m.ready = &m.waiting[0].kept
		m.waiting = m.waiting[1:]
	}
	if m.ready == nil || m.working || m.failed != nil {
		return
	}
	m.working = true
	// Besides the decoding: it waits for the disk. What has become ready meanwhile is
	// kept too: the source may stall now.
	m.busy.Go(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for m.ready != nil && m.failed == nil {
			k := *m.ready
			m.ready = nil
			m.mu.Unlock()
			err := m.keep.Keep(m.ctx, m.disk, k)
			m.mu.Lock()
			if m.failed = err; err != nil && m.ready == nil {
				m.ready = &k // end keeps it, if that was but the end of ctx
			}
		}
		m.working = false
	})
}

// end keeps how far the disk has come at last.
func (m *marks) end(ctx context.Context, res disk.Result, err error) error {
	m.busy.Wait()
	if m.failed != nil && !errors.Is(m.failed, context.Canceled) && err == nil {
		return &sinkError{m.failed}
	}
	if err == nil {
		state, ok := m.c.Passage.Passed()
		if !ok {
			return nil
		}
		m.ready = &Kept{File: state, Head: m.head, Info: m.said, Done: true, Digest: res.Digest.String(), Bytes: res.Digest.Size}
	}
	if m.ready == nil || isContentError(err) {
		return err
	}
	if keepErr := m.keep.Keep(context.WithoutCancel(ctx), m.disk, *m.ready); err == nil && keepErr != nil {
		return &sinkError{keepErr}
	}
	return err
}

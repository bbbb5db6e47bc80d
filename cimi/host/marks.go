package host

import (
	"bytes"
	"context"
	"errors"
	"io"
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
	// step is how far apart the states of the digest are that are held for a
	// while: the decoder reads ahead of the places that it tells.
	step = 256 << 10
	// enough is more than a decoder reads ahead.
	enough = 1 << 20
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

	states []ovf.Passed // of a little while, step apart
	since  []byte       // what has passed behind the first of them
	last   int64        // place of the last mark, in the stored file
	prev   int64        // the block before the next place

	mu      sync.Mutex
	said    disk.Info
	waiting []mark // for their block
	ready   *Kept  // the latest that may be kept
	failed  error
	busy    sync.WaitGroup
	working bool
}

// mark is a place that counts when a block is written.
type mark struct {
	after int64
	kept  Kept
}

func newMarks(ctx context.Context, k Keeper, d *Disk, c *files.Content, was Kept) *marks {
	m := &marks{ctx: ctx, keep: k, disk: d, c: c, prev: -1, last: was.File.Offset}
	if state, ok := c.Passage.Passed(); ok {
		m.states = append(m.states, state)
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
// way.
func (m *marks) hold(p []byte) {
	if len(m.states) == 0 {
		return
	}
	m.since = append(m.since, p...)
	at := m.states[0].Offset + int64(len(m.since))
	if at-m.states[len(m.states)-1].Offset >= step {
		if state, ok := m.c.Passage.Passed(); ok && state.Offset == at {
			m.states = append(m.states, state)
		}
	}
	if len(m.since) < 4*enough {
		return
	}
	keep := 0
	for keep+1 < len(m.states) && m.states[keep+1].Offset <= at-enough {
		keep++
	}
	drop := m.states[keep].Offset - m.states[0].Offset
	m.since = append(m.since[:0], m.since[drop:]...)
	m.states = append(m.states[:0], m.states[keep:]...)
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
	if at-m.last < m.keep.Chunk() || prev < 0 || len(m.states) == 0 {
		return
	}
	i := 0
	for i+1 < len(m.states) && m.states[i+1].Offset <= at {
		i++
	}
	from, to := m.states[i].Offset-m.states[0].Offset, at-m.states[0].Offset
	if from > to || to > int64(len(m.since)) {
		return // held no more
	}
	state, err := manifest.Advance(m.states[i], m.since[from:to])
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
	k := *m.ready
	m.ready, m.working = nil, true
	m.busy.Go(func() {
		// Besides the decoding: it waits for the disk.
		err := m.keep.Keep(m.ctx, m.disk, k)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.failed, m.working = err, false
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

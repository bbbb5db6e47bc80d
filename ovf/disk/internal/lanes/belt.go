package lanes

import (
	"crypto/sha256"
	"encoding/binary"
)

// Belt hashes messages of one length that come one after the other, side by side:
// each has a lane until it is done, and those in the other lanes are further on
// or less far. Who adds one and takes a Step each time has one done each time, and
// never waits for as many as there are lanes. It is for one goroutine at a time,
// and where Width is more than 1.
type Belt[T any] struct {
	length int // of a message in bytes, a multiple of width blocks
	state  [8][width]uint32
	lanes  [width]lane[T]
	busy   int
}

type lane[T any] struct {
	message []byte // nil where the lane is free
	done    int    // bytes of it
	what    T
}

// NewBelt is for messages of length bytes, a multiple of 1024.
func NewBelt[T any](length int) *Belt[T] { return &Belt[T]{length: length} }

// Busy is how many messages are not done.
func (b *Belt[T]) Busy() int { return b.busy }

// Add gives a free lane a message, which must stay as it is until it is done;
// what is told then.
func (b *Belt[T]) Add(message []byte, what T) {
	for n := range b.lanes {
		if b.lanes[n].message != nil {
			continue
		}
		b.lanes[n] = lane[T]{message: message[:b.length], what: what}
		for i := range b.state {
			b.state[i][n] = initial[i]
		}
		b.busy++
		return
	}
	panic("lanes: no lane is free")
}

// Step hashes as much of the messages together as one of them is long, and tells
// of those that are done.
func (b *Belt[T]) Step(done func(what T, sum [sha256.Size]byte)) { b.advance(b.length/width, done) }

// Finish hashes on until the first lane that is is done, or until no message is
// left where they are too few to be hashed together.
func (b *Belt[T]) Finish(is func(what T) bool, done func(what T, sum [sha256.Size]byte)) {
	if b.busy < worth {
		for n := range b.lanes {
			if l := &b.lanes[n]; l.message != nil {
				b.leave(n, sha256.Sum256(l.message), done)
			}
		}
		return
	}
	for n := range b.lanes {
		if l := &b.lanes[n]; l.message != nil && is(l.what) {
			b.advance(b.length-l.done, done)
			return
		}
	}
}

// advance hashes n bytes more of every message, or what is left of it.
func (b *Belt[T]) advance(n int, done func(what T, sum [sha256.Size]byte)) {
	for n > 0 && b.busy > 0 {
		part := n
		var at [width]*byte
		var any *byte
		for i := range b.lanes {
			if l := &b.lanes[i]; l.message != nil {
				part = min(part, b.length-l.done)
				at[i] = &l.message[l.done]
				any = at[i]
			}
		}
		for i := range at {
			if at[i] == nil {
				at[i] = any // a free lane hashes what another does
			}
		}
		compress(&b.state, &at, part/sha256.BlockSize)
		n -= part
		b.end(part, done)
	}
}

// end takes those out that are done after part bytes more. The padding of whole
// blocks is a block of its own.
func (b *Belt[T]) end(part int, done func(what T, sum [sha256.Size]byte)) {
	over := false
	for i := range b.lanes {
		if l := &b.lanes[i]; l.message != nil {
			l.done += part
			over = over || l.done == b.length
		}
	}
	if !over {
		return
	}
	state := b.state
	pad(&state, b.length)
	for i := range b.lanes {
		if l := &b.lanes[i]; l.message != nil && l.done == b.length {
			b.leave(i, sumOf(&state, i), done)
		}
	}
}

// leave frees lane n.
func (b *Belt[T]) leave(n int, sum [sha256.Size]byte, done func(what T, sum [sha256.Size]byte)) {
	what := b.lanes[n].what
	b.lanes[n] = lane[T]{}
	b.busy--
	done(what, sum)
}

// pad hashes the padding of messages of n bytes, whole blocks.
func pad(state *[8][width]uint32, n int) {
	var end [sha256.BlockSize]byte
	end[0] = 0x80
	binary.BigEndian.PutUint64(end[56:], uint64(n)*8)
	var at [width]*byte
	for lane := range at {
		at[lane] = &end[0]
	}
	compress(state, &at, 1)
}

func sumOf(state *[8][width]uint32, lane int) (sum [sha256.Size]byte) {
	for i := range state {
		binary.BigEndian.PutUint32(sum[4*i:], state[i][lane])
	}
	return sum
}

// initial is the hash value of FIPS 180-4 5.3.3.
var initial = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}

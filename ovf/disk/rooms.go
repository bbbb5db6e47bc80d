package disk

import (
	"slices"
	"sync"
	"unsafe"
)

// NewBuffer is room for one block.
func NewBuffer() []byte { return make([]byte, BlockSize) }

// NewBuffers is room for n blocks, in large pages where the system has them: a
// virtual machine can take longer to give a process its first use of a page of
// 4 KiB than to fill it. They take no memory before they are used.
func NewBuffers(n int) [][]byte {
	if n <= 0 {
		return nil
	}
	all := make([]byte, n*(BlockSize+apart)+largePage)
	all = all[-uintptr(unsafe.Pointer(&all[0]))%largePage:]
	if n > 1 {
		wantLargePages(all[:n*(BlockSize+apart)/largePage*largePage])
	}
	out := make([][]byte, n)
	for i := range out {
		room := all[i*(BlockSize+apart):]
		out[i] = room[:BlockSize:BlockSize]
	}
	return out
}

// rooms are buffers for blocks.
type rooms struct {
	mu   sync.Mutex
	free [][]byte
}

const largePage = 2 << 20

// apart lies between two buffers. What lies a power of two bytes apart competes
// for the same lines of a cache, and sixteen blocks that are hashed together
// are more than have room there.
const apart = 5 * 64

// newRooms makes n buffers.
func newRooms(n int) *rooms {
	r := &rooms{free: NewBuffers(n)}
	slices.Reverse(r.free)
	return r
}

// take gives a buffer, another one where all are in use.
func (r *rooms) take() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.free)
	if n == 0 {
		return NewBuffer()
	}
	b := r.free[n-1]
	r.free = r.free[:n-1]
	return b
}

func (r *rooms) give(b []byte) {
	r.mu.Lock()
	r.free = append(r.free, b)
	r.mu.Unlock()
}

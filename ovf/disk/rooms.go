package disk

import (
	"sync"
	"unsafe"
)

// NewBuffer is room for one block.
func NewBuffer() []byte { return make([]byte, BlockSize) }

// rooms are buffers for blocks, in large pages where the system has them: a
// virtual machine can take longer to give a process its first use of a page of
// 4 KiB than to fill it.
type rooms struct {
	mu   sync.Mutex
	free [][]byte
}

const largePage = 2 << 20

// newRooms makes n buffers; they take no memory before they are used.
func newRooms(n int) *rooms {
	r := &rooms{}
	if n <= 0 {
		return r
	}
	all := make([]byte, n*BlockSize+largePage)
	all = all[-uintptr(unsafe.Pointer(&all[0]))%largePage:]
	if n > 1 {
		wantLargePages(all[:n*BlockSize/largePage*largePage])
	}
	for i := n - 1; i >= 0; i-- {
		r.free = append(r.free, all[i*BlockSize:(i+1)*BlockSize:(i+1)*BlockSize])
	}
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

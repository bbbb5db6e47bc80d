package disk

import (
	"io"
	"sync"
)

// Turns is a file that several goroutines write to, one at a time. The kernel
// lets no more than one writer into a file either, but has the others spin: who
// waits here leaves them the processor.
type Turns struct {
	w  io.WriterAt
	mu sync.Mutex
}

// NewTurns makes Turns of w.
func NewTurns(w io.WriterAt) *Turns { return &Turns{w: w} }

func (t *Turns) WriteAt(p []byte, off int64) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.WriteAt(p, off)
}

package inorder

import (
	"runtime"
	"sync/atomic"
)

var idle atomic.Int32

// Processors is how many processors there are to work with: GOMAXPROCS without
// the one that SpareProcessor has added.
func Processors() int { return runtime.GOMAXPROCS(0) - int(idle.Load()) }

// SpareProcessor adds one to GOMAXPROCS, once, for which there is no worker. As
// long as one is idle, Go's scheduler lets a call of the system keep its own for
// 10 ms. Without that it looks every 20 µs for calls that take longer, and hands
// their processors to others: reading and writing blocks takes hundreds of
// microseconds, and a thread that wakes up so often interrupts those that hash.
func SpareProcessor() {
	if idle.CompareAndSwap(0, 1) {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

package vsphere

import (
	"net"
	"time"
)

// What waits in the kernel for a host has left the processor's cache when its turn
// comes, and a sender that is faster than its host has 4 MB waiting, as much as the
// kernel takes. A host that is nearWithin away, and takes nearRate bytes a second,
// is kept as busy by nearBuffer bytes, which Linux doubles: they carry 20 Gbit/s
// that far. On a longer way, and to who takes what comes more slowly, much on its
// way keeps a link busy, and stays the kernel's to choose.
const (
	nearWithin = 100 * time.Microsecond
	nearBuffer = 128 << 10
	nearRate   = 400e6
	nearAfter  = 32 << 20 // bytes after which a rate is judged
)

// near watches how fast a connection takes what is sent, and once it is fast enough
// for that lets less wait in it.
type near struct {
	conn   net.Conn
	within time.Duration
	began  time.Time
	bytes  int
	done   bool
}

// sent is told of each write, when it began and how many bytes it had.
func (n *near) sent(began time.Time, bytes int) {
	if n.done {
		return
	}
	if n.bytes == 0 {
		n.began = began
	}
	if n.bytes += bytes; n.bytes < nearAfter {
		return
	}
	fast := float64(n.bytes) >= nearRate*time.Since(n.began).Seconds()
	n.bytes = 0
	tcp, ok := n.conn.(*net.TCPConn)
	if !ok {
		n.done = true
		return
	}
	if !fast {
		return
	}
	n.done = true
	if way, known := roundTrip(tcp); known && way <= n.within {
		_ = tcp.SetWriteBuffer(nearBuffer) // else it stays as it is
	}
}

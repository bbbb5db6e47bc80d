package vsphere

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// roundTrip is the shortest time in which the other end has answered; not known
// where the kernel does not tell.
func roundTrip(c *net.TCPConn) (least time.Duration, known bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if known = err == nil && info.Min_rtt > 0; known {
			least = time.Duration(info.Min_rtt) * time.Microsecond
		}
	})
	return least, known && err == nil
}

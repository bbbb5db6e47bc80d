package vsphere

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNear: less waits in a connection to a host that is near and takes what comes
// fast; any other keeps what the kernel gives it, until it is fast.
func TestNear(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const slow, fast = -time.Second, 0
	for name, c := range map[string]struct {
		within time.Duration
		rounds []time.Duration // how long ago each began
		short  bool
	}{
		"near and fast":      {time.Hour, []time.Duration{fast}, true},
		"near and slow":      {time.Hour, []time.Duration{slow, slow}, false},
		"near and fast soon": {time.Hour, []time.Duration{slow, fast}, true},
		"far and fast":       {0, []time.Duration{fast, fast}, false},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			n := near{conn: conn, within: c.within}
			before := writeBuffer(t, conn)
			for _, ago := range c.rounds {
				began := time.Now().Add(ago)
				n.sent(began, nearAfter-1)
				if got := writeBuffer(t, conn); got != before {
					t.Errorf("room for %d bytes, %d before, and nothing is known yet", got, before)
				}
				n.sent(time.Now(), 1)
			}
			want := before
			if c.short {
				want = 2 * nearBuffer
			}
			if got := writeBuffer(t, conn); got != want {
				t.Errorf("room for %d bytes, %d before, want %d", got, before, want)
			}
		})
	}
}

func writeBuffer(t *testing.T, c net.Conn) (n int) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got error
	if err := raw.Control(func(fd uintptr) { n, got = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF) }); err != nil || got != nil {
		t.Fatal(err, got)
	}
	return n
}

package libvirtd

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// Counting is a socket of the libvirtd that counts the bytes that are sent to it, and
// those that come from it.
func Counting(t testing.TB) (socket string, sent, came *atomic.Int64) {
	t.Helper()
	dir, err := os.MkdirTemp("", "count")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	sent, came = new(atomic.Int64), new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", Socket)
			if err != nil {
				c.Close()
				return
			}
			go func() {
				io.Copy(c, io.TeeReader(to, adding{came}))
				c.Close()
			}()
			go func() {
				io.Copy(to, io.TeeReader(c, adding{sent}))
				to.Close()
			}()
		}
	}()
	return filepath.Join(dir, "sock"), sent, came
}

type adding struct{ n *atomic.Int64 }

func (a adding) Write(p []byte) (int, error) {
	a.n.Add(int64(len(p)))
	return len(p), nil
}

package libvirt_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// cutting is a libvirtd that loses connections: each ends after some bytes.
func cutting(t testing.TB, after int64) (path string, cuts *atomic.Int64) {
	t.Helper()
	dir, err := os.MkdirTemp("", "cut")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	cuts = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				to, err := net.Dial("unix", libvirtd.Socket)
				if err != nil {
					return
				}
				defer to.Close()
				go io.Copy(c, to)
				if n, _ := io.CopyN(to, c, after); n == after {
					cuts.Add(1)
				}
			}()
		}
	}()
	return filepath.Join(dir, "sock"), cuts
}

// TestAC05RenewalE2E: connections that are lost in the middle are made again,
// and the upload goes on where it was; progress never goes back.
func TestAC05RenewalE2E(t *testing.T) {
	libvirtd.Need(t)
	pool, _ := libvirtd.Pool(t)
	socket, cuts := cutting(t, 21<<20) // more than a batch, less than all
	h, err := libvirt.Open(context.Background(), "qemu:///system?type=qemu&pool="+pool+"&socket="+socket, libvirt.Options{Owner: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	data := hosttest.Content(1, 90<<20)
	b := hosttest.OneMachine(t, hosttest.Hardware("", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}, hosttest.OnController("3", 0, "d")),
		[]ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(len(data)), PopulatedSize: -1}}, []ovf.File{{ID: "f", Href: "d.img", Size: int64(len(data))}}, [2]string{"d.img", string(data)})
	last := int64(0)
	s, err := h.Import(context.Background(), hosttest.Package(t, b), host.ImportOptions{Progress: func(p host.DiskProgress) {
		if p.Done < last {
			t.Errorf("progress went back from %d to %d", last, p.Done)
		}
		last = p.Done
	}})
	if err != nil {
		t.Fatalf("after %d lost connections: %v", cuts.Load(), err)
	}
	if cuts.Load() < 3 {
		t.Fatalf("only %d connections were lost", cuts.Load())
	}
	img, err := h.OpenDisk(context.Background(), s.Disks[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	got := make([]byte, len(data))
	if err := disk.ReadFull(img, got, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("after %d lost connections the disk has another content: %v", cuts.Load(), err)
	}
	t.Logf("%d connections were lost", cuts.Load())
}

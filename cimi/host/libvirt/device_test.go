package libvirt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
)

// device is a block device of so many bytes with something old on it, as a node
// in a folder. It is of memory, as the kernel makes one for whoever may ask.
func device(t *testing.T, path string, size int64) {
	t.Helper()
	const control = "/sys/class/zram-control/"
	b, err := os.ReadFile(control + "hot_add")
	if err != nil {
		t.Skipf("no block device can be made here: %v", err) // nothing that could be installed
	}
	n := strings.TrimSpace(string(b))
	t.Cleanup(func() {
		os.WriteFile("/sys/block/zram"+n+"/reset", []byte("1"), 0)
		if err := os.WriteFile(control+"hot_remove", []byte(n), 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile("/sys/block/zram"+n+"/disksize", fmt.Append(nil, size), 0); err != nil {
		t.Fatal(err)
	}
	numbers, err := os.ReadFile("/sys/block/zram" + n + "/dev")
	if err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(numbers), "%d:%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mknod(path, syscall.S_IFBLK|0o666, major<<8|minor); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("old content "), int(size)/12), 0); err != nil {
		t.Fatal(err)
	}
}

// TestDeviceE2E: an upload to a volume that is a device writes zeros where there
// is a hole in what comes, at the end too, over what was there before; what goes
// on behind a mark leaves what lies before it.
func TestDeviceE2E(t *testing.T) {
	libvirtd.Need(t)
	ctx := context.Background()
	pool, dir := libvirtd.Pool(t)
	const size = 48 << 20
	path := filepath.Join(dir, "device")
	device(t, path, size)
	libvirtd.Virsh(t, "pool-refresh", pool)
	// In a pool of folders libvirt calls it a file, and writes to it as to a device.
	if info := libvirtd.Virsh(t, "vol-info", "--bytes", "--pool", pool, "device"); !strings.Contains(info, fmt.Sprint(size)) {
		t.Fatalf("libvirt does not see the device: %s", info)
	}
	h, err := Open(ctx, "qemu:///system?type=qemu&pool="+pool, Options{Owner: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	vol, err := h.volume(ctx, place{pool, "device"})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, size)
	up := newUpload(ctx, h.conn, vol, size)
	write := func(off int64, n int, b byte) {
		t.Helper()
		p := bytes.Repeat([]byte{b}, n)
		if _, err := up.WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
		copy(want[off:], p)
	}
	write(1<<20, 3<<20, 'a')
	write(10<<20, 1<<20, 'b')
	write(8<<20, 64<<10, 'c') // out of order
	if err := up.settle(20 << 20); err != nil {
		t.Fatal(err)
	}
	up = newUpload(ctx, h.conn, vol, size) // another process
	up.sent = 20 << 20
	write(30<<20, 2<<20, 'd')
	if err := up.finish(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		at := 0
		for got[at] == want[at] {
			at++
		}
		t.Errorf("the device holds another content from %d on: %q", at, got[at:min(at+16, len(got))])
	}
	file, err := h.openVolume(ctx, place{pool, "device"}, "raw")
	if err != nil {
		t.Fatal(err)
	}
	read := make([]byte, size)
	if _, err := (&rawVolume{volumeFile: file}).ReadAt(read, 0); err != nil || !bytes.Equal(read, want) {
		t.Errorf("read through libvirt it holds another content: %v", err)
	}
	if err := errors.Join(file.Close(), os.Remove(path)); err != nil {
		t.Error(err)
	}
}

package libvirt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
)

// foreign starts a domain that is none of ours, and gives its id here.
func foreign(t testing.TB, name, disks string) (id string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.xml")
	text := fmt.Sprintf("<domain type='qemu'><name>%s</name><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os><devices>%s</devices></domain>", name, disks)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	libvirtd.Virsh(t, "define", path)
	libvirtd.Virsh(t, "start", name)
	return strings.ReplaceAll(strings.TrimSpace(libvirtd.Virsh(t, "domuuid", name)), "-", "")
}

// TestLiveForeignE2E: a domain that others made is exported while it runs, an image
// over another one as one disk; one whose disk another writes to as well is not.
func TestLiveForeignE2E(t *testing.T) {
	libvirtd.Need(t)
	ctx := context.Background()
	hosts := newHosts("")
	h := hosts.Open(t)
	pool := hosts.pools[h]
	dir := filepath.Join("/var/tmp", pool)
	want := map[string][]byte{"vda": hosttest.Content(3, 4<<20), "vdb": hosttest.Content(4, 2<<20)}
	for name, b := range want {
		if err := os.WriteFile(filepath.Join(dir, name+".raw"), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", filepath.Join(dir, "vda.raw"), filepath.Join(dir, "vda.qcow2")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	libvirtd.Virsh(t, "pool-refresh", pool)
	shared := "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='" + dir + "/vdb.raw'/><target dev='%s' bus='virtio'/><shareable/></disk>"
	id := foreign(t, pool+"-a", "<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/><source pool='"+pool+"' volume='vda.qcow2'/><target dev='vda' bus='virtio'/></disk>"+fmt.Sprintf(shared, "vdb"))
	libvirtd.Write(t, pool+"-a", "vda.qcow2", "write -P 9 1M 64k")
	copy(want["vda"][1<<20:], bytes.Repeat([]byte{9}, 64<<10))
	x, archive := live(t, h, id, host.ExportOptions{})
	holds(t, archive, want)
	if err := errors.Join(x.Close(), h.(host.Retainer).Retain(ctx, nil)); err != nil {
		t.Fatal(err)
	}
	foreign(t, pool+"-b", fmt.Sprintf(shared, "vdc"))
	if x, err := h.Export(ctx, id, host.ExportOptions{Live: true}); !errors.Is(err, host.ErrBusy) || !strings.Contains(err.Error(), "2 machines that run share it") {
		t.Errorf("a disk that two machines write to: %v", err)
		if err == nil {
			x.Close()
		}
	}
	libvirtd.Idle(t, pool+"-a")
	if left := copied(t, pool); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

package libvirt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
)

// TestForeignOddE2E: domains of others whose disks cannot be read, for one reason
// or another, are shown and hide no other; their export is refused by a message
// that names the disk and says what it is.
func TestForeignOddE2E(t *testing.T) {
	libvirtd.Need(t)
	ctx := context.Background()
	pool, dir := libvirtd.Pool(t)
	h := newHosts("").open(t, pool)
	if err := os.WriteFile(filepath.Join(dir, "whole.raw"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	libvirtd.Virsh(t, "pool-refresh", pool)
	disks := map[string]struct{ xml, want string }{
		"whole":   {"<disk type='file' device='disk'><source file='" + dir + "/whole.raw'/><target dev='vda' bus='virtio'/></disk>", ""},
		"missing": {"<disk type='file' device='disk'><source file='" + dir + "/gone.raw'/><target dev='vda' bus='virtio'/></disk>", "gone.raw"},
		"volume":  {"<disk type='volume' device='disk'><source pool='" + pool + "' volume='gone.qcow2'/><target dev='vda' bus='virtio'/></disk>", "gone.qcow2"},
		"pool":    {"<disk type='volume' device='disk'><source pool='nowhere' volume='v'/><target dev='vda' bus='virtio'/></disk>", "nowhere"},
		"block":   {"<disk type='block' device='disk'><source dev='/dev/cimimove-nothing'/><target dev='vda' bus='virtio'/></disk>", "/dev/cimimove-nothing"},
		"network": {"<disk type='network' device='disk'><source protocol='rbd' name='images/one'><host name='127.0.0.1'/></source><target dev='vda' bus='virtio'/></disk>", "rbd://images/one"},
		"none":    {"", ""},
	}
	for name, d := range disks {
		path := filepath.Join(t.TempDir(), "d.xml")
		name = pool + "-" + name
		text := fmt.Sprintf("<domain type='qemu'><name>%s</name><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os><devices>%s</devices></domain>", name, d.xml)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		libvirtd.Virsh(t, "define", path)
		t.Cleanup(func() { libvirtd.Virsh(t, "undefine", name) })
	}
	shown := map[string]*host.System{}
	for _, s := range hosttest.Systems(t, h) {
		if name, ok := strings.CutPrefix(s.Name, pool+"-"); ok {
			shown[name] = s
		}
	}
	for name, d := range disks {
		s := shown[name]
		if s == nil {
			t.Errorf("%s is not shown", name)
			continue
		}
		x, err := h.Export(ctx, s.ID, host.ExportOptions{})
		switch {
		case err == nil:
			x.Close()
			if d.want != "" {
				t.Errorf("%s is exported without its disk", name)
			}
		case d.want == "":
			t.Errorf("%s: %v", name, err)
		case !strings.Contains(err.Error(), d.want):
			t.Errorf("%s: the message does not name %s: %v", name, d.want, err)
		default:
			t.Logf("%s: %v", name, err)
		}
	}
}

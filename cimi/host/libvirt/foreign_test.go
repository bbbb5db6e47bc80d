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
	"github.com/cimimove/cimimove/ovf/disk"
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

// TestAC13ForeignVariablesE2E: the firmware's variables of a domain that others
// made come along where they lie in a pool, and are the machine's again after an
// import; where they do not, that is told, and the rest goes out.
func TestAC13ForeignVariablesE2E(t *testing.T) {
	libvirtd.Need(t)
	libvirtd.NeedFile(t, ovmfVariables, "ovmf")
	ctx := context.Background()
	pool, dir := libvirtd.Pool(t)
	h := newHosts("").open(t, pool)
	vars, err := os.ReadFile(ovmfVariables)
	if err != nil {
		t.Fatal(err)
	}
	vars[len(vars)-1] = 9 // ours
	outside := t.TempDir()
	for name, folder := range map[string]string{"inside": dir, "outside": outside} {
		if err := os.WriteFile(filepath.Join(folder, name+".fd"), vars, 0o644); err != nil {
			t.Fatal(err)
		}
		libvirtd.Virsh(t, "pool-refresh", pool)
		name = pool + "-" + name
		path := filepath.Join(t.TempDir(), "d.xml")
		text := fmt.Sprintf("<domain type='qemu'><name>%s</name><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type>"+
			"<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram>%s/%s.fd</nvram></os><features><acpi/></features><devices/></domain>",
			name, folder, strings.TrimPrefix(name, pool+"-"))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		libvirtd.Virsh(t, "define", path)
		t.Cleanup(func() { libvirtd.Virsh(t, "undefine", "--keep-nvram", name) })
	}
	for _, s := range hosttest.Systems(t, h) {
		name, ok := strings.CutPrefix(s.Name, pool+"-")
		if !ok {
			continue
		}
		x, err := h.Export(ctx, s.ID, host.ExportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, x.Size())
		if err := disk.ReadFull(x, b, 0); err != nil {
			t.Fatal(err)
		}
		hosttest.ValidDescriptor(t, b)
		if told := len(x.Findings()) > 0 && x.Findings()[0].ID == "LIBVIRT-NVRAM-001"; told != (name == "outside") {
			t.Errorf("%s: found %+v", name, x.Findings())
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		file, has := hosttest.Package(t, b).Envelope().VirtualSystems()[0].Hardware()[0].NVRAM()
		if has != (name == "inside") || has && hosttest.Files(t, b)[file.Href] != string(vars) {
			t.Errorf("%s: the package has variables: %v", name, has)
		}
		back, _ := hosttest.Importing(t, h, b, host.ImportOptions{Name: "back " + name})
		d, _ := domainOf(t, back.Machines[0])
		if m := madeOf(t, back, d); m.Firmware != "efi" || m.Variables != (name == "inside") {
			t.Errorf("%s: back it is %+v", name, m)
		}
	}
}

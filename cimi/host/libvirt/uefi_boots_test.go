package libvirt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/bootdisk"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/ovf"
)

var (
	template  = regexp.MustCompile(`<nvram[^>]* template='([^']*)'`)
	variables = regexp.MustCompile(`<nvram[^>]*>([^<]*)</nvram>`)
)

// TestAC26UEFIBoots: a disk with a GPT and an EFI system partition, in a machine
// whose descriptor says efi, boots by OVMF with variables made of the template
// that goes with its code; it does again out of the OVA that it was exported to.
func TestAC26UEFIBoots(t *testing.T) {
	libvirtd.Need(t)
	libvirtd.NeedFile(t, ovmfVariables, "ovmf")
	ctx := context.Background()
	pool, _ := libvirtd.Pool(t)
	consoles := t.TempDir()
	h, err := libvirt.Open(ctx, "qemu:///system?type=qemu&pool="+pool, libvirt.Options{Owner: "test", ConsoleDir: consoles})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	const id = "by-uefi"
	image := packed(t, id, bootdisk.Options{UEFI: true})
	hw := hosttest.Hardware("efi", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceOther, ResourceSubType: "vmware.sata.ahci"}, hosttest.OnController("3", 0, "d"))
	for i := range hw.Items {
		if hw.Items[i].ResourceType == ovf.ResourceMemory {
			n := uint64(256)
			hw.Items[i].VirtualQuantity = &n
		}
	}
	b := hosttest.OneMachine(t, hw, []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(bootdisk.Size), Format: streamOptimized, PopulatedSize: -1}},
		[]ovf.File{{ID: "f", Href: "d.vmdk", Size: int64(len(image))}}, [2]string{"d.vmdk", image})
	digest := ""
	for i, name := range []string{"first", "out of the OVA"} {
		s, _ := hosttest.Importing(t, h, b, host.ImportOptions{Name: name})
		m := s.Machines[0]
		if digest == "" {
			digest = s.Disks[0].ContentDigest
		}
		if s.Disks[0].ContentDigest != digest {
			t.Errorf("%s: content digest %s, want %s", name, s.Disks[0].ContentDigest, digest)
		}
		if made := madeOf(t, s, must(domainOf(t, m))); made.Firmware != "efi" || made.SecureBoot {
			t.Errorf("%s: %+v", name, made)
		}
		if err := h.Start(ctx, m.ID); err != nil {
			t.Fatal(err)
		}
		text := libvirtd.Virsh(t, "dumpxml", uuid(m.ID)) // as it runs: libvirt has chosen
		if of := template.FindStringSubmatch(text); of == nil || !strings.Contains(of[1], "OVMF_VARS") {
			t.Errorf("%s: no template of variables was chosen: %s", name, text)
		}
		t.Logf("%s: %s", name, consoleSays(t, filepath.Join(consoles, m.ID+".log"), id))
		if of := variables.FindStringSubmatch(text); of == nil {
			t.Errorf("%s: it has no variables: %s", name, text)
		} else if _, err := os.Stat(of[1]); err != nil {
			t.Errorf("%s: its variables: %v", name, err)
		}
		if err := h.Stop(ctx, m.ID, true); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			b = hosttest.Exported(t, h, s.ID)
			if f := hosttest.Package(t, b).Envelope().VirtualSystems()[0].Hardware()[0].Firmware(); f != "efi" {
				t.Errorf("the OVA says firmware %q", f)
			}
		}
	}
}

func must(d domain, _ string) domain { return d }

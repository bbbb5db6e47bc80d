package local_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/bootdisk"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// TestAC26UEFIBoots: a disk with a GPT and an EFI system partition, in a machine
// whose descriptor says efi, boots by OVMF with variables of its own.
func TestAC26UEFIBoots(t *testing.T) {
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("set CIMIMOVE_E2E=1 to run it")
	}
	if _, err := os.Stat("/usr/share/OVMF/OVMF_CODE_4M.fd"); err != nil {
		if os.Getenv("CIMIMOVE_CI") != "" {
			t.Fatal("package ovmf is not installed")
		}
		t.Skip("package ovmf is not installed")
	}
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "disk.raw")
	bootdisk.Build(t, path, "by-uefi", bootdisk.Options{UEFI: true})
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := raw.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	if _, err := vmdk.Encode(ctx, img, &image, vmdk.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	hw := hosttest.Hardware("efi", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceOther, ResourceSubType: "vmware.sata.ahci"}, hosttest.OnController("3", 0, "d"))
	for i := range hw.Items {
		if n := uint64(256); hw.Items[i].ResourceType == ovf.ResourceMemory {
			hw.Items[i].VirtualQuantity = &n
		}
	}
	r := runner(t, t.TempDir())
	s, _ := hosttest.Importing(t, r, hosttest.OneMachine(t, hw, []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(bootdisk.Size), PopulatedSize: -1}},
		[]ovf.File{{ID: "f", Href: "d.vmdk", Size: int64(image.Len())}}, [2]string{"d.vmdk", image.String()}), host.ImportOptions{})
	m := s.Machines[0].ID
	if err := r.Start(ctx, m); err != nil {
		t.Fatal(err)
	}
	defer r.Stop(ctx, m, true)
	waitFor(t, "the line of a machine that is up", func() bool {
		return bytes.Contains([]byte(console(t, r, m)), []byte(bootdisk.Marker+"by-uefi"))
	})
	if _, err := os.Stat(filepath.Join(r.Dir(), "run", m, "nvram.fd")); err != nil {
		t.Errorf("its variables: %v", err)
	}
	waitFor(t, "a machine that powers off", func() bool { return state(t, r, s) == host.Stopped })
}

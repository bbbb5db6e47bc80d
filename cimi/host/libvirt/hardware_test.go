package libvirt

import (
	"slices"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
)

// TestAC26UnseenDisk: that a machine boots by UEFI from a disk that the firmware
// does not see is told when it is planned.
func TestAC26UnseenDisk(t *testing.T) {
	h := &Host{caps: capabilities{efi: true}}
	for _, c := range []struct {
		firmware string
		kind     int
		sub      string
		told     bool
	}{
		{"efi", ovf.ResourceSCSI, "VirtualSCSI", true}, {"efi", ovf.ResourceSCSI, "lsilogicsas", true}, {"bios", ovf.ResourceSCSI, "VirtualSCSI", false},
		{"efi", ovf.ResourceSCSI, "lsilogic", false}, // becomes virtio
		{"efi", ovf.ResourceOther, "vmware.sata.ahci", false}, {"efi", ovf.ResourceOther, "vmware.nvme.controller", false},
	} {
		hw := hosttest.Hardware(c.firmware, ovf.Item{InstanceID: "3", ResourceType: c.kind, ResourceSubType: c.sub}, hosttest.OnController("3", 0, "d"))
		env := hosttest.Package(t, hosttest.OneMachine(t, hw, []ovf.Disk{{ID: "d", Capacity: "1048576", PopulatedSize: -1}}, nil)).Envelope()
		s, err := host.View(env, host.ViewOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		if _, err := h.hardwareOf(s, s.Machines[0], env, func(f ovf.Finding) { found = append(found, f.ID) }); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(found, "HOST-SCSI-002") != c.told {
			t.Errorf("%s, %s: found %v", c.firmware, c.sub, found)
		}
	}
}

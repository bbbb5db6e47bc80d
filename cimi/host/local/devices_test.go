package local

import (
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
)

// TestDevicesAreKept: a machine is run with the controllers and the card that
// its package asks for, each of those that Capabilities tells of.
func TestDevicesAreKept(t *testing.T) {
	h, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	r := &Runner{Host: h}
	told := []string{}
	for _, c := range []struct {
		controller       ovf.Item
		card             string
		bus, model, kept string // of QEMU
		as               string // in Capabilities
	}{
		{ovf.Item{ResourceType: ovf.ResourceIDE}, "E1000", "ide", "", "e1000", "ide"},
		{ovf.Item{ResourceType: ovf.ResourceIDE}, "rtl8139", "ide", "", "rtl8139", "ide"},
		{ovf.Item{ResourceType: ovf.ResourceOther, ResourceSubType: "vmware.sata.ahci"}, "E1000e", "sata", "", "e1000e", "sata"},
		{ovf.Item{ResourceType: ovf.ResourceOther, ResourceSubType: "AHCI"}, "VmxNet3", "sata", "", "vmxnet3", "vmxnet3"},
		{ovf.Item{ResourceType: ovf.ResourceOther, ResourceSubType: "vmware.nvme.controller"}, "PCNet32", "nvme", "", "pcnet", "nvme"},
		{ovf.Item{ResourceType: ovf.ResourceUSB, ResourceSubType: "vmware.usb.ehci"}, "virtio", "usb", "", "virtio-net-pci", "usb"},
		{ovf.Item{ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}, "vmxnet3", "scsi", "pvscsi", "vmxnet3", "scsi virtualscsi"},
		{ovf.Item{ResourceType: ovf.ResourceSCSI, ResourceSubType: "pvscsi"}, "e1000", "scsi", "pvscsi", "e1000", "scsi pvscsi"},
		{ovf.Item{ResourceType: ovf.ResourceSCSI, ResourceSubType: "lsilogicsas"}, "pcnet", "scsi", "mptsas1068", "pcnet", "scsi sas"},
	} {
		c.controller.InstanceID, c.controller.Address = "3", "0"
		hw := hosttest.Hardware("", c.controller, hosttest.OnController("3", 0, "d"), ovf.Item{ResourceType: ovf.ResourceEthernet, ResourceSubType: c.card, Connection: []string{"lan"}, AutomaticAllocation: true})
		s, _ := hosttest.Importing(t, h, hosttest.OneMachine(t, hw, []ovf.Disk{{ID: "d", Capacity: "1048576", PopulatedSize: -1}}, nil), host.ImportOptions{})
		got, err := r.configure(t.Context(), s, s.Machines[0])
		if err != nil {
			t.Fatal(err)
		}
		if d := got.Disks[0]; d.Bus != c.bus || c.model != "" && d.SCSIModel != c.model || got.Cards[0].Model != c.kept {
			t.Errorf("%s with %s: disk %+v, card %+v", c.as, c.card, d, got.Cards[0])
		}
		told = append(told, c.as, strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(c.card), "32"), "e"))
	}
	for _, d := range h.Capabilities().Devices {
		if !slices.Contains(told, d) {
			t.Errorf("%s is told of and was not tried", d)
		}
	}
}

package hosttest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// ac15Version2: a descriptor of VirtualBox's in OVF 2 becomes a machine with its
// disk and its card.
func ac15Version2(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	h := open(t, want.Variants[0])
	data := Content(5, 1<<20)
	d := ovf.Draft{Version: ovf.V2, Files: []ovf.File{{ID: "f", Href: "d.img", Size: int64(len(data))}},
		Disks: []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(len(data)), PopulatedSize: -1}}, Networks: []ovf.Network{{Name: "NAT"}},
		Content: ovf.DraftContent{ID: "vbox", Name: "vbox", Hardware: []ovf.DraftHardware{Hardware("",
			ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceStorage, ResourceSubType: "AHCI"},
			ovf.Item{Kind: "StorageItem", InstanceID: "4", ResourceType: ovf.ResourceLogicalDisk, Parent: "3", AddressOnParent: "0", HostResource: []string{"/disk/d"}, AutomaticAllocation: true},
			ovf.Item{Kind: "EthernetPortItem", InstanceID: "5", ResourceType: ovf.ResourceEthernet, Connection: []string{"NAT"}, Address: "08:00:27:11:22:33", ResourceSubType: "E1000", AutomaticAllocation: true})}}}
	s, _ := Importing(t, h, Archive(t, d, [2]string{"d.img", string(data)}), host.ImportOptions{Networks: map[string]string{"NAT": want.Network}})
	m := h.Made(t, s, s.Machines[0])
	if len(m.Disks) != 1 || m.Disks[0].Bus != "sata" || !slices.Equal(m.Cards, []Card{{"e1000", "08:00:27:11:22:33"}}) {
		t.Errorf("the machine has not what the descriptor says: %+v", m)
	}
}

// everyController are controllers of every kind, by their InstanceIDs.
var everyController = []ovf.Item{
	{InstanceID: "10", ResourceType: ovf.ResourceIDE, Address: "0"}, {InstanceID: "11", ResourceType: ovf.ResourceIDE, Address: "1"},
	{InstanceID: "12", ResourceType: ovf.ResourceSCSI, Address: "0", ResourceSubType: "VirtualSCSI"}, {InstanceID: "13", ResourceType: ovf.ResourceSCSI, Address: "1", ResourceSubType: "lsilogicsas"},
	{InstanceID: "14", ResourceType: ovf.ResourceSCSI, Address: "2", ResourceSubType: "lsilogic"},
	{InstanceID: "15", ResourceType: ovf.ResourceOther, Address: "0", ResourceSubType: "vmware.sata.ahci"}, {InstanceID: "16", ResourceType: ovf.ResourceOther, Address: "0", ResourceSubType: "vmware.nvme.controller"},
	{InstanceID: "17", ResourceType: ovf.ResourceUSB, Address: "0", ResourceSubType: "vmware.usb.ehci"}}

// commonSlots are places that every hypervisor has something for.
var commonSlots = []Slot{{"12", 15}, {"12", 3}, {"10", 1}, {"10", 0}, {"11", 0}, {"13", 2}, {"14", 6}, {"15", 7}, {"15", 0}, {"16", 0}}

// ac23Controllers: every kind of controller is made, disks stand in the order of
// controller and address, none is left out, and what has no place is refused
// before anything is made.
func ac23Controllers(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	h := open(t, want.Variants[0])
	items := slices.Clone(everyController)
	var disks []ovf.Disk
	for i, at := range append(slices.Clone(commonSlots), want.Slots...) {
		id := fmt.Sprintf("d%d", i)
		disks = append(disks, ovf.Disk{ID: id, Capacity: fmt.Sprint(1<<20 + i*1024), PopulatedSize: -1})
		items = append(items, OnController(at.Parent, at.Unit, id))
	}
	s, found := Importing(t, h, OneMachine(t, Hardware("", items...), disks, nil), host.ImportOptions{})
	got := map[string]Placed{}
	for _, d := range h.Made(t, s, s.Machines[0]).Disks {
		id := d.Disk
		d.Disk = ""
		got[id] = d
	}
	for _, d := range disks {
		if is, ok := got[d.ID]; !ok || is != want.Places[d.ID] {
			t.Errorf("disk %s is at %+v, want %+v", d.ID, is, want.Places[d.ID])
		}
	}
	if len(got) != len(disks) {
		t.Errorf("%d disks of %d", len(got), len(disks))
	}
	if told := slices.Contains(found, want.ModelsTold); want.ModelsTold != "" && !told {
		t.Errorf("that a controller becomes another is not told: %v", found)
	}
	var order []string
	for _, a := range s.Machines[0].Attachments {
		order = append(order, fmt.Sprintf("%s%d:%d", a.Controller, a.Bus, a.Unit))
	}
	if o := strings.Join(order, " "); !strings.Contains(o, "scsi0:3 scsi0:15") || !strings.Contains(o, "ide0:0 ide0:1 ide1:0") || !strings.Contains(o, "sata0:0 ") {
		t.Errorf("order %s", o)
	}
	if h.Takes != nil {
		h.Takes(t, s.Machines[0])
	}
	before := h.Left(t)
	var five []ovf.Item
	var blank []ovf.Disk
	for i := range 5 {
		id := fmt.Sprintf("i%d", i)
		blank = append(blank, ovf.Disk{ID: id, Capacity: "1048576", PopulatedSize: -1})
		five = append(five, OnController("10", i, id))
	}
	_, err := h.Import(t.Context(), Package(t, OneMachine(t, Hardware("", append(everyController[:1:1], five...)...), blank, nil)), host.ImportOptions{})
	if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(strings.ToUpper(err.Error()), "IDE") {
		t.Errorf("five disks on IDE: %v", err)
	}
	unchanged(t, "five disks on IDE", before, h)
}

func card(id, mac, model string) ovf.Item {
	return ovf.Item{InstanceID: id, ResourceType: ovf.ResourceEthernet, Connection: []string{"lan"}, Address: mac, ResourceSubType: model, AutomaticAllocation: true}
}

// ac25Cards: cards in the order of the descriptor, which is not that of their
// InstanceIDs, with their addresses; a clash is told, an empty address is none;
// regenerate and strip do what they say, and no two machines get the same one.
func ac25Cards(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	h := open(t, want.Variants[0])
	opts := func(name, mac string) host.ImportOptions {
		return host.ImportOptions{Name: name, MAC: mac, Networks: map[string]string{"lan": want.Network}}
	}
	b := OneMachine(t, Hardware("", card("30", "00:50:56:00:25:03", "VmxNet3"), card("20", "00:50:56:00:25:02", "E1000e"), card("10", "", "PCNet32")), nil, nil)
	s, found := Importing(t, h, b, opts("first", ""))
	if slices.Contains(found, want.Clash) {
		t.Errorf("a clash with nobody: %v", found)
	}
	got := h.Made(t, s, s.Machines[0]).Cards
	if len(got) == 3 {
		got[2].MAC = "" // the hypervisor's to make
	}
	if all := []Card{{"vmxnet3", "00:50:56:00:25:03"}, {"e1000e", "00:50:56:00:25:02"}, {"pcnet32", ""}}; !slices.Equal(got, all) {
		t.Errorf("cards %v, want %v", got, all)
	}
	if n := s.Machines[0].NICs; len(n) != 3 || n[0].MAC != "00:50:56:00:25:03" || n[1].MAC != "00:50:56:00:25:02" {
		t.Errorf("shown: %+v", n)
	}
	_, found = Importing(t, h, b, opts("again", ""))
	if n := len(slices.DeleteFunc(found, func(id string) bool { return id != want.Clash })); n != 2 {
		t.Errorf("%d clashes of addresses are told, want 2 (an empty address is none)", n)
	}
	seen := map[string]string{}
	for i := range 4 {
		s, found := Importing(t, h, b, opts(fmt.Sprint("fresh", i), "regenerate"))
		for _, c := range h.Made(t, s, s.Machines[0]).Cards[:2] {
			if other, twice := seen[c.MAC]; twice || c.MAC == "" || strings.HasPrefix(c.MAC, "00:50:56:00:25:") {
				t.Errorf("%s and %q have the address %q", s.Name, other, c.MAC)
			}
			seen[c.MAC] = s.Name
		}
		if slices.Contains(found, want.Clash) {
			t.Errorf("a clash after new addresses: %v", found)
		}
	}
	stripped, found := Importing(t, h, b, opts("stripped", "strip"))
	if c := h.Made(t, stripped, stripped.Machines[0]).Cards; slices.Contains(found, want.Clash) || c[0].MAC == "00:50:56:00:25:03" || stripped.Machines[0].NICs[0].MAC != "" {
		t.Errorf("the address was not stripped: %v, shown %+v, found %v", c, stripped.Machines[0].NICs, found)
	}
}

// ac26Firmware: BIOS, UEFI and secure boot as the descriptor says, out and in
// again too; a TPM's secrets do not move, which is told.
func ac26Firmware(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	h := open(t, want.Variants[0])
	tpm := ovf.Item{ElementName: "TPM", ResourceType: ovf.ResourceOther, ResourceSubType: "vmware.vtpm", AutomaticAllocation: true}
	secure := Hardware("efi", tpm)
	secure.SecureBoot = true
	for name, hw := range map[string]ovf.DraftHardware{"bios": Hardware("bios"), "none": Hardware(""), "efi": Hardware("efi"), "secure": secure} {
		s, found := Importing(t, h, NotRequired(t, "TPM", hw, nil, nil), host.ImportOptions{Name: name})
		firmware := map[string]string{"bios": "bios", "none": "bios", "efi": "efi", "secure": "efi"}[name]
		back, _ := Importing(t, h, Exported(t, h, s.ID), host.ImportOptions{Name: name + " again"})
		for _, k := range []*host.System{s, back} {
			if m := h.Made(t, k, k.Machines[0]); m.Firmware != firmware || m.SecureBoot != (name == "secure") {
				t.Errorf("%s: firmware %q, secure boot %v", k.Name, m.Firmware, m.SecureBoot)
			}
		}
		if slices.Contains(found, want.TPM) != (name == "secure") {
			t.Errorf("%s: found %v", name, found)
		}
		if h.Takes != nil {
			h.Takes(t, s.Machines[0])
		}
	}
	before := h.Left(t)
	_, err := h.Import(t.Context(), Package(t, OneMachine(t, Hardware("efi", tpm), nil, nil)), host.ImportOptions{Name: "sealed"})
	switch {
	case want.DemandedTPM && err != nil:
		t.Errorf("a TPM that is demanded: %v", err)
	case !want.DemandedTPM && (!errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "TPM")):
		t.Errorf("a TPM that is demanded: %v", err)
	case !want.DemandedTPM:
		unchanged(t, "a TPM that is demanded", before, h)
	}
}

package vsphere_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// all are a machine's devices of one type, in the order that the vCenter has them.
func all[T types.BaseVirtualDevice](c *types.VirtualMachineConfigInfo) (out []T) {
	for _, d := range c.Hardware.Device {
		if x, ok := d.(T); ok {
			out = append(out, x)
		}
	}
	return out
}

func extra(c *types.VirtualMachineConfigInfo, key string) any {
	for _, o := range c.ExtraConfig {
		if kv := o.GetOptionValue(); kv.Key == key {
			return kv.Value
		}
	}
	return nil
}

// TestAC13Files: NVRAM, an ISO in a drive and any other file come along, to the
// machine where it reads them, and go out as they came; a device that vSphere
// has not is left out with a finding, or refused where the package demands it.
func TestAC13Files(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	data := string(hosttest.Content(4, 1<<20))
	hw := hosttest.Hardware("efi", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}, hosttest.OnController("3", 0, "d"),
		ovf.Item{InstanceID: "5", ResourceType: ovf.ResourceIDE}, ovf.Item{ResourceType: ovf.ResourceCD, Parent: "5", HostResource: []string{"ovf:/file/iso"}, AutomaticAllocation: true},
		ovf.Item{InstanceID: "9", ElementName: "a strange device", ResourceType: ovf.ResourceOther, ResourceSubType: "example.strange", AutomaticAllocation: true})
	files := [][2]string{{"tools.iso", string(hosttest.Content(3, 300<<10))}, {"vm.nvram", "variables"}, {"d.img", data}, {"notes.txt", "keep me"}}
	var refs []ovf.File
	for _, f := range files {
		id := map[string]string{"tools.iso": "iso", "vm.nvram": "nvram", "d.img": "f", "notes.txt": "notes"}[f[0]]
		refs = append(refs, ovf.File{ID: id, Href: f[0], Size: int64(len(f[1]))})
	}
	disks := []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(len(data)), PopulatedSize: -1}}
	s, found := hosttest.Importing(t, h, hosttest.NotRequired(t, "a strange device", hw, disks, refs, files...), host.ImportOptions{})
	if !slices.Contains(found, "VSPHERE-HW-001") {
		t.Errorf("that a device is left out is not told: %v", found)
	}
	m := v.Machine("vm")
	if m.Firmware != "efi" || extra(m, "nvram") != "vm.nvram" || len(all[*types.VirtualCdrom](m)) != 1 {
		t.Errorf("firmware %q, nvram %v, %d drives", m.Firmware, extra(m, "nvram"), len(all[*types.VirtualCdrom](m)))
	}
	sizes := map[int64]bool{}
	for _, n := range v.Uploaded() {
		sizes[n] = true
	}
	if !sizes[300<<10] || !sizes[int64(len("variables"))] {
		t.Errorf("the ISO and the variables did not reach the machine: %v", v.Uploaded())
	}
	again := hosttest.Exported(t, h, s.ID)
	out := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(again)); ; {
		head, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[head.Name] = string(b)
	}
	for _, f := range files {
		if f[0] != "d.img" && out[f[0]] != f[1] {
			t.Errorf("%s went out with %d bytes, it came with %d", f[0], len(out[f[0]]), len(f[1]))
		}
	}
	hosttest.Importing(t, h, again, host.ImportOptions{Name: "second"})
	if second := v.Machine("second"); second == nil || second.Firmware != "efi" || extra(second, "nvram") != "second.nvram" {
		t.Errorf("after a round trip the firmware is another one; there are %v", v.Inventory())
	}
	before := v.Inventory()
	_, err := h.Import(context.Background(), hosttest.Package(t, hosttest.OneMachine(t, hw, disks, refs, files...)), host.ImportOptions{})
	if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "a strange device") {
		t.Errorf("a device that the package demands: %v", err)
	}
	if after := v.Inventory(); !slices.Equal(before, after) {
		t.Errorf("machines before: %v, after: %v", before, after)
	}
}

// TestAC15Version2: a descriptor of VirtualBox's in OVF 2 becomes a machine with
// its disk and its card.
func TestAC15Version2(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	data := hosttest.Content(5, 1<<20)
	d := ovf.Draft{Version: ovf.V2, Files: []ovf.File{{ID: "f", Href: "d.img", Size: int64(len(data))}},
		Disks: []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(len(data)), PopulatedSize: -1}}, Networks: []ovf.Network{{Name: "NAT"}},
		Content: ovf.DraftContent{ID: "vbox", Name: "vbox", Hardware: []ovf.DraftHardware{hosttest.Hardware("",
			ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceStorage, ResourceSubType: "AHCI"},
			ovf.Item{Kind: "StorageItem", InstanceID: "4", ResourceType: ovf.ResourceLogicalDisk, Parent: "3", AddressOnParent: "0", HostResource: []string{"/disk/d"}, AutomaticAllocation: true},
			ovf.Item{Kind: "EthernetPortItem", InstanceID: "5", ResourceType: ovf.ResourceEthernet, Connection: []string{"NAT"}, Address: "08:00:27:11:22:33", ResourceSubType: "E1000", AutomaticAllocation: true})}}}
	hosttest.Importing(t, h, hosttest.Archive(t, d, [2]string{"d.img", string(data)}), host.ImportOptions{})
	m := v.Machine("vbox")
	cards := all[*types.VirtualE1000](m)
	if len(all[*types.VirtualDisk](m)) != 1 || len(all[*types.VirtualAHCIController](m)) != 1 || len(cards) != 1 || cards[0].MacAddress != "08:00:27:11:22:33" {
		t.Errorf("the machine has not what the descriptor says: %+v", m.Hardware.Device)
	}
}

// TestAC23Controllers: every kind of controller is made, disks stand in the
// order of controller and address, and none is left out.
func TestAC23Controllers(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	items := []ovf.Item{
		{InstanceID: "10", ResourceType: ovf.ResourceIDE, Address: "0"}, {InstanceID: "11", ResourceType: ovf.ResourceIDE, Address: "1"},
		{InstanceID: "12", ResourceType: ovf.ResourceSCSI, Address: "0", ResourceSubType: "VirtualSCSI"}, {InstanceID: "13", ResourceType: ovf.ResourceSCSI, Address: "1", ResourceSubType: "lsilogicsas"},
		{InstanceID: "14", ResourceType: ovf.ResourceSCSI, Address: "2", ResourceSubType: "lsilogic"},
		{InstanceID: "15", ResourceType: ovf.ResourceOther, Address: "0", ResourceSubType: "vmware.sata.ahci"}, {InstanceID: "16", ResourceType: ovf.ResourceOther, Address: "0", ResourceSubType: "vmware.nvme.controller"}}
	var disks []ovf.Disk
	for i, c := range []struct {
		parent string
		unit   int
	}{{"12", 15}, {"12", 3}, {"10", 1}, {"10", 0}, {"11", 0}, {"13", 2}, {"14", 6}, {"15", 7}, {"15", 0}, {"16", 0}, {"16", 3}} {
		id := fmt.Sprintf("d%d", i)
		disks = append(disks, ovf.Disk{ID: id, Capacity: fmt.Sprint(1<<20 + i*1024), PopulatedSize: -1})
		items = append(items, hosttest.OnController(c.parent, c.unit, id))
	}
	s, _ := hosttest.Importing(t, h, hosttest.OneMachine(t, hosttest.Hardware("", items...), disks, nil), host.ImportOptions{})
	m := v.Machine("vm")
	controllers := map[int32]string{}
	for _, d := range m.Hardware.Device {
		if c, ok := d.(types.BaseVirtualController); ok {
			kind, _, _ := strings.Cut(strings.TrimPrefix(fmt.Sprintf("%T", d), "*types."), "Controller")
			controllers[d.GetVirtualDevice().Key] = fmt.Sprint(kind, c.GetVirtualController().BusNumber)
		}
	}
	var got []string
	for _, d := range all[*types.VirtualDisk](m) {
		got = append(got, fmt.Sprintf("%s:%d/%d", controllers[d.ControllerKey], *d.UnitNumber, d.CapacityInKB-1024))
	}
	want := []string{"ParaVirtualSCSI0:15/0", "ParaVirtualSCSI0:3/1", "VirtualIDE0:1/2", "VirtualIDE0:0/3", "VirtualIDE1:0/4", "VirtualLsiLogicSAS1:2/5",
		"VirtualLsiLogic2:6/6", "VirtualAHCI0:7/7", "VirtualAHCI0:0/8", "VirtualNVME0:0/9", "VirtualNVME0:3/10"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("disks are at\n%v, want\n%v", got, want)
	}
	var order []string
	for _, a := range s.Machines[0].Attachments {
		order = append(order, fmt.Sprintf("%s%d:%d", a.Controller, a.Bus, a.Unit))
	}
	if o := strings.Join(order, " "); !strings.Contains(o, "scsi0:3 scsi0:15") || !strings.Contains(o, "ide0:0 ide0:1 ide1:0") || !strings.Contains(o, "nvme0:0 nvme0:3") {
		t.Errorf("order %s", o)
	}
	// What has no place is refused before anything is made.
	var seventeen []ovf.Item
	var blank []ovf.Disk
	for i := range 61 {
		id := fmt.Sprintf("i%d", i)
		blank = append(blank, ovf.Disk{ID: id, Capacity: "1048576", PopulatedSize: -1})
		seventeen = append(seventeen, hosttest.OnController("12", i, id))
	}
	before := v.Inventory()
	_, err := h.Import(context.Background(), hosttest.Package(t, hosttest.OneMachine(t, hosttest.Hardware("", append([]ovf.Item{items[2]}, seventeen...)...), blank, nil)), host.ImportOptions{})
	if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "scsi") || !slices.Equal(before, v.Inventory()) {
		t.Errorf("61 disks on SCSI: %v", err)
	}
}

// TestAC24FilesOfDisks: a disk gets the file that its reference names, whatever
// the order, with an ISO first, a blank disk between, and an orphan.
func TestAC24FilesOfDisks(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	a, b := hosttest.Content(11, 2<<20), hosttest.Content(12, 3<<20)
	refs := []ovf.File{{ID: "iso", Href: "a.iso", Size: 2048}, {ID: "fb", Href: "b.img", Size: int64(len(b))}, {ID: "orphan", Href: "z.bin", Size: 3}, {ID: "fa", Href: "a.img", Size: int64(len(a))}}
	disks := []ovf.Disk{{ID: "first", FileRef: "fa", Capacity: fmt.Sprint(len(a)), PopulatedSize: -1}, {ID: "blank", Capacity: "1048576", PopulatedSize: -1},
		{ID: "second", FileRef: "fb", Capacity: fmt.Sprint(len(b)), PopulatedSize: -1}}
	hw := hosttest.Hardware("", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}, hosttest.OnController("3", 2, "second"), hosttest.OnController("3", 0, "first"), hosttest.OnController("3", 1, "blank"))
	s, _ := hosttest.Importing(t, h, hosttest.OneMachine(t, hw, disks, refs, [2]string{"a.iso", strings.Repeat("i", 2048)}, [2]string{"b.img", string(b)}, [2]string{"z.bin", "zzz"}, [2]string{"a.img", string(a)}), host.ImportOptions{})
	for d := range s.AllDisks() {
		want := map[string][]byte{"first": a, "second": b, "blank": make([]byte, 1<<20)}[d.OVFID]
		img, err := h.OpenDisk(context.Background(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, img.Size())
		if err := disk.ReadFull(img, got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("disk %s has another content: %v", d.OVFID, err)
		}
		img.Close()
	}
	units := map[int64]int32{}
	for _, d := range all[*types.VirtualDisk](v.Machine("vm")) {
		units[d.CapacityInKB] = *d.UnitNumber
	}
	if want := map[int64]int32{2048: 0, 1024: 1, 3072: 2}; !maps.Equal(units, want) {
		t.Errorf("units by capacity are %v, want %v", units, want)
	}
}

func card(mac, model string) ovf.Item {
	return ovf.Item{ResourceType: ovf.ResourceEthernet, Connection: []string{"lan"}, Address: mac, ResourceSubType: model, AutomaticAllocation: true}
}

// TestAC25Cards: cards in the order of the descriptor with their addresses; a
// clash is told, an empty address is none; regenerate and strip do what they say.
func TestAC25Cards(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "?network=VM%20Network")
	defer h.Close()
	b := hosttest.OneMachine(t, hosttest.Hardware("", card("00:50:56:00:25:03", "VmxNet3"), card("00:50:56:00:25:02", "E1000e"), card("", "PCNet32")), nil, nil)
	s, found := hosttest.Importing(t, h, b, host.ImportOptions{})
	if slices.Contains(found, "VSPHERE-MAC-001") {
		t.Errorf("a clash with nobody: %v", found)
	}
	m := v.Machine("vm")
	var got []string
	for _, d := range m.Hardware.Device {
		if c, ok := d.(types.BaseVirtualEthernetCard); ok {
			mac := "made"
			if e := c.GetVirtualEthernetCard(); e.AddressType == string(types.VirtualEthernetCardMacTypeManual) {
				mac = e.MacAddress
			}
			got = append(got, fmt.Sprintf("%T %s", d, mac))
		}
	}
	if want := []string{"*types.VirtualVmxnet3 00:50:56:00:25:03", "*types.VirtualE1000e 00:50:56:00:25:02", "*types.VirtualPCNet32 made"}; !slices.Equal(got, want) {
		t.Errorf("cards %q, want %q", got, want)
	}
	if n := s.Machines[0].NICs; len(n) != 3 || n[0].MAC != "00:50:56:00:25:03" || n[1].MAC != "00:50:56:00:25:02" {
		t.Errorf("shown: %+v", n)
	}
	_, found = hosttest.Importing(t, h, b, host.ImportOptions{Name: "again"})
	if n := len(slices.DeleteFunc(found, func(id string) bool { return id != "VSPHERE-MAC-001" })); n != 2 {
		t.Errorf("%d clashes of addresses are told, want 2", n)
	}
	for _, mode := range []string{"regenerate", "strip"} {
		if s, found = hosttest.Importing(t, h, b, host.ImportOptions{Name: mode, MAC: mode}); slices.Contains(found, "VSPHERE-MAC-001") || s.Machines[0].NICs[0].MAC == "00:50:56:00:25:03" {
			t.Errorf("%s: found %v, cards %+v", mode, found, s.Machines[0].NICs)
		}
	}
}

// TestAC25BatchE2E: fifty machines of random cards, imported side by side, have the
// cards of their own descriptors in their order, and no machine another's.
func TestAC25BatchE2E(t *testing.T) {
	if os.Getenv("CIMIMOVE_E2E") == "" {
		t.Skip("set CIMIMOVE_E2E=1 to run it: fifty imports")
	}
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "?network=VM%20Network")
	defer h.Close()
	hosttest.Batch(t, h, func(s *host.System) []hosttest.Card {
		var out []hosttest.Card
		for _, d := range v.Machine(s.Machines[0].Name).Hardware.Device {
			if c, ok := d.(types.BaseVirtualEthernetCard); ok {
				kind := strings.TrimPrefix(fmt.Sprintf("%T", d), "*types.Virtual")
				out = append(out, hosttest.Card{Model: strings.ToLower(kind), MAC: c.GetVirtualEthernetCard().MacAddress})
			}
		}
		return out
	})
}

// TestAC26Firmware: BIOS, UEFI and secure boot as the descriptor says; without a
// key provider a TPM that is wished for is left out, one that is demanded refused.
func TestAC26Firmware(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	tpm := ovf.Item{ElementName: "TPM", ResourceType: ovf.ResourceOther, ResourceSubType: "vmware.vtpm", AutomaticAllocation: true}
	secure := hosttest.Hardware("efi", tpm)
	secure.SecureBoot = true
	for name, hw := range map[string]ovf.DraftHardware{"bios": hosttest.Hardware("bios"), "efi": hosttest.Hardware("efi"), "secure": secure} {
		_, found := hosttest.Importing(t, h, hosttest.NotRequired(t, "TPM", hw, nil, nil), host.ImportOptions{Name: name})
		m := v.Machine(name)
		wantFirmware := map[string]string{"bios": "bios", "efi": "efi", "secure": "efi"}[name]
		isSecure := m.BootOptions != nil && m.BootOptions.EfiSecureBootEnabled != nil && *m.BootOptions.EfiSecureBootEnabled
		if m.Firmware != wantFirmware || isSecure != (name == "secure") || slices.Contains(found, "VSPHERE-TPM-001") != (name == "secure") {
			t.Errorf("%s: firmware %q, secure %v, found %v", name, m.Firmware, isSecure, found)
		}
	}
	_, err := h.Import(context.Background(), hosttest.Package(t, hosttest.OneMachine(t, hosttest.Hardware("efi", tpm), nil, nil)), host.ImportOptions{})
	if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "TPM") {
		t.Errorf("a TPM that is demanded: %v", err)
	}
}

// TestAC35BeforeTheUpload: what the vCenter cannot do is told before a byte of a
// disk is read and before anything is made, with what there is to choose from.
func TestAC35BeforeTheUpload(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	b := hosttest.NewSample(t, "appliance", 1).OVA(t)
	for name, c := range map[string]struct {
		opts host.ImportOptions
		want string
	}{
		"datastore": {host.ImportOptions{Storage: map[string]string{"*": "nowhere"}}, "LocalDS_0"},
		"network":   {host.ImportOptions{Networks: map[string]string{"front": "nowhere"}}, "VM Network"},
	} {
		read := false
		opts := c.opts
		opts.Progress = func(host.DiskProgress) { read = true }
		_, err := h.Import(context.Background(), hosttest.Package(t, b), opts)
		if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "nowhere") || read {
			t.Errorf("%s: %v, content read: %v", name, err, read)
		}
	}
	if n := v.Calls("ImportVApp"); n != 0 || len(v.Inventory()) > 0 {
		t.Errorf("%d imports were begun; there are %v", n, v.Inventory())
	}
}

package libvirt

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// drafted describes a domain as OVF does: what build would lose of it
// (firmware, models of controllers and cards) stands in the descriptor.
func drafted(x *domainXML, sizes map[string]int64) ovf.Draft {
	d := ovf.Draft{Content: ovf.DraftContent{ID: "vm", Name: x.Name, Annotation: x.Description}}
	hw := ovf.DraftHardware{SystemType: "kvm"}
	n := func(v uint64) *uint64 { return &v }
	next := 0
	add := func(it ovf.Item) string {
		next++
		it.InstanceID, it.Required, it.AutomaticAllocation = strconv.Itoa(next), true, true
		hw.Items = append(hw.Items, it)
		return it.InstanceID
	}
	add(ovf.Item{ElementName: "processors", ResourceType: ovf.ResourceProcessor, AllocationUnits: "hertz * 10^6", VirtualQuantity: n(uint64(max(x.CPUs, 1)))})
	memory, units := uint64(x.Memory.bytes()), "byte"
	if memory%(1<<20) == 0 {
		memory, units = memory>>20, "byte * 2^20"
	}
	add(ovf.Item{ElementName: "memory", ResourceType: ovf.ResourceMemory, AllocationUnits: units, VirtualQuantity: n(memory)})
	controllers := map[string]string{}
	used := map[string]int{}
	for i, k := range x.Devices.Disks {
		if k.Device != "" && k.Device != "disk" || placeOf(k.Source) == (place{}) {
			continue
		}
		number, unit := address(k, used)
		key := fmt.Sprintf("%s %d", k.Target.Bus, number)
		if controllers[key] == "" {
			controllers[key] = add(controllerItem(x, k.Target.Bus, number))
		}
		d.Files = append(d.Files, ovf.File{ID: "file-" + k.Target.Dev, Href: k.Target.Dev + ".vmdk", Size: -1})
		d.Disks = append(d.Disks, ovf.Disk{ID: k.Target.Dev, FileRef: "file-" + k.Target.Dev, Capacity: strconv.FormatInt(sizes[k.Target.Dev], 10),
			Format: "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized", PopulatedSize: -1})
		add(ovf.Item{ElementName: fmt.Sprintf("disk %d", i+1), ResourceType: ovf.ResourceDisk, Parent: controllers[key],
			AddressOnParent: strconv.Itoa(unit), HostResource: []string{"ovf:/disk/" + k.Target.Dev}})
	}
	seen := map[string]bool{}
	for i, c := range x.Devices.Interfaces {
		name := networkOf(c)
		if !seen[name] {
			seen[name] = true
			d.Networks = append(d.Networks, ovf.Network{Name: name})
		}
		it := ovf.Item{ElementName: fmt.Sprintf("card %d", i+1), ResourceType: ovf.ResourceEthernet, Connection: []string{name}}
		if c.MAC != nil {
			it.Address = c.MAC.Address
		}
		if c.Model != nil {
			it.ResourceSubType = c.Model.Type
		}
		add(it)
		hw.Items[len(hw.Items)-1].AutomaticAllocation = c.Link == nil || c.Link.State != "down"
	}
	if x.OS.FirmwareKind == "efi" || x.OS.Loader != nil && (x.OS.Loader.Type == "pflash" || strings.Contains(x.OS.Loader.Path, "OVMF")) {
		hw.Firmware = "efi"
		hw.SecureBoot = x.OS.Loader != nil && x.OS.Loader.Secure == "yes"
	}
	if x.Devices.TPM != nil {
		// Whoever has none to give warns, and may take the machine.
		hw.Optional = append(hw.Optional, add(ovf.Item{ElementName: "TPM", ResourceType: ovf.ResourceOther, ResourceSubType: "vmware.vtpm"}))
	}
	d.Content.Hardware = []ovf.DraftHardware{hw}
	return d
}

// bytes of a size in libvirt's units; without unit it is in KiB.
func (s sizeXML) bytes() int64 {
	switch s.Unit {
	case "b", "bytes":
		return s.Bytes
	case "KB":
		return s.Bytes * 1000
	case "MB":
		return s.Bytes * 1000 * 1000
	case "GB":
		return s.Bytes * 1000 * 1000 * 1000
	case "M", "MiB":
		return s.Bytes << 20
	case "G", "GiB":
		return s.Bytes << 30
	case "T", "TiB":
		return s.Bytes << 40
	}
	return s.Bytes << 10
}

// address is where a disk hangs as OVF counts: the number of the controller and
// the unit on it.
func address(k diskXML, used map[string]int) (controller, unit int) {
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	if a := k.Address; a != nil && a.Type == "drive" {
		switch k.Target.Bus {
		case "ide":
			return number(a.Bus), number(a.Unit)
		case "scsi":
			return number(a.Controller), number(a.Target) + number(a.Unit)
		case "sata":
			return number(a.Controller), number(a.Unit)
		}
	}
	used[k.Target.Bus]++
	return 0, used[k.Target.Bus] - 1
}

func controllerItem(x *domainXML, bus string, number int) ovf.Item {
	it := ovf.Item{ElementName: fmt.Sprintf("%s %d", bus, number), Address: strconv.Itoa(number)}
	switch bus {
	case "ide":
		it.ResourceType = ovf.ResourceIDE
	case "sata":
		it.ResourceType, it.ResourceSubType = ovf.ResourceOther, "vmware.sata.ahci"
	case "nvme":
		it.ResourceType, it.ResourceSubType = ovf.ResourceOther, "vmware.nvme.controller"
	case "usb":
		it.ResourceType, it.ResourceSubType = ovf.ResourceUSB, "vmware.usb.ehci"
	case "scsi":
		it.ResourceType, it.ResourceSubType = ovf.ResourceSCSI, "VirtioSCSI"
		for _, c := range x.Devices.Controllers {
			if c.Type != "scsi" || c.Index != number {
				continue
			}
			switch c.Model {
			case "vmpvscsi":
				it.ResourceSubType = "VirtualSCSI"
			case "lsisas1068":
				it.ResourceSubType = "lsilogicsas"
			case "lsilogic":
				it.ResourceSubType = "lsilogic"
			}
		}
	default: // virtio
		it.ResourceType, it.ResourceSubType = ovf.ResourceSCSI, "virtio"
	}
	return it
}

// networkOf names the network of a card, as --net takes it back.
func networkOf(c interfaceXML) string {
	if c.Source != nil {
		switch {
		case c.Source.Network != "":
			return c.Source.Network
		case c.Source.Bridge != "":
			return "bridge:" + c.Source.Bridge
		case c.Source.Dev != "":
			return c.Source.Dev
		}
	}
	return userNetwork
}

package vsphere

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// attached is a disk and the place it has in its machine.
type attached struct {
	disk       *types.VirtualDisk
	controller string // ide, scsi, sata, nvme
	bus, unit  int
	// key is how a lease names the device: VirtualLsiLogicController0:0.
	key string
}

// disksOf are a machine's disks in the order of controller and address.
func disksOf(devices object.VirtualDeviceList) []attached {
	var out []attached
	for _, d := range devices {
		x, ok := d.(*types.VirtualDisk)
		if !ok {
			continue
		}
		a := attached{disk: x}
		if x.UnitNumber != nil {
			a.unit = int(*x.UnitNumber)
		}
		if c, ok := devices.FindByKey(x.ControllerKey).(types.BaseVirtualController); ok {
			a.bus = int(c.GetVirtualController().BusNumber)
			a.controller = bus(c)
			a.key = deviceKey(c, a.unit)
		}
		out = append(out, a)
	}
	slices.SortStableFunc(out, func(a, b attached) int {
		return cmp.Or(busOrder(a.controller)-busOrder(b.controller), a.bus-b.bus, a.unit-b.unit)
	})
	return out
}

// uuid is the disk's own, else its device.
func (a attached) uuid() string {
	switch b := a.disk.Backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		return cmp.Or(b.Uuid, a.key)
	case *types.VirtualDiskSeSparseBackingInfo:
		return cmp.Or(b.Uuid, a.key)
	case *types.VirtualDiskSparseVer2BackingInfo:
		return cmp.Or(b.Uuid, a.key)
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		return cmp.Or(b.Uuid, a.key)
	}
	return a.key
}

// deviceKey is how a lease names the device at an address of a controller.
func deviceKey(c types.BaseVirtualController, unit int) string {
	return fmt.Sprintf("%s%d:%d", reflect.TypeOf(c).Elem().Name(), c.GetVirtualController().BusNumber, unit)
}

// bus is the kind of a controller as OVF knows it.
func bus(c types.BaseVirtualController) string {
	switch c.(type) {
	case *types.VirtualIDEController:
		return "ide"
	case *types.VirtualNVMEController:
		return "nvme"
	case types.BaseVirtualSATAController:
		return "sata"
	case types.BaseVirtualSCSIController:
		return "scsi"
	}
	return ""
}

// busOrder is the order in which firmware looks at controllers.
func busOrder(bus string) int { return slices.Index([]string{"scsi", "sata", "nvme", "ide"}, bus) }

// card is a network card with the name that OVF has for its type.
type card struct {
	*types.VirtualEthernetCard
	kind string
}

// cardKinds are ResourceSubTypes as VMware writes them.
var cardKinds = map[string]string{"VirtualE1000": "E1000", "VirtualE1000e": "E1000e", "VirtualPCNet32": "PCNet32",
	"VirtualVmxnet2": "VmxNet2", "VirtualVmxnet3": "VmxNet3", "VirtualSriovEthernetCard": "VirtualSriovEthernetCard"}

// ethernetCards are a machine's cards in the order of their addresses.
func ethernetCards(vm *mo.VirtualMachine) []card {
	var out []card
	for _, d := range vm.Config.Hardware.Device {
		if e, ok := d.(types.BaseVirtualEthernetCard); ok {
			kind := reflect.TypeOf(d).Elem().Name()
			if k, known := cardKinds[kind]; known {
				kind = k
			}
			out = append(out, card{e.GetVirtualEthernetCard(), kind})
		}
	}
	slices.SortStableFunc(out, func(a, b card) int { return unitOf(a.UnitNumber) - unitOf(b.UnitNumber) })
	return out
}

func unitOf(n *int32) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

// label is what the vCenter calls a device.
func label(d types.BaseVirtualDevice, or string) string {
	if i := d.GetVirtualDevice().DeviceInfo; i != nil {
		if l := strings.TrimSpace(i.GetDescription().Label); l != "" {
			return l
		}
	}
	return or
}

// capacity is in bytes.
func capacity(d *types.VirtualDisk) int64 {
	if d.CapacityInBytes > 0 {
		return d.CapacityInBytes
	}
	return d.CapacityInKB << 10
}

func mebibytes(n int64) int64 { return (n + 1<<20 - 1) >> 20 }

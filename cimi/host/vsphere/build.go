package vsphere

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// devices makes the devices of one machine.
type devices struct {
	p    *planner
	m    *host.Machine
	hw   ovf.VirtualHardware
	spec *types.VirtualMachineConfigSpec
	name string // of the machine in the vCenter

	list        object.VirtualDeviceList
	controllers map[address]types.BaseVirtualController
	units       map[types.BaseVirtualController]map[int]bool
}

// address of a controller.
type address struct {
	bus    string
	number int
}

func (d *devices) build(ctx context.Context) error {
	d.controllers, d.units = map[address]types.BaseVirtualController{}, map[types.BaseVirtualController]map[int]bool{}
	for _, a := range d.m.Attachments {
		if err := d.disk(ctx, a); err != nil {
			return err
		}
	}
	for _, n := range d.m.NICs {
		if err := d.card(n); err != nil {
			return err
		}
	}
	if err := d.others(ctx); err != nil {
		return err
	}
	for _, x := range d.list {
		change := &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: x}
		if _, ok := x.(*types.VirtualDisk); ok {
			change.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
		}
		d.spec.DeviceChange = append(d.spec.DeviceChange, change)
	}
	return nil
}

// rooms are how many controllers of a kind a machine can have, and how many
// devices each of them.
var rooms = map[string]struct{ controllers, units int }{"ide": {2, 2}, "scsi": {4, 16}, "sata": {4, 30}, "nvme": {4, 15}}

// busFor is the bus in vSphere of a bus in OVF.
func busFor(bus string) (string, bool) {
	switch bus {
	case "ide", "scsi", "sata", "nvme":
		return bus, true
	case "", "virtio", "fc", "iscsi":
		return "scsi", bus == ""
	}
	return "", false
}

func (d *devices) disk(ctx context.Context, a host.Attachment) error {
	disk := d.p.s.Disk(a.DiskID)
	if disk == nil {
		return fmt.Errorf("disk %s: %w", a.DiskID, host.ErrNotFound)
	}
	if disk.CapacityBytes <= 0 {
		return fmt.Errorf("disk %s: its capacity is not known before its content has come, and vSphere asks for it before: %w", disk.Name, host.ErrUnsupported)
	}
	kind, same := busFor(a.Controller)
	if kind == "" {
		return fmt.Errorf("disk %s: vSphere has no controller %q for disks: %w", disk.Name, a.Controller, host.ErrUnsupported)
	}
	if !same {
		d.p.find("VSPHERE-CTRL-001", ovf.Warning, "machine "+d.m.Name, "disk %s goes to a SCSI controller: vSphere has no %s", disk.Name, a.Controller)
	}
	c, unit, err := d.place(kind, a.Bus, a.Unit)
	if err != nil {
		return fmt.Errorf("disk %s: %w", disk.Name, err)
	}
	ds, err := d.p.datastore(ctx, disk.Storage)
	if err != nil {
		return fmt.Errorf("disk %s: %w", disk.Name, err)
	}
	backing := &types.VirtualDiskFlatVer2BackingInfo{DiskMode: string(types.VirtualDiskModePersistent),
		ThinProvisioned: types.NewBool(d.p.h.place.disk == "thin"), EagerlyScrub: types.NewBool(d.p.h.place.disk == "eager")}
	backing.FileName = "[" + ds + "]"
	x := &types.VirtualDisk{CapacityInKB: (disk.CapacityBytes + 1023) >> 10}
	x.CapacityInBytes = x.CapacityInKB << 10
	x.Key, x.Backing, x.ControllerKey, x.UnitNumber = d.key(), backing, c.GetVirtualController().Key, types.NewInt32(int32(unit))
	d.list = append(d.list, x)
	d.p.out.disks[d.name+"/"+deviceKey(c, unit)] = disk
	return nil
}

// key is a new device's; the vCenter replaces those below zero.
func (d *devices) key() int32 { return -int32(len(d.list)) - 101 }

// place finds the controller and a free unit on it, the ones wanted if possible.
func (d *devices) place(kind string, number, unit int) (types.BaseVirtualController, int, error) {
	room := rooms[kind]
	for n := number; ; n++ {
		if n >= room.controllers || number < 0 {
			return nil, 0, fmt.Errorf("vSphere has %d %s controllers, number %d is wanted: %w", room.controllers, kind, number, host.ErrUnsupported)
		}
		c := d.controllers[address{kind, n}]
		if c == nil {
			c = d.controller(kind, n)
		}
		taken := d.units[c]
		free := func(u int) bool { return u >= 0 && u < room.units && !taken[u] && (kind != "scsi" || u != 7) }
		for u := range room.units {
			try := (max(unit, 0) + u) % room.units
			if free(try) {
				taken[try] = true
				return c, try, nil
			}
		}
	}
}

func (d *devices) controller(kind string, number int) types.BaseVirtualController {
	base := types.VirtualController{BusNumber: int32(number)}
	base.Key = d.key()
	var c types.BaseVirtualDevice
	switch kind {
	case "ide":
		c = &types.VirtualIDEController{VirtualController: base}
	case "sata":
		x := &types.VirtualAHCIController{}
		x.VirtualController = base
		c = x
	case "nvme":
		c = &types.VirtualNVMEController{VirtualController: base}
	default:
		c = d.scsi(base, number)
	}
	d.list = append(d.list, c)
	out := c.(types.BaseVirtualController)
	d.controllers[address{kind, number}], d.units[out] = out, map[int]bool{}
	return out
}

// scsi is a SCSI controller of the kind that the descriptor names; where it
// names none, the one that most systems boot from.
func (d *devices) scsi(base types.VirtualController, number int) types.BaseVirtualDevice {
	x := types.VirtualSCSIController{VirtualController: base, SharedBus: types.VirtualSCSISharingNoSharing}
	for _, c := range d.hw.Controllers(d.p.s.Configuration) {
		if c.Bus != "scsi" || c.Number != number {
			continue
		}
		for _, t := range strings.FieldsFunc(strings.ToLower(c.ResourceSubType), func(r rune) bool { return r == ' ' || r == ',' }) {
			switch t {
			case "virtualscsi", "pvscsi", "paravirtualscsi":
				return &types.ParaVirtualSCSIController{VirtualSCSIController: x}
			case "lsilogicsas", "lsilogic-sas", "sas":
				return &types.VirtualLsiLogicSASController{VirtualSCSIController: x}
			case "buslogic":
				return &types.VirtualBusLogicController{VirtualSCSIController: x}
			}
		}
	}
	return &types.VirtualLsiLogicController{VirtualSCSIController: x}
}

func (d *devices) card(n host.NIC) error {
	net, ok := d.p.nets[n.Network]
	c := types.VirtualEthernetCard{AddressType: string(types.VirtualEthernetCardMacTypeGenerated), WakeOnLanEnabled: types.NewBool(true)}
	if n.MAC != "" {
		c.AddressType, c.MacAddress = string(types.VirtualEthernetCardMacTypeManual), n.MAC
	}
	if !ok { // a card without Connection
		for _, id := range slices.Sorted(mapsKeys(d.p.nets)) {
			net = d.p.nets[id]
			net.connected = false
			break
		}
		if net.backing == nil {
			return fmt.Errorf("card %s is on no network: %w", cmp.Or(n.Name, n.OVFID), host.ErrUnsupported)
		}
	}
	c.Key, c.Backing = d.key(), net.backing
	c.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: net.connected && !n.Disabled, AllowGuestControl: true}
	var x types.BaseVirtualDevice
	switch kind := strings.ToLower(n.Type); kind {
	case "e1000":
		x = &types.VirtualE1000{VirtualEthernetCard: c}
	case "e1000e":
		x = &types.VirtualE1000e{VirtualEthernetCard: c}
	case "pcnet32":
		x = &types.VirtualPCNet32{VirtualEthernetCard: c}
	case "vmxnet2":
		x = &types.VirtualVmxnet2{VirtualVmxnet: types.VirtualVmxnet{VirtualEthernetCard: c}}
	case "", "vmxnet3", "virtio":
		x = &types.VirtualVmxnet3{VirtualVmxnet: types.VirtualVmxnet{VirtualEthernetCard: c}}
	default:
		d.p.find("VSPHERE-NIC-001", ovf.Info, "machine "+d.m.Name, "a card of type %s becomes an E1000", n.Type)
		x = &types.VirtualE1000{VirtualEthernetCard: c}
	}
	d.list = append(d.list, x)
	return nil
}

// others makes the devices that CIMI has no words for, as the descriptor has
// them. What vSphere has not is told; where the descriptor demands it the
// package is refused (AC-13).
func (d *devices) others(ctx context.Context) error {
	config := d.p.s.Configuration
	if d.hw.Node() == nil {
		return nil
	}
	for _, drive := range d.hw.Drives(config) {
		if drive.Class == "cdrom" {
			if err := d.cdrom(drive); err != nil {
				return err
			}
		}
	}
	controllers := map[string]bool{}
	for _, c := range d.hw.Controllers(config) {
		controllers[c.InstanceID] = c.Bus != "usb"
	}
	for _, it := range d.hw.EffectiveItems(config) {
		if controllers[it.InstanceID] || it.IsDisk() || it.OfHypervisor() {
			continue // made with the first drive on it, as a drive, or nobody's here
		}
		if err := d.other(ctx, it); err != nil {
			return err
		}
	}
	if f, ok := d.hw.NVRAM(); ok {
		d.spec.ExtraConfig = append(d.spec.ExtraConfig, &types.OptionValue{Key: "nvram", Value: d.name + ".nvram"})
		d.p.out.files[d.name+"/nvram"] = f.Href
	}
	return nil
}

func (d *devices) cdrom(drive ovf.Drive) error {
	kind := "ide"
	if drive.Controller.Bus == "sata" {
		kind = "sata"
	}
	c, unit, err := d.place(kind, max(drive.Controller.Number, 0), drive.Unit)
	if err != nil {
		if !drive.Required {
			d.p.find("VSPHERE-HW-001", ovf.Warning, "machine "+d.m.Name, "%s is left out: %v", drive.ElementName, err)
			return nil
		}
		return fmt.Errorf("%s: %w", drive.ElementName, err)
	}
	x := &types.VirtualCdrom{}
	x.Key, x.ControllerKey, x.UnitNumber = d.key(), c.GetVirtualController().Key, types.NewInt32(int32(unit))
	x.Connectable = &types.VirtualDeviceConnectInfo{AllowGuestControl: true}
	x.Backing = &types.VirtualCdromRemotePassthroughBackingInfo{}
	if drive.File.Href != "" {
		backing := &types.VirtualCdromIsoBackingInfo{}
		var vmx object.DatastorePath
		vmx.FromString(d.spec.Files.VmPathName)
		backing.FileName = (&object.DatastorePath{Datastore: vmx.Datastore, Path: path.Join(d.name, path.Base(drive.File.Href))}).String()
		x.Backing, x.Connectable.StartConnected = backing, drive.AutomaticAllocation
		d.p.out.files[d.name+"/"+deviceKey(c, unit)] = drive.File.Href
	}
	d.list = append(d.list, x)
	return nil
}

// other makes the device of an Item that is no drive, card or controller of one.
func (d *devices) other(ctx context.Context, it ovf.Item) error {
	unknown := func() error {
		what := cmp.Or(it.ElementName, it.ResourceSubType, "an Item of type "+fmt.Sprint(it.ResourceType))
		if it.Required {
			return fmt.Errorf("%s (ResourceType %d, %s) is demanded by the package, and is nothing that can be made here: %w", what, it.ResourceType, it.ResourceSubType, host.ErrUnsupported)
		}
		d.p.find("VSPHERE-HW-001", ovf.Warning, "machine "+d.m.Name, "%s (ResourceType %d, %s) is left out: the package does not demand it", what, it.ResourceType, it.ResourceSubType)
		return nil
	}
	if it.IsTPM() {
		return d.tpm(ctx, it)
	}
	sub := strings.ToLower(it.ResourceSubType)
	switch it.ResourceType {
	case ovf.ResourceProcessor, ovf.ResourceMemory, ovf.ResourceIDE, ovf.ResourceSCSI, ovf.ResourceISCSIHBA, ovf.ResourceFCHBA,
		ovf.ResourceEthernet, ovf.ResourceCD, ovf.ResourceDVD, ovf.ResourceDisk, ovf.ResourceStorage, ovf.ResourceLogicalDisk:
	case ovf.ResourceGraphics:
		d.list = append(d.list, d.video(it))
	case ovf.ResourceUSB:
		base := types.VirtualController{}
		base.Key = d.key()
		if strings.Contains(sub, "xhci") {
			d.list = append(d.list, &types.VirtualUSBXHCIController{VirtualController: base})
		} else {
			d.list = append(d.list, &types.VirtualUSBController{VirtualController: base, EhciEnabled: types.NewBool(true)})
		}
	case ovf.ResourceFloppy:
		d.p.find("VSPHERE-HW-001", ovf.Info, "machine "+d.m.Name, "%s is left out: an empty floppy drive is of no use", cmp.Or(it.ElementName, "a floppy drive"))
	case ovf.ResourceOther:
		switch {
		case sub == "vmware.vmci": // every machine has it
		default:
			return unknown()
		}
	default:
		return unknown()
	}
	return nil
}

// video is a graphics card with the settings that VMware writes.
func (d *devices) video(it ovf.Item) *types.VirtualMachineVideoCard {
	x := &types.VirtualMachineVideoCard{}
	x.Key = d.key()
	for _, c := range it.Configs() {
		switch c.Key {
		case "videoRamSizeInKB":
			x.VideoRamSizeInKB = number(c.Value)
		case "numDisplays":
			x.NumDisplays = int32(number(c.Value))
		case "useAutoDetect":
			x.UseAutoDetect = truth(c.Value)
		case "enable3DSupport":
			x.Enable3DSupport = truth(c.Value)
		case "use3dRenderer":
			x.Use3dRenderer = c.Value
		case "graphicsMemorySizeInKB":
			x.GraphicsMemorySizeInKB = number(c.Value)
		}
	}
	return x
}

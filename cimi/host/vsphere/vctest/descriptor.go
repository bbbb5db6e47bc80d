package vctest

import (
	"fmt"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/ovf"
)

// Describe says whether the vCenter makes descriptors, which it does at first.
func (v *VCenter) Describe(makes bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.silent = !makes
}

// CreateDescriptor describes a machine or a vApp, with a network adapter in the
// order of devices, firmware, the guest's system and start order.
func (o *overrides) CreateDescriptor(_ *simulator.Context, req *types.CreateDescriptor) soap.HasFault {
	o.v.mu.Lock()
	silent := o.v.silent
	o.v.mu.Unlock()
	if silent {
		return &methods.CreateDescriptorBody{Fault_: simulator.Fault("", &types.NotSupported{})}
	}
	d := &describing{v: o.v, files: map[string]types.OvfFile{}, networks: map[string]bool{}}
	for _, f := range req.Cdp.OvfFiles {
		d.files[f.DeviceId] = f
	}
	d.draft.Content = d.content(req.Obj)
	if req.Cdp.Name != "" {
		d.draft.Content.Name = req.Cdp.Name
	}
	env, err := ovf.NewEnvelope(d.draft)
	if err != nil {
		return &methods.CreateDescriptorBody{Fault_: simulator.Fault(err.Error(), &types.OvfExport{})}
	}
	res := types.OvfCreateDescriptorResult{OvfDescriptor: string(env.Bytes()), Warning: d.warnings}
	return &methods.CreateDescriptorBody{Res: &types.CreateDescriptorResponse{Returnval: res}}
}

type describing struct {
	v        *VCenter
	draft    ovf.Draft
	files    map[string]types.OvfFile
	networks map[string]bool
	warnings []types.LocalizedMethodFault
}

func (d *describing) content(ref types.ManagedObjectReference) ovf.DraftContent {
	if app, ok := d.v.model.Map().Get(ref).(*simulator.VirtualApp); ok {
		out := ovf.DraftContent{Collection: true, ID: app.Name, Name: app.Name}
		for _, vm := range d.v.model.Map().All("VirtualMachine") {
			if m := vm.(*simulator.VirtualMachine); m.ResourcePool != nil && *m.ResourcePool == ref {
				out.Children = append(out.Children, d.content(m.Self))
				for _, e := range app.VAppConfig.EntityConfig {
					if e.Key != nil && *e.Key == m.Self {
						out.Startup = append(out.Startup, ovf.StartupItem{ID: m.Name, Order: int(e.StartOrder), StartDelay: int(e.StartDelay)})
					}
				}
			}
		}
		for _, e := range d.v.model.Map().All("VirtualApp") {
			if inner := e.(*simulator.VirtualApp); inner.Parent != nil && *inner.Parent == ref {
				out.Children = append(out.Children, d.content(inner.Self))
			}
		}
		return out
	}
	vm := d.v.model.Map().Get(ref).(*simulator.VirtualMachine)
	hw := ovf.DraftHardware{SystemType: "vmx-19", Firmware: vm.Config.Firmware}
	id := 0
	add := func(it ovf.Item) string {
		id++
		it.InstanceID, it.Required = fmt.Sprint(id), true
		if it.ElementName == "" {
			it.ElementName = "device " + it.InstanceID
		}
		hw.Items = append(hw.Items, it)
		return it.InstanceID
	}
	cpus, memory := uint64(vm.Config.Hardware.NumCPU), uint64(vm.Config.Hardware.MemoryMB)
	add(ovf.Item{ResourceType: ovf.ResourceProcessor, AllocationUnits: "hertz * 10^6", VirtualQuantity: &cpus})
	add(ovf.Item{ResourceType: ovf.ResourceMemory, AllocationUnits: "byte * 2^20", VirtualQuantity: &memory})
	devices := object.VirtualDeviceList(vm.Config.Hardware.Device)
	parents := map[int32]string{}
	for _, x := range devices {
		var it ovf.Item
		switch c := x.(type) {
		case *types.VirtualIDEController:
			it = ovf.Item{ResourceType: ovf.ResourceIDE, Address: fmt.Sprint(c.BusNumber)}
		case types.BaseVirtualSCSIController:
			it = ovf.Item{ResourceType: ovf.ResourceSCSI, Address: fmt.Sprint(c.GetVirtualSCSIController().BusNumber), ResourceSubType: scsiSubType(x)}
		case *types.VirtualAHCIController:
			it = ovf.Item{ResourceType: ovf.ResourceStorage, Address: fmt.Sprint(c.BusNumber), ResourceSubType: "vmware.sata.ahci"}
		case *types.VirtualNVMEController:
			it = ovf.Item{ResourceType: ovf.ResourceStorage, Address: fmt.Sprint(c.BusNumber), ResourceSubType: "vmware.nvme.controller"}
		default:
			continue
		}
		parents[x.GetVirtualDevice().Key] = add(it)
	}
	for _, c := range contents(devices, false) {
		f, ok := d.files["/"+ref.Value+c.key]
		if !ok {
			continue
		}
		n := fmt.Sprint(len(d.draft.Disks) + 1)
		d.draft.Files = append(d.draft.Files, ovf.File{ID: "file" + n, Href: f.Path, Size: f.Size})
		d.draft.Disks = append(d.draft.Disks, ovf.Disk{ID: "vmdisk" + n, FileRef: "file" + n, Capacity: fmt.Sprint(c.capacity), PopulatedSize: -1,
			Format: "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"})
		add(ovf.Item{ResourceType: ovf.ResourceDisk, HostResource: []string{"ovf:/disk/vmdisk" + n}, Parent: parents[c.controller], AddressOnParent: fmt.Sprint(c.unit), AutomaticAllocation: true})
	}
	for _, x := range devices {
		c, ok := x.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		name := "VM Network"
		if b, ok := c.GetVirtualEthernetCard().Backing.(*types.VirtualEthernetCardNetworkBackingInfo); ok {
			name = b.DeviceName
		}
		if !d.networks[name] {
			d.networks[name] = true
			d.draft.Networks = append(d.draft.Networks, ovf.Network{Name: name})
		}
		kind := strings.TrimPrefix(fmt.Sprintf("%T", x), "*types.Virtual")
		add(ovf.Item{ResourceType: ovf.ResourceEthernet, ResourceSubType: kind, Connection: []string{name}, Address: c.GetVirtualEthernetCard().MacAddress, AutomaticAllocation: true})
	}
	out := ovf.DraftContent{ID: vm.Name, Name: vm.Name, Annotation: vm.Config.Annotation, Hardware: []ovf.DraftHardware{hw},
		OS: &ovf.OperatingSystem{ID: 101, Description: "described by the vCenter"}}
	if vm.Snapshot != nil {
		d.warnings = append(d.warnings, types.LocalizedMethodFault{Fault: &types.OvfUnsupportedElement{Name: "snapshots"}, LocalizedMessage: "snapshots are not described"})
	}
	return out
}

func scsiSubType(x types.BaseVirtualDevice) string {
	switch x.(type) {
	case *types.ParaVirtualSCSIController:
		return "VirtualSCSI"
	case *types.VirtualLsiLogicSASController:
		return "lsilogicsas"
	case *types.VirtualBusLogicController:
		return "buslogic"
	}
	return "lsilogic"
}

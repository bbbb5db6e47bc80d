package vctest

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// overrides answers the calls for which the simulator has nothing, or too little.
type overrides struct {
	mo.OvfManager
	v *VCenter
}

// handle sends those calls there; req.This says what they were meant for.
func (v *VCenter) handle(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Context != nil && ctx.Value(internalKey{}) != nil {
		return nil, nil
	}
	if fault := v.before(ctx, m); fault != nil {
		return nil, fault
	}
	switch m.Name {
	case "ImportVApp", "ExportVm", "ExportSnapshot", "ShutdownGuest", "CreateImportSpec", "CreateDescriptor", "QueryChangedDiskAreas", "SearchDatastore_Task":
		m.This = v.overrides.Self
	case "CreateSnapshot_Task":
		v.keepStill(m.This)
	case "PowerOnVM_Task":
		v.ran(m.This)
	case "Destroy_Task":
		if m.This.Type == "VirtualApp" {
			m.This = v.overrides.Self
		}
	}
	return nil, nil
}

// before counts, denies, and does what a test has asked for.
func (v *VCenter) before(ctx *simulator.Context, m *simulator.Method) types.BaseMethodFault {
	v.mu.Lock()
	v.calls[m.Name]++
	hook, privilege := v.hooks[m.Name], v.denied[m.Name]
	over := v.endNow && ctx.Session != nil
	if over {
		v.endNow = false
	}
	v.mu.Unlock()
	if over { // as when it has timed out: the next login makes another one
		sessions := v.model.Map().SessionManager()
		sessions.Logout(ctx, &types.Logout{This: sessions.Self})
		ctx.Session = nil
	}
	if hook != nil {
		hook()
	}
	switch {
	case over && m.Name != "RetrieveServiceContent":
		return &types.NotAuthenticated{NoPermission: types.NoPermission{Object: &m.This, PrivilegeId: "System.View"}}
	case privilege != "":
		return &types.NoPermission{Object: &m.This, PrivilegeId: privilege}
	}
	return nil
}

// CreateImportSpec names devices as a vCenter and our leases do; the simulator's
// leases only know what it calls them.
func (o *overrides) CreateImportSpec(ctx *simulator.Context, req *types.CreateImportSpec) soap.HasFault {
	of := o.v.model.Map().Get(*o.v.client.ServiceContent.OvfManager).(*simulator.OvfManager)
	answer := of.CreateImportSpec(ctx, req)
	body, ok := answer.(*methods.CreateImportSpecBody)
	if !ok || body.Res == nil {
		return answer
	}
	spec, ok := body.Res.Returnval.ImportSpec.(*types.VirtualMachineImportSpec)
	if !ok {
		return answer
	}
	var devices object.VirtualDeviceList
	for _, c := range spec.ConfigSpec.DeviceChange {
		devices = append(devices, c.GetVirtualDeviceConfigSpec().Device)
	}
	for i, c := range contents(devices, false) {
		if i < len(body.Res.Returnval.FileItem) {
			body.Res.Returnval.FileItem[i].DeviceId = "/" + spec.ConfigSpec.Name + c.key
		}
	}
	return answer
}

func (o *overrides) ImportVApp(_ *simulator.Context, req *types.ImportVApp) soap.HasFault {
	l := o.v.newLease(true, func(l *lease, info *types.HttpNfcLeaseInfo) error {
		return o.v.create(l, info, req.This, req.Folder, req.Host, req.Spec, "")
	})
	return &methods.ImportVAppBody{Res: &types.ImportVAppResponse{Returnval: l.Self}}
}

// create makes what a specification describes; the outermost entity is the
// lease's. within is the path of names around it.
func (v *VCenter) create(l *lease, info *types.HttpNfcLeaseInfo, in types.ManagedObjectReference, folder, host *types.ManagedObjectReference, spec types.BaseImportSpec, within string) error {
	v.mu.Lock()
	refuse := v.refuse
	v.mu.Unlock()
	if refuse != nil {
		return faulty{refuse}
	}
	switch s := spec.(type) {
	case *types.VirtualMachineImportSpec:
		return v.createMachine(l, info, in, folder, host, s, within)
	case *types.VirtualAppImportSpec:
		return v.createApp(l, info, in, folder, host, s, within)
	}
	return fmt.Errorf("import specification %T", spec)
}

func (v *VCenter) createApp(l *lease, info *types.HttpNfcLeaseInfo, in types.ManagedObjectReference, folder, host *types.ManagedObjectReference, s *types.VirtualAppImportSpec, within string) error {
	ctx := internal()
	// The simulator takes vApps in resource pools only; a nested one knows its
	// parent all the same.
	root := in
	for root.Type == "VirtualApp" {
		root = *v.model.Map().Get(root).(*simulator.VirtualApp).Parent
	}
	res, err := methods.CreateVApp(ctx, v.client, &types.CreateVApp{This: root, Name: s.Name, ResSpec: s.ResourcePoolSpec,
		ConfigSpec: s.VAppConfigSpec, VmFolder: folder})
	if err != nil {
		return err
	}
	ref := res.Returnval
	app := v.model.Map().Get(ref).(*simulator.VirtualApp)
	c := *v.model.Service.Context
	c.WithLock(app, func() {
		app.Parent = &in
		app.VAppConfig.Annotation = s.VAppConfigSpec.Annotation
		app.VAppConfig.InstanceUuid = s.VAppConfigSpec.InstanceUuid
		app.VAppConfig.EntityConfig = s.VAppConfigSpec.EntityConfig
		for _, p := range s.VAppConfigSpec.Property {
			app.VAppConfig.Property = append(app.VAppConfig.Property, *p.Info)
		}
		app.VAppConfig.Eula = s.VAppConfigSpec.Eula
		app.VAppConfig.OvfEnvironmentTransport = s.VAppConfigSpec.OvfEnvironmentTransport
	})
	if within == "" {
		l.entity = ref
	}
	for _, k := range s.Child {
		if err := v.create(l, info, ref, folder, host, k, within+s.Name+"/"); err != nil {
			return err
		}
		if e := k.GetImportSpec().EntityConfig; e != nil {
			own := *e
			own.Key = v.made(k)
			c.WithLock(app, func() { app.VAppConfig.EntityConfig = append(app.VAppConfig.EntityConfig, own) })
		}
	}
	return nil
}

// made is what was made of a specification; names are unique.
func (v *VCenter) made(spec types.BaseImportSpec) *types.ManagedObjectReference {
	switch s := spec.(type) {
	case *types.VirtualMachineImportSpec:
		if vm := v.machineNamed(s.ConfigSpec.Name); vm != nil {
			return &vm.Self
		}
	case *types.VirtualAppImportSpec:
		if a := v.appNamed(s.Name); a != nil {
			return &a.Self
		}
	}
	return nil
}

func (v *VCenter) createMachine(l *lease, info *types.HttpNfcLeaseInfo, in types.ManagedObjectReference, folder, host *types.ManagedObjectReference, s *types.VirtualMachineImportSpec, within string) error {
	ctx := internal()
	if folder == nil {
		dc := v.model.Map().Any("Datacenter").(*simulator.Datacenter)
		folder = &dc.VmFolder
	}
	spec := s.ConfigSpec
	if vapp, ok := spec.VAppConfig.(*types.VAppConfigSpec); ok && vapp != nil {
		spec.VAppConfig = &vapp.VmConfigSpec
	}
	task, err := object.NewFolder(v.client, *folder).CreateVM(ctx, spec, object.NewResourcePool(v.client, in), hostOf(v, host))
	if err != nil {
		return err
	}
	done, err := task.WaitForResult(ctx)
	if err != nil {
		return err
	}
	ref := done.Result.(types.ManagedObjectReference)
	if within == "" {
		l.entity = ref
	}
	devices, err := v.devices(ref)
	if err != nil {
		return err
	}
	for _, c := range contents(devices, true) {
		l.offer(info, ref, within+spec.Name, c)
	}
	if c, ok := nvram(spec); ok {
		l.offer(info, ref, within+spec.Name, c)
	}
	return nil
}

func hostOf(v *VCenter, ref *types.ManagedObjectReference) *object.HostSystem {
	if ref == nil {
		return nil
	}
	return object.NewHostSystem(v.client, *ref)
}

func (v *VCenter) devices(vm types.ManagedObjectReference) (object.VirtualDeviceList, error) {
	var m mo.VirtualMachine
	if err := property.DefaultCollector(v.client).RetrieveOne(internal(), vm, []string{"config"}, &m); err != nil {
		return nil, err
	}
	return m.Config.Hardware.Device, nil
}

// contents are the files of a machine's devices, in the order of its devices.
func contents(devices object.VirtualDeviceList, images bool) []content {
	var out []content
	for _, d := range devices {
		b, ok := d.GetVirtualDevice().Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if !ok {
			continue
		}
		c := content{device: d.GetVirtualDevice().Key}
		if !c.file.FromString(b.GetVirtualDeviceFileBackingInfo().FileName) {
			continue
		}
		switch x := d.(type) {
		case *types.VirtualDisk:
			c.disk, c.capacity = true, x.CapacityInBytes
		case *types.VirtualCdrom:
			if !images {
				continue
			}
		default:
			continue
		}
		unit := int32(0)
		if n := d.GetVirtualDevice().UnitNumber; n != nil {
			unit = *n
		}
		switch k := devices.FindByKey(d.GetVirtualDevice().ControllerKey).(type) {
		case types.BaseVirtualController:
			kind := strings.TrimPrefix(fmt.Sprintf("%T", k), "*types.")
			c.key = fmt.Sprintf("/%s%d:%d", kind, k.GetVirtualController().BusNumber, unit)
			c.controller, c.unit = d.GetVirtualDevice().ControllerKey, unit
			out = append(out, c)
		}
	}
	return out
}

// nvram is the file of the firmware's variables that a specification names.
func nvram(spec types.VirtualMachineConfigSpec) (content, bool) {
	for _, o := range spec.ExtraConfig {
		if kv := o.GetOptionValue(); kv.Key == "nvram" {
			c := content{key: "/nvram"}
			var vmx object.DatastorePath
			vmx.FromString(spec.Files.VmPathName)
			c.file = object.DatastorePath{Datastore: vmx.Datastore, Path: path.Join(spec.Name, path.Base(fmt.Sprint(kv.Value)))}
			return c, true
		}
	}
	return content{}, false
}

func (o *overrides) ExportVm(_ *simulator.Context, req *types.ExportVm) soap.HasFault {
	body := &methods.ExportVmBody{}
	vm, ok := o.v.model.Map().Get(req.This).(*simulator.VirtualMachine)
	if !ok {
		body.Fault_ = simulator.Fault("", &types.ManagedObjectNotFound{Obj: req.This})
		return body
	}
	if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		body.Fault_ = simulator.Fault("", &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: vm.Runtime.PowerState})
		return body
	}
	name, devices := vm.Name, slices.Clone(vm.Config.Hardware.Device)
	l := o.v.newLease(false, func(l *lease, info *types.HttpNfcLeaseInfo) error {
		for _, c := range contents(devices, false) {
			l.offer(info, vm.Self, name, c)
		}
		o.v.mu.Lock()
		file, has := o.v.nvram[vm.Self]
		o.v.mu.Unlock()
		if has {
			l.offer(info, vm.Self, name, content{key: "/nvram", file: file})
		}
		return nil
	})
	body.Res = &types.ExportVmResponse{Returnval: l.Self}
	return body
}

// ShutdownGuest needs VMware Tools in the guest, which the simulator does not
// ask for; see Guest.
func (o *overrides) ShutdownGuest(ctx *simulator.Context, req *types.ShutdownGuest) soap.HasFault {
	vm := o.v.model.Map().Get(req.This).(*simulator.VirtualMachine)
	o.v.mu.Lock()
	guest := o.v.guests[vm.Name]
	o.v.mu.Unlock()
	switch guest {
	case "":
		return &methods.ShutdownGuestBody{Fault_: simulator.Fault("", &types.ToolsUnavailable{})}
	case GuestStubborn:
		return &methods.ShutdownGuestBody{Res: new(types.ShutdownGuestResponse)}
	}
	return vm.ShutdownGuest(ctx, req)
}

// ran makes the configuration of a machine another one: its host writes to it
// when it starts.
func (v *VCenter) ran(ref types.ManagedObjectReference) {
	if vm, ok := v.model.Map().Get(ref).(*simulator.VirtualMachine); ok {
		c := *v.model.Service.Context
		c.WithLock(vm, func() { vm.Config.ChangeVersion = fmt.Sprint(time.Now().UnixNano()) })
	}
}

// still ends the names of disks as the last snapshot shows them.
const still = ".still"

// keepStill copies a machine's disks as they are now; the simulator's snapshots
// have no content.
func (v *VCenter) keepStill(vm types.ManagedObjectReference) {
	m, ok := v.model.Map().Get(vm).(*simulator.VirtualMachine)
	if !ok {
		return
	}
	v.setChangeIDs(m, count)
	for _, c := range contents(m.Config.Hardware.Device, false) {
		if id := changeIDOf(m.Config.Hardware.Device, c.device); id != "" {
			v.copyTo(c, at(id))
		}
		v.copyTo(c, still)
	}
}

// copyTo copies the file of a disk.
func (v *VCenter) copyTo(c content, suffix string) {
	from, err := v.stored(c.file)
	if err != nil {
		return
	}
	c.file.Path += suffix
	if to, err := v.stored(c.file); err == nil {
		if b, err := os.ReadFile(from); err == nil { // else it is blank
			_ = os.WriteFile(to, b, 0o600)
		}
	}
}

func (o *overrides) ExportSnapshot(_ *simulator.Context, req *types.ExportSnapshot) soap.HasFault {
	snap := o.v.model.Map().Get(req.This).(*simulator.VirtualMachineSnapshot)
	devices := slices.Clone(snap.Config.Hardware.Device)
	l := o.v.newLease(false, func(l *lease, info *types.HttpNfcLeaseInfo) error {
		for _, c := range contents(devices, false) {
			c.file.Path += still
			l.offer(info, snap.Vm, snap.Config.Name, c)
		}
		return nil
	})
	return &methods.ExportSnapshotBody{Res: &types.ExportSnapshotResponse{Returnval: l.Self}}
}

// DestroyTask destroys a vApp with what is in it; the simulator would keep that.
func (o *overrides) DestroyTask(ctx *simulator.Context, req *types.Destroy_Task) soap.HasFault {
	app := o.v.model.Map().Get(req.This)
	if app == nil {
		return &methods.Destroy_TaskBody{Fault_: simulator.Fault("", &types.ManagedObjectNotFound{Obj: req.This})}
	}
	// A task locks what it is of; what it destroys locks it again.
	of := types.ManagedObjectReference{Type: req.This.Type, Value: req.This.Value + "-destroyed"}
	task := simulator.CreateTask(of, "destroy", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		if err := o.v.destroy(req.This); err != nil {
			return nil, localized(err).Fault
		}
		return nil, nil
	})
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: task.Run(ctx)}}
}

// destroy removes a machine, or a vApp with everything in it.
func (v *VCenter) destroy(ref types.ManagedObjectReference) error {
	v.destroying.Lock() // two at once would wait for each other in the simulator
	defer v.destroying.Unlock()
	return v.destroyAll(ref)
}

func (v *VCenter) destroyAll(ref types.ManagedObjectReference) error {
	if v.model.Map().Get(ref) == nil {
		return soap.WrapVimFault(&types.ManagedObjectNotFound{Obj: ref})
	}
	if ref.Type != "VirtualApp" {
		task, err := object.NewCommon(v.client, ref).Destroy(internal())
		if err == nil {
			err = task.Wait(internal())
		}
		return err
	}
	var inside []types.ManagedObjectReference
	for _, e := range v.model.Map().All("VirtualMachine") {
		if vm := e.(*simulator.VirtualMachine); vm.ResourcePool != nil && *vm.ResourcePool == ref {
			inside = append(inside, vm.Self)
		}
	}
	for _, e := range v.model.Map().All("VirtualApp") {
		if k := e.(*simulator.VirtualApp); k.Parent != nil && *k.Parent == ref {
			inside = append(inside, k.Self)
		}
	}
	for _, k := range inside {
		if err := v.destroyAll(k); err != nil {
			return err
		}
	}
	for _, e := range v.model.Map().All("ResourcePool") {
		if p, ok := e.(*simulator.ResourcePool); ok {
			simulator.RemoveReference(&p.ResourcePool.ResourcePool, ref)
		}
	}
	c := *v.model.Service.Context
	v.model.Map().Remove(&c, ref)
	return nil
}

package vctest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Track has the host of a machine track the changes of its disks, as somebody
// has switched it on before. Called again, the tracking begins anew.
func (v *VCenter) Track(machine string) error {
	vm := v.machineNamed(machine)
	if vm == nil {
		return fmt.Errorf("no machine %s", machine)
	}
	v.mu.Lock()
	v.trackings++
	tracking := fmt.Sprintf("52 d8 5c %02x", v.trackings)
	v.mu.Unlock()
	v.setChangeIDs(vm, func(string) string { return tracking + "/1" })
	return nil
}

// Backing changes those of a machine's disks.
func (v *VCenter) Backing(machine string, change func(*types.VirtualDiskFlatVer2BackingInfo)) error {
	vm := v.machineNamed(machine)
	if vm == nil {
		return fmt.Errorf("no machine %s", machine)
	}
	v.setBacking(vm, change)
	return nil
}

// setChangeIDs gives the disks of a machine others; snapshots keep theirs.
func (v *VCenter) setChangeIDs(vm *simulator.VirtualMachine, change func(string) string) {
	v.setBacking(vm, func(b *types.VirtualDiskFlatVer2BackingInfo) {
		b.ChangeId = change(b.ChangeId)
		vm.Config.ChangeTrackingEnabled = types.NewBool(b.ChangeId != "")
	})
}

// setBacking changes those of a machine's disks; snapshots keep theirs.
func (v *VCenter) setBacking(vm *simulator.VirtualMachine, change func(*types.VirtualDiskFlatVer2BackingInfo)) {
	c := *v.model.Service.Context
	c.WithLock(vm, func() {
		devices := slices.Clone(vm.Config.Hardware.Device)
		for i, d := range devices {
			x, ok := d.(*types.VirtualDisk)
			if !ok {
				continue
			}
			if b, ok := x.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				own, backing := *x, *b
				change(&backing)
				own.Backing, devices[i] = &backing, &own
			}
		}
		vm.Config.Hardware.Device = devices
	})
}

// count is the next change id of a tracking.
func count(id string) string {
	tracking, n, ok := strings.Cut(id, "/")
	if !ok {
		return id
	}
	k, _ := strconv.Atoi(n)
	return fmt.Sprintf("%s/%d", tracking, k+1)
}

// at ends the name of a disk as it was at a change id.
func at(changeID string) string { return still + "." + hex.EncodeToString([]byte(changeID)) }

// changeIDOf is that of a disk among devices.
func changeIDOf(devices object.VirtualDeviceList, key int32) string {
	if d := devices.FindByKey(key); d != nil {
		if b, ok := d.GetVirtualDevice().Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
			return b.ChangeId
		}
	}
	return ""
}

// Areas sets what is told of the areas of disks in place of the truth; nil for that.
func (v *VCenter) Areas(f func(*types.DiskChangeInfo)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.areas = f
}

// NoAreas is the lie that nothing was ever written.
func NoAreas(told *types.DiskChangeInfo) { told.ChangedArea = nil }

// areasAtOnce is how many bytes of a disk an answer is about.
const areasAtOnce = 1 << 20

// trackedUnit is how much of a disk tracking tells as one, in bytes.
const trackedUnit = 64 << 10

// QueryChangedDiskAreas knows "*", everything that was ever written, of the disks
// of a snapshot, and what has changed since a change id that is of the tracking.
func (o *overrides) QueryChangedDiskAreas(ctx *simulator.Context, req *types.QueryChangedDiskAreas) soap.HasFault {
	body := &methods.QueryChangedDiskAreasBody{}
	told, fault := o.v.areasOf(ctx, req)
	if fault != nil {
		body.Fault_ = simulator.Fault("", fault)
		return body
	}
	o.v.mu.Lock()
	lie := o.v.areas
	o.v.mu.Unlock()
	if lie != nil {
		lie(told)
	}
	body.Res = &types.QueryChangedDiskAreasResponse{Returnval: *told}
	return body
}

func (v *VCenter) areasOf(ctx *simulator.Context, req *types.QueryChangedDiskAreas) (*types.DiskChangeInfo, types.BaseMethodFault) {
	vm, ok := v.model.Map().Get(req.This).(*simulator.VirtualMachine)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: req.This}
	}
	devices, suffix := object.VirtualDeviceList(vm.Config.Hardware.Device), ""
	if req.Snapshot != nil {
		snap, ok := v.model.Map().Get(*req.Snapshot).(*simulator.VirtualMachineSnapshot)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: *req.Snapshot}
		}
		devices, suffix = snap.Config.Hardware.Device, still
	} else if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		return nil, &types.InvalidPowerState{ExistingState: vm.Runtime.PowerState}
	}
	all := contents(devices, false)
	i := slices.IndexFunc(all, func(c content) bool { return c.device == req.DeviceKey })
	if i < 0 {
		return nil, &types.InvalidArgument{InvalidProperty: "deviceKey"}
	}
	c, then := all[i], all[i]
	open := func(c content, suffix string) (disk.Image, func(), types.BaseMethodFault) {
		c.file.Path += suffix
		img, _, closer, err := v.imageOf(c)
		if err != nil {
			return nil, nil, &types.FileFault{File: err.Error()}
		}
		return img, closer, nil
	}
	img, closer, fault := open(c, suffix)
	if fault != nil {
		return nil, fault
	}
	defer closer()
	told := &types.DiskChangeInfo{StartOffset: req.StartOffset, Length: min(areasAtOnce, c.capacity-req.StartOffset)}
	if req.ChangeId == "*" {
		for e, err := range img.Extents(ctx, told.StartOffset, told.Length) {
			if err != nil {
				return nil, &types.FileFault{File: err.Error()}
			}
			if !e.Zero {
				told.ChangedArea = append(told.ChangedArea, types.DiskChangeExtent{Start: e.Offset, Length: e.Length})
			}
		}
		return told, nil
	}
	tracking, _, _ := strings.Cut(req.ChangeId, "/")
	if now, _, _ := strings.Cut(changeIDOf(devices, req.DeviceKey), "/"); now == "" || now != tracking {
		return nil, &types.InvalidArgument{InvalidProperty: "changeId"}
	}
	was, closer, fault := open(then, at(req.ChangeId))
	if fault != nil {
		return nil, fault
	}
	defer closer()
	a, b := make([]byte, trackedUnit), make([]byte, trackedUnit)
	for off := told.StartOffset; off < told.StartOffset+told.Length; off += trackedUnit {
		n := min(trackedUnit, c.capacity-off)
		_, errA := img.ReadAt(a[:n], off)
		_, errB := was.ReadAt(b[:n], off)
		if errA != nil || errB != nil {
			return nil, &types.FileFault{File: c.file.Path}
		}
		if !bytes.Equal(a[:n], b[:n]) {
			told.ChangedArea = append(told.ChangedArea, types.DiskChangeExtent{Start: off, Length: n})
		}
	}
	return told, nil
}

// Snapshot makes a snapshot of a machine that is none of ours.
func (v *VCenter) Snapshot(machine, name string) error {
	vm := v.machineNamed(machine)
	v.keepStill(vm.Self)
	task, err := object.NewVirtualMachine(v.client, vm.Self).CreateSnapshot(internal(), name, "", false, false)
	if err != nil {
		return err
	}
	return task.Wait(internal())
}

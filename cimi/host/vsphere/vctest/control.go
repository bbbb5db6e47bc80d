package vctest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// How a machine's guest takes the wish to shut down; without VMware Tools,
// which is the default, it cannot be asked.
const (
	GuestObeys    = "obeys"
	GuestStubborn = "stubborn"
)

// Guest says how the guest of the machine of that name behaves.
func (v *VCenter) Guest(machine, behaviour string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.guests[machine] = behaviour
}

// Deny refuses a method for want of a privilege; an empty one allows it again.
func (v *VCenter) Deny(method, privilege string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.denied[method] = privilege
}

// On calls f before each call of a method.
func (v *VCenter) On(method string, f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hooks[method] = f
}

// Calls is how often a method was called.
func (v *VCenter) Calls(method string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.calls[method]
}

// AllCalls is how often each method was called.
func (v *VCenter) AllCalls() map[string]int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.calls)
}

// EndSession ends the session of the next call, as a timeout does.
func (v *VCenter) EndSession() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.endNow = true
}

// Inventory is the names of all machines and vApps, sorted.
func (v *VCenter) Inventory() []string {
	var out []string
	for _, e := range v.model.Map().All("VirtualMachine") {
		out = append(out, e.Entity().Name)
	}
	for _, e := range v.model.Map().All("VirtualApp") {
		out = append(out, e.Entity().Name)
	}
	slices.Sort(out)
	return out
}

// Machine is the configuration of the machine of that name, nil when there is none.
func (v *VCenter) Machine(name string) *types.VirtualMachineConfigInfo {
	if vm := v.machineNamed(name); vm != nil {
		return vm.Config
	}
	return nil
}

// App is the configuration of the vApp of that name, nil when there is none.
func (v *VCenter) App(name string) *types.VAppConfigInfo {
	for _, e := range v.model.Map().All("VirtualApp") {
		if a := e.(*simulator.VirtualApp); a.Name == name {
			return a.VAppConfig
		}
	}
	return nil
}

func (v *VCenter) machineNamed(name string) *simulator.VirtualMachine {
	for _, e := range v.model.Map().All("VirtualMachine") {
		if vm := e.(*simulator.VirtualMachine); vm.Name == name {
			return vm
		}
	}
	return nil
}

// diskOf is disk n, from 0, of a machine.
func (v *VCenter) diskOf(name string, n int) (content, error) {
	vm := v.machineNamed(name)
	if vm == nil {
		return content{}, fmt.Errorf("no machine %s", name)
	}
	disks := contents(vm.Config.Hardware.Device, false)
	if n >= len(disks) {
		return content{}, fmt.Errorf("machine %s has %d disks", name, len(disks))
	}
	return disks[n], nil
}

// Snapshots is how many snapshots the machine of that name has.
func (v *VCenter) Snapshots(name string) int {
	vm := v.machineNamed(name)
	if vm == nil || vm.Snapshot == nil {
		return 0
	}
	return snapshots(vm.Snapshot.RootSnapshotList)
}

func snapshots(trees []types.VirtualMachineSnapshotTree) (n int) {
	for _, t := range trees {
		n += 1 + snapshots(t.ChildSnapshotList)
	}
	return n
}

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

// Thumbprint has leases tell another one than that of the host's certificate.
func (v *VCenter) Thumbprint(s string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.told = s
}

// Manifest changes what leases tell of files that they have taken; f is false
// for one that they tell nothing of.
func (v *VCenter) Manifest(f func(*types.HttpNfcLeaseManifestEntry) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tell = f
}

// RefuseImports has imports end with a fault in place of a machine, as where a
// datastore is full; nil makes machines again.
func (v *VCenter) RefuseImports(fault types.BaseMethodFault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refuse = fault
}

// EndLeases ends all that are open with a fault, and takes back what imports
// have made.
func (v *VCenter) EndLeases(fault types.BaseMethodFault) {
	v.mu.Lock()
	open := slices.Collect(maps.Values(v.leases))
	v.mu.Unlock()
	for _, l := range open {
		if l.end(nil, types.HttpNfcLeaseStateError, faulty{fault}) {
			l.remove()
		}
	}
}

// faulty is a fault as an error.
type faulty struct{ fault types.BaseMethodFault }

func (f faulty) Error() string                { return fmt.Sprintf("%T", f.fault) }
func (f faulty) Fault() types.BaseMethodFault { return f.fault }

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

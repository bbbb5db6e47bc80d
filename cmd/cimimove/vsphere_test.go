package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// vSphere is a simulated vCenter as a destination.
func vSphere(t *testing.T) (*vctest.VCenter, *hypervisor) {
	t.Helper()
	v, endpoint, trusted := vcenter(t, vctest.Options{})
	k := &hypervisor{endpoint: endpoint, trusted: trusted, capacity: 64 << 20, data: 8, network: "VM Network",
		late: func() bool { return false }, things: v.Inventory}
	k.halfway = func(t *testing.T, dir string, args ...string) (*process, func()) {
		return inTheMiddle(t, v, dir, args...)
	}
	k.machines = func() (ids []string) {
		for _, name := range v.Inventory() {
			ids = append(ids, v.Machine(name).InstanceUuid)
		}
		return ids
	}
	k.nothing = func(when string) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			leases, left := v.OpenLeases(), v.Inventory()
			if len(leases) == 0 && len(left) == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("%s: %d leases are open, %v is left", when, len(leases), left)
				return
			}
		}
	}
	k.whole = func(when string) {
		t.Helper()
		imports := 0
		for _, l := range v.PastLeases() {
			if l.Import && l.State == "done" {
				imports++
			}
		}
		if imports != 1 || !slices.Equal(v.Inventory(), []string{"web"}) || len(v.OpenLeases()) != 0 {
			t.Errorf("%s: %d leases are open, there are %v; %d imports ended well, want 1: %+v", when, len(v.OpenLeases()), v.Inventory(), imports, v.PastLeases())
		}
	}
	return v, k
}

// inTheMiddle starts a command and gives it back when half of a disk has arrived
// at the vCenter, which takes no more until release is called.
func inTheMiddle(t *testing.T, v *vctest.VCenter, dir string, args ...string) (p *process, release func()) {
	t.Helper()
	arrived, done := make(chan struct{}), make(chan struct{})
	v.At(4<<20, func() { close(arrived); <-done })
	p = start(t, dir, args...)
	select {
	case <-arrived:
	case <-time.After(time.Minute):
		p.Process.Kill()
		p.Wait()
		t.Fatalf("nothing arrives: %s", p.diagnostics.String())
	}
	if open := v.OpenLeases(); len(open) != 1 {
		t.Errorf("%d leases are open", len(open))
	}
	return p, func() { close(done) }
}

// TestAC32VSphere: the lease is aborted by an interrupt; see ac32Interrupt.
func TestAC32VSphere(t *testing.T) {
	_, k := vSphere(t)
	ac32Interrupt(t, k)
}

// TestAC33VSphere: no lease stays open after a kill; see ac33Resume.
func TestAC33VSphere(t *testing.T) {
	_, k := vSphere(t)
	ac33Resume(t, k)
}

func TestAC33VSphereGC(t *testing.T) {
	ovftest.Slow(t)
	_, k := vSphere(t)
	ac33Collect(t, k)
}

func TestAC34VSphere(t *testing.T) {
	_, k := vSphere(t)
	ac34Exists(t, k)
}

// TestAC35VSphere: a dry run calls nothing that changes the vCenter; see ac35DryRun.
func TestAC35VSphere(t *testing.T) {
	v, k := vSphere(t)
	before := v.AllCalls()
	ac35DryRun(t, k)
	harmless := []string{"Retrieve", "Login", "Logout", "CreateContainerView", "DestroyView", "CurrentTime", "SearchDatastore_Task", "QueryConfigOptionDescriptor", "FindByUuid",
		"CreateFilter", "CreatePropertyCollector", "DestroyPropertyCollector", "DestroyPropertyFilter", "WaitForUpdatesEx", "CancelWaitForUpdates", "GetDefaultKmsCluster"}
	for name, n := range v.AllCalls() {
		if n > before[name] && !slices.ContainsFunc(harmless, func(p string) bool { return strings.HasPrefix(name, p) }) {
			t.Errorf("a dry run calls %s", name)
		}
	}
}

package vsphere_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// brought imports the sample into a vCenter of its own.
func brought(t *testing.T) (*vctest.VCenter, *vsphere.Host, *host.System) {
	t.Helper()
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	t.Cleanup(func() { h.Close() })
	s, err := h.Import(context.Background(), hosttest.Package(t, hosttest.NewSample(t, "appliance", 1).OVA(t)), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return v, h, s
}

func stateOf(t *testing.T, h host.Host, system, machine string) host.PowerState {
	t.Helper()
	s, err := h.System(context.Background(), system)
	if err != nil {
		t.Fatal(err)
	}
	for m := range s.AllMachines() {
		if m.ID == machine {
			return m.State
		}
	}
	t.Fatalf("no machine %s", machine)
	return ""
}

// TestPower: a guest is asked, the deadline is kept, force needs nobody.
func TestPower(t *testing.T) {
	v, h, s := brought(t)
	ctx, db := context.Background(), s.Machines[0]
	if err := h.Start(ctx, db.ID); err != nil {
		t.Fatal(err)
	}
	if got := stateOf(t, h, s.ID, db.ID); got != host.Started {
		t.Fatalf("started, it is %s", got)
	}
	if _, err := h.Export(ctx, s.ID, host.ExportOptions{}); !errors.Is(err, host.ErrBusy) {
		t.Errorf("the export of a running machine: %v", err)
	}
	if err := h.Delete(ctx, s.ID); !errors.Is(err, host.ErrBusy) {
		t.Errorf("the deletion of a running machine: %v", err)
	}
	// What it holds is not known any more; the other machine's disk is.
	now, err := h.System(ctx, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	for d := range now.AllDisks() {
		if ran := d.OVFID == "disk1"; d.ContentBytes > 0 && (d.ContentDigest == "") != ran {
			t.Errorf("disk %s has the digest %q after machine %s ran", d.OVFID, d.ContentDigest, db.Name)
		}
	}
	if err := h.Stop(ctx, db.ID, false); !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "VMware Tools") {
		t.Errorf("a guest without tools: %v", err)
	}
	v.Guest("database", vctest.GuestStubborn)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := h.Stop(short, db.ID, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a guest that does not shut down: %v", err)
	}
	v.Guest("database", vctest.GuestObeys)
	if err := h.Stop(ctx, db.ID, false); err != nil {
		t.Error(err)
	}
	if got := stateOf(t, h, s.ID, db.ID); got != host.Stopped {
		t.Errorf("shut down, it is %s", got)
	}
	if err := errors.Join(h.Start(ctx, db.ID), h.Suspend(ctx, db.ID)); err != nil {
		t.Fatal(err)
	}
	if got := stateOf(t, h, s.ID, db.ID); got != host.Suspended {
		t.Errorf("suspended, it is %s", got)
	}
	if err := errors.Join(h.Start(ctx, db.ID), h.Stop(ctx, db.ID, true)); err != nil {
		t.Error(err)
	}
	if err := h.Start(ctx, "00000000000000000000000000000000"); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("a machine that is not there: %v", err)
	}
}

// TestPermission: who lacks a privilege is told which one.
func TestPermission(t *testing.T) {
	ovftest.Slow(t)
	v, h, s := brought(t)
	v.Deny("PowerOnVM_Task", "VirtualMachine.Interact.PowerOn")
	err := h.Start(context.Background(), s.Machines[0].ID)
	var denied *vsphere.PermissionError
	var class *cimi.SecurityError
	if !errors.As(err, &denied) || denied.Privilege != "VirtualMachine.Interact.PowerOn" || !strings.Contains(err.Error(), denied.Privilege) || !errors.As(err, &class) {
		t.Errorf("starting without the privilege: %v", err)
	}
	before := v.Inventory()
	v.Deny("ImportVApp", "VApp.Import")
	_, err = h.Import(context.Background(), hosttest.Package(t, hosttest.NewSample(t, "second", 2).OVA(t)), host.ImportOptions{})
	if !errors.As(err, &denied) || denied.Privilege != "VApp.Import" {
		t.Errorf("importing without the privilege: %v", err)
	}
	if after := v.Inventory(); strings.Join(after, ",") != strings.Join(before, ",") {
		t.Errorf("machines before: %v, after: %v", before, after)
	}
}

// TestAC05LeaseIsKeptAlive: an upload that is slower than the lease's timeout
// ends well, and what is told of its progress never goes back.
func TestAC05LeaseIsKeptAlive(t *testing.T) {
	v := vctest.New(t, vctest.Options{LeaseTimeout: time.Second})
	h := open(t, v, "")
	defer h.Close()
	v.NFC(func(method, _ string) int { time.Sleep(1500 * time.Millisecond); return 0 })
	if _, err := h.Import(context.Background(), hosttest.Package(t, hosttest.NewSample(t, "slow", 1).OVA(t)), host.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	past := v.PastLeases()
	if len(past) != 1 || past[0].Expired || len(past[0].Progress) < 4 {
		t.Fatalf("leases are %+v", past)
	}
	for i, p := range past[0].Progress {
		if i > 0 && p < past[0].Progress[i-1] {
			t.Errorf("progress goes back: %v", past[0].Progress)
		}
	}
}

// TestAC33FailureLeavesNothing: an upload that a host refuses leaves neither
// machine nor lease nor record.
func TestAC33FailureLeavesNothing(t *testing.T) {
	ovftest.Slow(t)
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	v.NFC(func(method, _ string) int { return 507 })
	_, err := h.Import(context.Background(), hosttest.Package(t, hosttest.NewSample(t, "refused", 1).OVA(t)), host.ImportOptions{})
	if err == nil || !strings.Contains(err.Error(), "507") {
		t.Errorf("a host that has no room: %v", err)
	}
	if left := v.Inventory(); len(left) != 0 {
		t.Errorf("machines are left: %v", left)
	}
	if open := v.OpenLeases(); len(open) != 0 {
		t.Errorf("leases are open: %+v", open)
	}
	v.NFC(nil)
	if _, err := h.Import(context.Background(), hosttest.Package(t, hosttest.NewSample(t, "refused", 1).OVA(t)), host.ImportOptions{}); err != nil {
		t.Errorf("the same again: %v", err)
	}
}

// TestAC05SessionIsRenewed: a session that ends in the middle of an import is
// renewed, once for all calls that meet it, and the import ends well.
func TestAC05SessionIsRenewed(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	h := open(t, v, "")
	defer h.Close()
	ended := false
	v.NFC(func(string, string) int {
		if !ended {
			ended = true
			v.EndSession()
		}
		return 0
	})
	logins := v.Calls("Login")
	if _, err := h.Import(context.Background(), hosttest.Package(t, hosttest.NewSample(t, "long", 1).OVA(t)), host.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := v.Calls("Login") - logins; n != 1 {
		t.Errorf("%d logins after the session ended, want 1", n)
	}
}

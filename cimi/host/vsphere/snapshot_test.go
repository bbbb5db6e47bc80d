package vsphere_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestLiveExport: a machine that runs is exported as the snapshot shows it that
// is made for it: what it writes meanwhile is not in the package, it goes on
// running, and the snapshot is gone afterwards.
func TestLiveExport(t *testing.T) {
	ovftest.Slow(t)
	v := vctest.New(t, vctest.Options{})
	ctx := context.Background()
	vm := made(t, v, "busy")
	before, after := hosttest.Content(1, 2<<20), hosttest.Content(2, 2<<20)
	if err := v.SetDisk("busy", 0, raw.New(bytes.NewReader(before), int64(len(before)))); err != nil {
		t.Fatal(err)
	}
	task, err := vm.PowerOn(ctx)
	ran(t, task, err)
	h := open(t, v, "")
	defer h.Close()
	s := shown(t, h, "busy")
	if _, err := h.Export(ctx, s.ID, host.ExportOptions{}); !errors.Is(err, host.ErrBusy) {
		t.Errorf("a running machine, not asked for live: %v", err)
	}
	v.NFC(func(string, string) int {
		if err := v.SetDisk("busy", 0, raw.New(bytes.NewReader(after), int64(len(after)))); err != nil {
			t.Error(err)
		}
		return 0
	})
	x, err := h.Export(ctx, s.ID, host.ExportOptions{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	v.NFC(nil)
	if !slices.ContainsFunc(x.Findings(), func(f ovf.Finding) bool { return f.ID == "VSPHERE-SNAP-001" }) {
		t.Errorf("the snapshot is not told: %+v", x.Findings())
	}
	all := make([]byte, x.Size())
	if _, err := x.ReadAt(all, 0); err != nil {
		t.Fatal(err)
	}
	back, _ := hosttest.Importing(t, h, all, host.ImportOptions{Name: "back"})
	img, err := h.OpenDisk(ctx, back.Disks[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	got := make([]byte, len(before))
	if _, err := img.ReadAt(got, 0); err != nil || !bytes.Equal(got, before) {
		t.Errorf("the package has not the content of the snapshot: %v", err)
	}
	if now := shown(t, h, "busy"); now.Machines[0].State != host.Started || v.Snapshots("busy") != 0 {
		t.Errorf("afterwards it is %s with %d snapshots", now.Machines[0].State, v.Snapshots("busy"))
	}
	// OpenDisk reads it the same way.
	live, err := h.OpenDisk(ctx, s.Disks[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	live.Close()
	if v.Snapshots("busy") != 0 {
		t.Error("a snapshot is left")
	}
}

// TestLiveExportIndependent: a disk that no snapshot holds still is not read from
// a running machine; from a stopped one it is.
func TestLiveExportIndependent(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	ctx := context.Background()
	vm := made(t, v, "scratch")
	devices, err := vm.Device(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices.SelectByType((*types.VirtualDisk)(nil)) {
		d.GetVirtualDevice().Backing.(*types.VirtualDiskFlatVer2BackingInfo).DiskMode = string(types.VirtualDiskModeIndependent_persistent)
		if err := vm.EditDevice(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	h := open(t, v, "")
	defer h.Close()
	s := shown(t, h, "scratch")
	if len(hosttest.Exported(t, h, s.ID)) == 0 {
		t.Error("stopped, nothing goes out")
	}
	task, err := vm.PowerOn(ctx)
	ran(t, task, err)
	if _, err := h.Export(ctx, s.ID, host.ExportOptions{Live: true}); !errors.Is(err, host.ErrBusy) || !strings.Contains(err.Error(), "independent_persistent") || v.Snapshots("scratch") != 0 {
		t.Errorf("an independent disk of a running machine: %v", err)
	}
}

// TestSnapshotsOfTheDead: Open removes snapshots that this owner left, and those
// of heirs, no others.
func TestSnapshotsOfTheDead(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	ctx := context.Background()
	vm := made(t, v, "busy")
	for _, name := range []string{"before the upgrade", "cimimove-test", "cimimove-alive", "cimimove-gone"} {
		task, err := vm.CreateSnapshot(ctx, name, "", false, false)
		ran(t, task, err)
	}
	opts := options(t, v)
	opts.Heirs = []string{"gone"}
	h, err := vsphere.Open(ctx, v.Endpoint(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if n := v.Snapshots("busy"); n != 2 {
		t.Errorf("%d snapshots are left, want 2", n)
	}
}

package libvirt_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/cimi/provider"
)

// TestSnapshotE2E: a snapshot of a machine is an image with disks of its own,
// which is listed; restored, the machine's disk holds again what it held; deleted
// with its volumes it is gone, and the machine stays.
func TestSnapshotE2E(t *testing.T) {
	libvirtd.Need(t)
	ctx := context.Background()
	pool, _ := libvirtd.Pool(t)
	h := newHosts("").open(t, pool)
	p, err := provider.New(ctx, h, provider.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	first, second := hosttest.Content(1, 3<<20), hosttest.Content(9, 3<<20)
	s, err := h.Import(ctx, stored(t, "v1", first), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	disk, machine := s.Disks[0], "machines/"+s.Machines[0].ID
	done := func(acc *cimi.Accepted, err error) {
		t.Helper()
		if err == nil {
			_, err = cimi.Wait(ctx, p, acc, "", cimi.WaitOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	snapshots := func() []cimi.Resource {
		t.Helper()
		list, err := p.List(ctx, machine+"/snapshots", cimi.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return list.Items
	}
	done(p.Invoke(ctx, machine, &cimi.Action{Action: cimi.ActionSnapshot}))
	listed := snapshots()
	if len(listed) != 1 || disks(t, pool) != 2 {
		t.Fatalf("%d snapshots are listed, there are %d volumes of disks", len(listed), disks(t, pool))
	}
	// The machine writes, as far as libvirt can tell.
	changed := filepath.Join(t.TempDir(), "changed")
	if err := os.WriteFile(changed, second, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, v := range libvirtd.Volumes(t, pool) {
		if strings.Contains(v, disk.ID) {
			libvirtd.Virsh(t, "vol-upload", "--pool", pool, v, changed)
		}
	}
	same(t, h, disk, second)
	image := listed[0].Base().ID
	if ref, ok := cimi.Value(listed[0], "machineImage").(*cimi.Ref[cimi.MachineImage]); ok && ref != nil {
		image = ref.Href
	}
	done(p.Invoke(ctx, machine, &cimi.Action{Action: cimi.ActionRestore, Image: cimi.RefTo[cimi.MachineImage](image)}))
	now, err := h.System(ctx, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, h, now.Disks[0], first)
	done(p.Delete(ctx, image))
	if n := len(snapshots()); n != 0 || disks(t, pool) != 1 {
		t.Errorf("deleted, %d snapshots are listed, there are %d volumes of disks", n, disks(t, pool))
	}
	same(t, h, now.Disks[0], first)
	libvirtd.Virsh(t, "start", "--paused", uuid(s.Machines[0].ID))
	if _, err := p.Invoke(ctx, machine, &cimi.Action{Action: cimi.ActionSnapshot}); err == nil {
		t.Error("a snapshot of a machine that runs is taken, of disks that it writes to")
	}
	libvirtd.Virsh(t, "destroy", uuid(s.Machines[0].ID))
	if err := h.Delete(ctx, s.ID); err != nil {
		t.Error(err)
	}
}

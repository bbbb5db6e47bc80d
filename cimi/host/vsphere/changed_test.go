package vsphere_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestContentVersion: a machine that was started and stopped again in between
// shows by its disks' versions, and by nothing else of them.
func TestContentVersion(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	v := vctest.New(t, vctest.Options{})
	ctx := t.Context()
	h, s, _ := running(t, v, "thin")
	defer h.Close()
	stop := func() {
		for _, m := range s.Machines {
			if err := h.Stop(ctx, m.ID, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	version := func() string {
		got, err := h.ContentVersion(ctx, s.Disks[0].ID)
		if err != nil || got == "" {
			t.Fatalf("%q: %v", got, err)
		}
		return got
	}
	stop()
	was := version()
	x, err := h.Export(ctx, s.ID, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if now := version(); now != was {
		t.Errorf("exported, it is %q, was %q", now, was)
	}
	for _, m := range s.Machines {
		if err := h.Start(ctx, m.ID); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if now := version(); now == was {
		t.Errorf("its machines ran, and it is still %q", now)
	}
}

// TestChangedSince: what has changed since a Live export is told where its host
// tracks it, and nothing where that is not certain.
func TestChangedSince(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	v := vctest.New(t, vctest.Options{})
	ctx := t.Context()
	h, s, _ := running(t, v, "thin")
	defer h.Close()
	if err := errors.Join(v.Track("database"), v.Track("web")); err != nil {
		t.Fatal(err)
	}
	x, err := h.Export(ctx, s.ID, host.ExportOptions{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	state, err := x.State()
	if err != nil {
		t.Fatal(err)
	}
	points, _ := host.FrozenPoints(state)
	if err := errors.Join(x.Close(), h.Retain(ctx, nil)); err != nil || len(points) != 3 {
		t.Fatalf("%v: %v", points, err)
	}
	id := ""
	for _, d := range s.Disks {
		if d.OVFID == "disk1" {
			id = d.ID
		}
	}
	if _, err := h.ChangedSince(ctx, id, points[id]); !errors.Is(err, host.ErrBusy) {
		t.Errorf("of a machine that runs: %v", err)
	}
	rewrite(t, v, 9)
	for _, m := range s.Machines {
		if err := h.Stop(ctx, m.ID, true); err != nil {
			t.Fatal(err)
		}
	}
	areas, err := h.ChangedSince(ctx, id, points[id])
	if want := []disk.Extent{{Offset: 0, Length: 1<<20 + 64<<10}, {Offset: 2 << 20, Length: 64 << 10}}; err != nil || !reflect.DeepEqual(areas, want) {
		t.Errorf("%+v, want %+v: %v", areas, want, err)
	}
	now, err := h.System(ctx, s.ID)
	if err != nil || !now.Disk(id).Tracked {
		t.Errorf("%+v: %v", now.Disk(id), err)
	}
	few, err := h.OpenFew(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	defer few.Close()
	leases, got := v.Calls("ExportVm"), make([]byte, 4096)
	if _, err := few.ReadAt(got, 8192); err != nil || string(got) != string(hosttest.Content(9, 1<<20)[8192:][:4096]) || v.Calls("ExportVm") != leases {
		t.Errorf("a page is another, or was fetched by a lease: %v", err)
	}

	for name, p := range map[string]string{"no point": "", "none of ours": "{}", "of another disk": other(points, id)} {
		if areas, err := h.ChangedSince(ctx, id, p); !errors.Is(err, host.ErrChanged) {
			t.Errorf("%s: %+v, %v", name, areas, err)
		}
	}
	for name, change := range map[string]func(*types.VirtualDiskFlatVer2BackingInfo){
		"switched off":      func(b *types.VirtualDiskFlatVer2BackingInfo) { b.ChangeId = "" },
		"begun anew":        func(b *types.VirtualDiskFlatVer2BackingInfo) { b.ChangeId = "aa/7" },
		"counted back":      func(b *types.VirtualDiskFlatVer2BackingInfo) { b.ChangeId = strings.Replace(b.ChangeId, "/2", "/1", 1) },
		"not to be read":    func(b *types.VirtualDiskFlatVer2BackingInfo) { b.ChangeId += "x" },
		"shared":            func(b *types.VirtualDiskFlatVer2BackingInfo) { b.Sharing = "sharingMultiWriter" },
		"independent":       func(b *types.VirtualDiskFlatVer2BackingInfo) { b.DiskMode = "independent_persistent" },
		"on top of another": func(b *types.VirtualDiskFlatVer2BackingInfo) { b.Parent = &types.VirtualDiskFlatVer2BackingInfo{} },
		"in another file":   func(b *types.VirtualDiskFlatVer2BackingInfo) { b.FileName = "[LocalDS_0] other/other.vmdk" },
	} {
		was := map[string]types.VirtualDiskFlatVer2BackingInfo{}
		err := v.Backing("database", func(b *types.VirtualDiskFlatVer2BackingInfo) {
			now := *b
			change(b)
			was[fmt.Sprint(*b)] = now
		})
		if err != nil {
			t.Fatal(err)
		}
		if areas, err := h.ChangedSince(ctx, id, points[id]); !errors.Is(err, host.ErrChanged) {
			t.Errorf("%s: %+v, %v", name, areas, err)
		}
		if err := v.Backing("database", func(b *types.VirtualDiskFlatVer2BackingInfo) { *b = was[fmt.Sprint(*b)] }); err != nil {
			t.Fatal(err)
		}
	}
	for name, lie := range map[string]func(*types.DiskChangeInfo){
		"no progress": func(i *types.DiskChangeInfo) { i.Length = 0 },
		"beyond the end": func(i *types.DiskChangeInfo) {
			i.ChangedArea = append(i.ChangedArea, types.DiskChangeExtent{Start: 1 << 40, Length: 1})
		},
	} {
		v.Areas(lie)
		if areas, err := h.ChangedSince(ctx, id, points[id]); !errors.Is(err, host.ErrChanged) {
			t.Errorf("%s: %+v, %v", name, areas, err)
		}
	}
	v.Areas(nil)
	v.Deny("QueryChangedDiskAreas", "VirtualMachine.Provisioning.DiskRandomRead")
	if areas, err := h.ChangedSince(ctx, id, points[id]); !errors.Is(err, host.ErrChanged) {
		t.Errorf("not permitted: %+v, %v", areas, err)
	}
	v.Deny("QueryChangedDiskAreas", "")
	if again, err := h.ChangedSince(ctx, id, points[id]); err != nil || !reflect.DeepEqual(again, areas) {
		t.Errorf("%+v, it was %+v: %v", again, areas, err)
	}
	if err := v.Snapshot("database", "of others"); err != nil {
		t.Fatal(err)
	}
	if areas, err := h.ChangedSince(ctx, id, points[id]); !errors.Is(err, host.ErrChanged) {
		t.Errorf("with a snapshot: %+v, %v", areas, err)
	}
}

func other(points map[string]string, id string) string {
	for k, p := range points {
		if k != id {
			return p
		}
	}
	return ""
}

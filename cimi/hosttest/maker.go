package hosttest

import (
	"context"
	"errors"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// testMaker: a System made part by part, changed, restored, exported, reopened.
func testMaker(t *testing.T, hosts Hosts) {
	h := hosts.Open(t)
	m, ok := h.(host.Maker)
	if !ok {
		t.Skip("the host is no host.Maker")
	}
	ctx, sample := context.Background(), NewSample(t, "appliance", 1)
	sys := imported(t, h, sample)
	source := diskByOVFID(sys, "disk1")
	img, err := h.OpenDisk(ctx, source.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	d := &host.Disk{ID: host.NewID(), Name: "copy", CapacityBytes: 4 << 20}
	made := &host.System{ID: host.NewID(), Name: "made", Collection: true, Disks: []*host.Disk{d},
		Machines: []*host.Machine{{ID: host.NewID(), Name: "vm", State: host.Stopped, CPUs: 2, MemoryBytes: 1 << 30,
			Attachments: []host.Attachment{{DiskID: d.ID, Controller: "scsi"}}}}}
	if err := m.Make(ctx, made, host.CopyOf(img, nil)); err != nil {
		t.Fatal(err)
	}
	if d.ContentDigest != source.ContentDigest || d.CapacityBytes != 4<<20 {
		t.Errorf("the copy is %+v, want the digest of %+v", d, source)
	}
	if err := m.Make(ctx, &host.System{ID: made.ID, Name: "again"}, nil); !errors.Is(err, host.ErrExists) {
		t.Errorf("the same id again: %v", err)
	}
	broken := errors.New("broken")
	lost := &host.Disk{ID: host.NewID(), Name: "lost", CapacityBytes: 512}
	_, err = m.Alter(ctx, made.ID, []*host.Disk{lost}, nil, func(s *host.System) error { s.Disks = append(s.Disks, lost); return broken })
	if !errors.Is(err, broken) {
		t.Errorf("a change that fails: %v", err)
	}
	if _, err := h.OpenDisk(ctx, lost.ID); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("the disk of a change that failed: %v", err)
	}
	blank := *d
	blank.Generation, blank.ContentBytes, blank.ContentDigest = 1, 0, ""
	if _, err := m.Alter(ctx, made.ID, []*host.Disk{&blank}, nil, func(s *host.System) error { s.Disks[0] = &blank; return nil }); err != nil {
		t.Fatal(err)
	}
	wantData(t, h, d.ID, 0)
	back := blank
	back.Generation = 2
	if _, err := m.Alter(ctx, made.ID, []*host.Disk{&back}, host.CopyOf(img, nil), func(s *host.System) error { s.Disks[0] = &back; return nil }); err != nil {
		t.Fatal(err)
	}
	h = hosts.Reopen(t, h)
	wantData(t, h, d.ID, 1)
	x, err := h.Export(ctx, made.ID, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pkg := exported(t, x)
	again, err := h.Import(ctx, pkg, host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Machines) != 1 || again.Machines[0].CPUs != 2 || len(again.Machines[0].Attachments) != 1 || again.Disks[0].ContentDigest == "" {
		t.Errorf("exported and imported it is %+v", again)
	}
	// Parts added to a System that was imported.
	m = h.(host.Maker)
	more := &host.Disk{ID: host.NewID(), Name: "more", CapacityBytes: 1 << 20}
	if _, err := m.Alter(ctx, sys.ID, []*host.Disk{more}, nil, func(s *host.System) error {
		s.Disks = append(s.Disks, more)
		s.Machines = append(s.Machines[:1], &host.Machine{ID: host.NewID(), Name: "third", State: host.Stopped, CPUs: 1, MemoryBytes: 1 << 20,
			Attachments: []host.Attachment{{DiskID: more.ID, Controller: "scsi"}}, NICs: []host.NIC{{Network: s.Networks[0].ID, MAC: "02:00:00:00:00:01"}}})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if x, err = h.Export(ctx, sys.ID, host.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	if again, err = h.Import(ctx, exported(t, x), host.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for m := range again.AllMachines() {
		names = append(names, m.Name)
	}
	if len(names) != 2 || names[0] != "database" || names[1] != "third" || len(again.Machines[1].NICs) != 1 {
		t.Errorf("after a machine went and one came: %v", names)
	}
	if err := h.Delete(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.OpenDisk(ctx, d.ID); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("a deleted disk: %v", err)
	}
}

func exported(t testing.TB, x host.Export) ovf.Package {
	t.Helper()
	defer x.Close()
	b := make([]byte, x.Size())
	if err := disk.ReadFull(x, b, 0); err != nil {
		t.Fatal(err)
	}
	ValidDescriptor(t, b)
	return Package(t, b)
}

// wantData wants a disk to have data, or none.
func wantData(t testing.TB, h host.Host, id string, some int64) {
	t.Helper()
	img, err := h.OpenDisk(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	b := make([]byte, img.Size())
	if err := disk.ReadFull(img, b, 0); err != nil {
		t.Fatal(err)
	}
	if disk.IsZero(b) != (some == 0) {
		t.Errorf("disk %s: zero is %v", id, some != 0)
	}
}

package hosttest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
)

// testMover: a disk moves into another System, content and all, the place it
// had to itself goes, and nothing is lost or added on the way. A System that
// uses parts of others is exported with them.
func testMover(t *testing.T, hosts Hosts) {
	h := hosts.Open(t)
	m, ok := h.(host.Mover)
	maker, isMaker := h.(host.Maker)
	if !ok || !isMaker {
		t.Skip("the host is no host.Mover")
	}
	ctx, sample := context.Background(), NewSample(t, "appliance", 1)
	sys := imported(t, h, sample)
	img, err := h.OpenDisk(ctx, diskByOVFID(sys, "disk1").ID)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	d := &host.Disk{ID: host.NewID(), Name: "data", CapacityBytes: 4 << 20}
	place := &host.System{ID: host.NewID(), Name: "data", Holder: host.HoldsVolume, Disks: []*host.Disk{d}}
	if err := maker.Make(ctx, place, host.CopyOf(img, nil)); err != nil {
		t.Fatal(err)
	}
	// Used by another System's machine, the disk goes into its export.
	if _, err := maker.Alter(ctx, sys.ID, nil, nil, func(s *host.System) error {
		s.Machines[0].Attachments = append(s.Machines[0].Attachments, host.Attachment{DiskID: d.ID, Controller: "scsi", Unit: 9})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	x, err := h.Export(ctx, sys.ID, host.ExportOptions{Using: []string{place.ID}})
	if err != nil {
		t.Fatal(err)
	}
	state, err := x.State()
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Import(ctx, exported(t, x), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(again.Machines[0].Attachments), len(sys.Machines[0].Attachments)+1; got != want {
		t.Errorf("exported with what it uses, the machine has %d disks, want %d", got, want)
	}
	if x, err = h.Export(ctx, sys.ID, host.ExportOptions{Frozen: state}); err != nil {
		t.Fatalf("the frozen export, opened again: %v", err)
	}
	x.Close()

	lose := func(from, _ *host.System) error { from.Disks = nil; return nil }
	if err := m.Move(ctx, place.ID, sys.ID, lose); !errors.Is(err, host.ErrUnsupported) {
		t.Errorf("a disk that is lost on the way: %v", err)
	}
	broken := errors.New("broken")
	if err := m.Move(ctx, place.ID, sys.ID, func(from, to *host.System) error { from.Name = "x"; return broken }); !errors.Is(err, broken) {
		t.Errorf("a change that fails: %v", err)
	}
	if err := m.Move(ctx, place.ID, sys.ID, func(from, to *host.System) error {
		to.Disks, from.Disks = append(to.Disks, from.Disks...), nil
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h = hosts.Reopen(t, h)
	if _, err := h.System(ctx, place.ID); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("the empty place: %v, want that it is gone", err)
	}
	wantData(t, h, d.ID, 1)
	if err := h.Delete(ctx, sys.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.OpenDisk(ctx, d.ID); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("the disk of the System that was deleted: %v", err)
	}
}

// testTracker: who follows the changes sees each System that came, changed or went.
func testTracker(t *testing.T, hosts Hosts) {
	h := hosts.Open(t)
	tracker, ok := h.(host.Tracker)
	if !ok {
		t.Skip("the host is no host.Tracker")
	}
	ctx := context.Background()
	version := tracker.Version()
	changed := func() (made, gone []string) {
		t.Helper()
		systems, gone, now, ok, err := tracker.Changed(ctx, version)
		if err != nil || !ok {
			t.Fatalf("ok %v, %v", ok, err)
		}
		for _, s := range systems {
			made = append(made, s.ID+" "+s.Name)
		}
		version = now
		return made, gone
	}
	sys := imported(t, h, NewSample(t, "appliance", 1))
	if made, gone := changed(); !slices.Equal(made, []string{sys.ID + " appliance"}) || len(gone) > 0 {
		t.Errorf("after an import: %v came, %v went", made, gone)
	}
	if made, gone := changed(); len(made)+len(gone) > 0 {
		t.Errorf("nothing happened: %v came, %v went", made, gone)
	}
	sys.Name = "renamed"
	if err := h.Update(ctx, sys); err != nil {
		t.Fatal(err)
	}
	if made, _ := changed(); !slices.Equal(made, []string{sys.ID + " renamed"}) {
		t.Errorf("after an update: %v", made)
	}
	if err := h.Delete(ctx, sys.ID); err != nil {
		t.Fatal(err)
	}
	if made, gone := changed(); len(made) > 0 || !slices.Equal(gone, []string{sys.ID}) {
		t.Errorf("after a deletion: %v came, %v went", made, gone)
	}
	if _, _, _, ok, err := tracker.Changed(ctx, version+1); ok || err != nil {
		t.Errorf("a version that never was: ok %v, %v", ok, err)
	}
}

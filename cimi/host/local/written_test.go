package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/hosttest"
)

// TestExportOfWrittenDisk: of disks that a machine has written to no digest is
// known. An export frozen before the machine ran once more is not gone on with
// after: its bytes would be of two times.
func TestExportOfWrittenDisk(t *testing.T) {
	ctx := context.Background()
	h, err := Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	s, err := h.Import(ctx, hosttest.Package(t, hosttest.NewSample(t, "shop", 1).OVA(t)), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	var file string
	for d := range s.AllDisks() {
		all[d.ID] = true
		if d.OVFID == "disk1" {
			file = filepath.Join(h.dir, diskPath(d))
		}
	}
	ran := func(at time.Time) {
		t.Helper()
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
		// As the Runner does when a machine has run.
		if err := h.voidDigests(ctx, s.ID, all); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.db.Exec("UPDATE disks SET changed = ? WHERE id = ?", stampOf(st).Changed, filepath.Base(file[:len(file)-len(".raw")])); err != nil {
			t.Fatal(err)
		}
	}
	ran(time.Now().Add(time.Hour))
	x, err := h.Export(ctx, s.ID, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	state, err := x.State()
	first := x.Version()
	if err = errors.Join(err, x.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := h.Export(ctx, s.ID, host.ExportOptions{Frozen: state})
	if err != nil || again.Version() != first {
		t.Fatalf("the same export again: %v", err)
	}
	again.Close()
	ran(time.Now().Add(2 * time.Hour))
	if x, err := h.Export(ctx, s.ID, host.ExportOptions{Frozen: state}); !errors.Is(err, host.ErrChanged) {
		if x != nil {
			x.Close()
		}
		t.Errorf("after the machine ran once more: %v", err)
	}
	now, err := h.Export(ctx, s.ID, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer now.Close()
	if now.Version() == first {
		t.Error("another content has the same version")
	}
}

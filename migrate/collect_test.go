package migrate_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestGCBeforeImport: gc of a run whose process died before its import was begun
// removes the snapshot at the source. Without its name the run is left alone, as it
// can be resumed.
func TestGCBeforeImport(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, at := range []string{"note export", "done export", "begin transfer"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			src, dst := a.remote(), b.remote()
			state := t.TempDir()
			if dead, where := runChild(t, state, src.URL, dst.URL, killed{via: migrate.ViaRelay, warm: true}, at); !dead {
				t.Fatalf("not killed, %s", where)
			}
			e, run := interrupted(t, state, src, dst)
			if removed, err := e.GC(t.Context(), migrate.GCOptions{}); err != nil || len(removed) != 0 {
				t.Errorf("gc of everything took %v: %v", removed, err)
			}
			if n := a.snapshots(); n != 1 {
				t.Fatalf("killed with %d snapshots", n)
			}
			collected(t, e, run, "snapshot")
			if n := a.snapshots(); n != 0 || len(b.systems()) != 0 {
				t.Errorf("%d snapshots are left, the destination holds %v", n, b.systems())
			}
		})
	}
}

// holding is a cloud that keeps its snapshots until it is told otherwise.
type holding struct {
	cimi.Provider
	refuse *bool
}

func (h holding) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Action == cimi.RelForget && *h.refuse {
		return nil, cimi.Errorf(500, "the storage is busy")
	}
	return h.Provider.Invoke(ctx, id, a)
}

// TestGCSnapshotStays: gc does not claim to have removed a snapshot that the source
// has kept, and removes it when it is called again.
func TestGCSnapshotStays(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.remote(), b.remote()
	state := t.TempDir()
	if dead, where := runChild(t, state, src.URL, dst.URL, killed{via: migrate.ViaRelay, warm: true}, "done export"); !dead {
		t.Fatalf("not killed, %s", where)
	}
	refuse := true
	src.Provider = holding{src.Provider, &refuse}
	e, run := interrupted(t, state, src, dst)
	removed, err := e.GC(t.Context(), migrate.GCOptions{Run: run})
	if err == nil || len(removed) != 0 || a.snapshots() != 1 {
		t.Errorf("gc took %v (%v), %d snapshots are left", removed, err, a.snapshots())
	}
	wantClass(t, err, migrate.ClassRemote, migrate.Source)
	refuse = false
	collected(t, e, run, "snapshot")
	if n := a.snapshots(); n != 0 {
		t.Errorf("%d snapshots are left", n)
	}
}

// TestGCLocked: of a run that another process works on gc takes nothing, and says so
// to who names it.
func TestGCLocked(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.remote(), b.remote()
	e := newEngine(t, src, dst)
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := e.Journal.Lock(rep.Run)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if _, err := e.GC(t.Context(), migrate.GCOptions{Run: rep.Run}); !errors.Is(err, journal.ErrLocked) || migrate.ClassOf(err) != migrate.ClassRefused || !strings.Contains(err.Error(), rep.Run) {
		t.Errorf("gc of it: %v", err)
	}
	if removed, err := e.GC(t.Context(), migrate.GCOptions{}); err != nil || len(removed) != 0 {
		t.Errorf("gc of everything: %v, %v", removed, err)
	}
}

// TestGCStartsAgain: gc of a run that was interrupted before its import starts the
// machines that it stopped.
func TestGCStartsAgain(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, at := range []string{"done quiesce", "done export", "begin transfer"} {
		a, b := newCloud(t), newCloud(t)
		a.load(hosttest.NewSample(t, "shop", 1))
		src, dst := a.inProcess(), b.remote()
		p := newPowered(src.Provider)
		src.Provider = p
		e := newEngine(t, src, dst)
		ctx, stop := context.WithCancel(t.Context())
		e.Journal.AfterWrite(func(what string) {
			if what == at {
				stop()
			}
		})
		plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		rep, err := e.Start(ctx, plan)
		wantClass(t, err, migrate.ClassInterrupt, "")
		e.Journal.AfterWrite(nil)
		collected(t, e, rep.Run, "stop of 2 machines")
		if len(p.power.started) != 2 || !p.running() {
			t.Errorf("%s: %+v", at, p.power)
		}
	}
}

// collected has gc take back one run that left something, and nothing more.
func collected(t *testing.T, e *migrate.Engine, run, what string) {
	t.Helper()
	removed, err := e.GC(t.Context(), migrate.GCOptions{Run: run})
	if err != nil || len(removed) != 1 || !strings.HasPrefix(removed[0].What, what) {
		t.Errorf("gc took %v: %v", removed, err)
	}
	for _, o := range []migrate.GCOptions{{}, {Run: run}} {
		if removed, err := e.GC(t.Context(), o); err != nil || len(removed) != 0 {
			t.Errorf("again it took %v: %v", removed, err)
		}
	}
}

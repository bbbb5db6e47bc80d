package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestWarmKilledInDelta kills the process that holds both clouds when a part of
// the delta is written: what is there then is taken for a disk by nobody, and
// brought to the end, or removed.
func TestWarmKilledInDelta(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, then := range []string{"resume", "rollback"} {
		s := hosttest.NewSample(t, "shop", 1)
		a, b := t.TempDir(), t.TempDir()
		c := openCloud(t, a)
		c.load(s)
		c.close()
		state := t.TempDir()
		if dead, where := runChild(t, state, "local:"+a, "local:"+b, killed{via: migrate.ViaRelay, warm: true}, cimi.RelDelta); !dead {
			t.Fatalf("not killed: %s", where)
		}
		src, dst := openCloud(t, a), openCloud(t, b)
		e := engineAt(t, state, src.inProcess(), dst.inProcess())
		list, err := e.Status(t.Context())
		if err != nil || len(list.Runs) != 1 || list.Runs[0].State != "interrupted" {
			t.Fatalf("%+v: %v", list, err)
		}
		if got := dst.systems(); len(got) != 1 {
			t.Fatalf("the destination holds %v", got)
		}
		if _, err := migrate.ExportPackage(t.Context(), dst.inProcess(), "shop"); err == nil || !strings.Contains(err.Error(), "not proved") {
			t.Errorf("half of a delta was exported: %v", err)
		}
		if then == "rollback" {
			rep, err := e.Rollback(t.Context(), list.Runs[0].Run)
			if err != nil || rep.State != "rolled-back" || len(dst.systems()) != 0 || dst.diskFiles() != 0 {
				t.Errorf("%+v: %v; %d disks are left", rep, err, dst.diskFiles())
			}
			continue
		}
		rep, err := e.Resume(t.Context(), list.Runs[0].Run, migrate.ResumeOptions{})
		if err != nil || !rep.Verified {
			t.Fatalf("%+v: %v", rep, err)
		}
		dst.checkContent("disk1", overwritten())
		dst.checkContent("disk2", s.Disks["disk2"])
		// What was written before it died is not sent again.
		if rep.Warm.Changed >= hosttest.DiskSize {
			t.Errorf("%d bytes were replaced after the kill", rep.Warm.Changed)
		}
	}
}

// TestWarmRunning copies machines that run under QEMU, of which nothing boots:
// they are switched off for the rest.
func TestWarmRunning(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	dir := t.TempDir()
	h, err := local.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := local.Run(t.Context(), h)
	if err != nil {
		h.Close()
		if os.Getenv("CIMIMOVE_CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	p, err := provider.New(t.Context(), r, provider.Options{Database: filepath.Join(dir, "provider.db")})
	if err != nil {
		t.Fatal(err)
	}
	a := &cloud{t: t, dir: dir, p: p}
	t.Cleanup(func() {
		for s := range r.Systems(context.Background()) {
			for m := range s.AllMachines() {
				r.Stop(context.Background(), m.ID, true)
			}
		}
		p.Close()
	})
	s := hosttest.NewSample(t, "shop", 1)
	id := a.load(s)
	acc, err := p.Invoke(t.Context(), id, &cimi.Action{Action: cimi.ActionStart})
	if err == nil {
		_, err = cimi.Wait(t.Context(), p, acc, "", cimi.WaitOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	b := newCloud(t)
	src, dst := migrate.Endpoint{Name: "local:" + dir, Provider: kept{p}}, b.remote()
	rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Warm: true, Quiesce: migrate.QuiesceForce, StopTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	checkMoved(t, s, rep, b)
	if rep.Warm.Downtime < 1 || rep.Warm.BulkBytes == 0 || a.snapshots() != 0 {
		t.Errorf("the report says %+v; %d snapshots are left", rep.Warm, a.snapshots())
	}
	now, err := r.System(t.Context(), strings.TrimPrefix(id, "systems/"))
	if err != nil {
		t.Fatal(err)
	}
	for m := range now.AllMachines() {
		if m.State != host.Stopped {
			t.Errorf("machine %s is %s", m.Name, m.State)
		}
	}
}

// TestWarmSourceRanMeanwhile: a run was interrupted, and the machines ran until
// it was gone on with. What is proved by then is not what they hold: it is
// compared anew where that can still be, and refused where it cannot.
func TestWarmSourceRanMeanwhile(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, c := range []struct {
		at      string // what the journal has just written
		after   migrate.SourceAfter
		refused bool
	}{
		{at: "note delta"}, // some disk is proved
		{at: "done delta", refused: true},
		{at: "done verify", refused: true},
		{at: "done start", after: migrate.SourceDelete, refused: true},
	} {
		t.Run(c.at, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			s := hosttest.NewSample(t, "shop", 1)
			a.load(s)
			src, dst := a.inProcess(), b.inProcess()
			p := newPowered(src.Provider)
			src.Provider = p
			e := newEngine(t, src, dst)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			e.Journal.AfterWrite(func(what string) {
				if what == c.at {
					interrupt()
				}
			})
			plan, err := e.Plan(ctx, migrate.Options{Source: src, Destination: dst, System: "shop", Warm: true, SourceAfter: c.after, ParallelDisks: 1})
			if err != nil {
				t.Fatal(err)
			}
			rep, err := e.Start(ctx, plan)
			if rep == nil || migrate.ClassOf(err) != migrate.ClassInterrupt {
				t.Fatalf("%+v: %v", rep, err)
			}
			e.Journal.AfterWrite(nil)
			page := bytes.Repeat([]byte{0x77}, 4096)
			for _, id := range []string{"disk1", "disk2", "scratch"} {
				size := int64(hosttest.DiskSize)
				if id == "scratch" {
					size = 2 << 20
				}
				if err := writeDisk(t.Context(), a.p, id, size, cimi.DeltaBlock{Length: 4096, Data: page}); err != nil {
					t.Fatal(err)
				}
			}
			rep, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
			if len(a.systems()) != 1 {
				t.Fatalf("the source is gone: %+v: %v", rep, err)
			}
			if !c.refused {
				if err != nil || !rep.Verified {
					t.Fatalf("%+v: %v", rep, err)
				}
				b.checkContent("disk1", append(bytes.Clone(page), s.Disks["disk1"][4096:]...))
				b.checkContent("disk2", append(bytes.Clone(page), s.Disks["disk2"][4096:]...))
				b.checkContent("scratch", append(bytes.Clone(page), make([]byte, 2<<20-4096)...))
				return
			}
			wantClass(t, err, migrate.ClassRefused, migrate.Source)
			if !errors.Is(err, migrate.ErrSourceChanged) {
				t.Errorf("%v", err)
			}
			if c.after != migrate.SourceDelete && (len(b.systems()) != 0 || len(p.power.started) != 2) {
				t.Errorf("the destination holds %v, started again %v", b.systems(), p.power.started)
			}
		})
	}
}

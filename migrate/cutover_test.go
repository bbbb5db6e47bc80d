package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// powered is a cloud that runs machines. A stubborn one stops only by force.
// As clouds do, it exports stopped Systems only, unless it takes snapshots.
type powered struct {
	cimi.Provider
	stubborn, snapshots bool
	power               *power
}

type power struct {
	mu      sync.Mutex
	off     map[string]bool
	stopped []string
	forced  []string
	started []string
}

func newPowered(p cimi.Provider) powered {
	return powered{Provider: p, power: &power{off: map[string]bool{}}}
}

func (p powered) runs(id string) bool {
	p.power.mu.Lock()
	defer p.power.mu.Unlock()
	return !p.power.off[id]
}

func (p powered) running() bool {
	p.power.mu.Lock()
	defer p.power.mu.Unlock()
	return len(p.power.off) < 2
}

func (p powered) Get(ctx context.Context, id string, o cimi.ReadOptions) (cimi.Resource, error) {
	r, err := p.Provider.Get(ctx, id, o)
	if err == nil {
		p.show(r)
	}
	return r, err
}

func (p powered) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	c, err := p.Provider.List(ctx, id, o)
	if err == nil {
		for _, r := range c.Items {
			p.show(r)
		}
	}
	return c, err
}

func (p powered) show(r cimi.Resource) {
	switch r := r.(type) {
	case *cimi.Machine:
		if r.State = cimi.StateStopped; p.runs(r.ID) {
			r.State = cimi.StateStarted
		}
	case *cimi.System:
		if !p.running() {
			return
		}
		r.State = cimi.StateStarted
		r.Operations = append(r.Operations, cimi.Operation{Rel: cimi.ActionStop, Href: r.ID})
		if !p.snapshots {
			r.Operations = slices.DeleteFunc(r.Operations, func(o cimi.Operation) bool { return o.Rel == cimi.ActionExport })
		}
	}
}

func (p powered) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if strings.Contains(id, "machines/") {
		p.power.mu.Lock()
		defer p.power.mu.Unlock()
		switch force := cimi.BoolValue(a.Force); {
		case a.Action == cimi.ActionStop && p.stubborn && !force:
		case a.Action == cimi.ActionStop:
			p.power.stopped = append(p.power.stopped, id)
			if p.power.off[id] = true; force {
				p.power.forced = append(p.power.forced, id)
			}
		case a.Action == cimi.ActionStart:
			p.power.started = append(p.power.started, id)
			delete(p.power.off, id)
		}
		return &cimi.Accepted{Done: true}, nil
	}
	if a.Action == cimi.ActionExport && p.running() && !p.snapshots {
		return nil, cimi.Errorf(409, "stop its machines first")
	}
	return p.Provider.Invoke(ctx, id, a)
}

// TestQuiesce: machines that run are stopped for the move, and started again
// when it fails (AC-36).
func TestQuiesce(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		a, b := newCloud(t), newCloud(t)
		a.load(hosttest.NewSample(t, "shop", 1))
		src, dst := a.inProcess(), b.remote()
		p := newPowered(src.Provider)
		src.Provider = p
		e := newEngine(t, src, dst)
		if fails {
			e.Journal.AfterWrite(func(what string) {
				if what == "done transfer" {
					corrupt(t, b.dir)
				}
			})
		}
		rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
		if (err != nil) != fails {
			t.Errorf("fails %v: %+v: %v", fails, rep, err)
		}
		if len(p.power.stopped) != 2 || (len(p.power.started) == 2) != fails || p.running() != fails {
			t.Errorf("fails %v: %+v", fails, p.power)
		}
	}
}

// TestQuiescePolicy: a machine that does not stop in time ends the run and
// nothing stays stopped, or is switched off, as was asked; one that must not
// be stopped is exported from a snapshot where the cloud takes one.
func TestQuiescePolicy(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, c := range []struct {
		policy              migrate.Quiesce
		stubborn, snapshots bool
		class               migrate.Class
		forced, stopped     int
	}{
		{policy: migrate.QuiesceGraceful, stubborn: true, class: migrate.ClassRefused},
		{policy: migrate.QuiesceForce, stubborn: true, forced: 2, stopped: 2},
		{policy: migrate.QuiesceForce, stopped: 2},
		{policy: migrate.QuiesceRefuse, class: migrate.ClassRefused},
		{policy: migrate.QuiesceRefuse, snapshots: true},
	} {
		a, b := newCloud(t), newCloud(t)
		a.load(hosttest.NewSample(t, "shop", 1))
		src, dst := a.inProcess(), b.inProcess()
		p := newPowered(src.Provider)
		p.stubborn, p.snapshots = c.stubborn, c.snapshots
		src.Provider = p
		e := newEngine(t, src, dst)
		e.StopTimeout = 300 * time.Millisecond
		plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Quiesce: c.policy})
		if err == nil {
			_, err = e.Start(t.Context(), plan)
		}
		if migrate.ClassOf(err) != c.class || len(p.power.forced) != c.forced || len(p.power.stopped) != c.stopped {
			t.Errorf("%+v: %+v: %v", c, p.power, err)
		}
		if c.class != 0 && (!p.running() || len(b.systems()) > 0) {
			t.Errorf("%+v: runs %v; the destination holds %v", c, p.running(), b.systems())
		}
	}
}

// TestSourceAfter: the source is stopped, started or deleted only when the
// destination is verified (AC-33, AC-36).
func TestSourceAfter(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, after := range []migrate.SourceAfter{migrate.SourceKeep, migrate.SourceStart, migrate.SourceStop, migrate.SourceDelete} {
		for _, fails := range []bool{false, true} {
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			src, dst := a.inProcess(), b.remote()
			p := newPowered(src.Provider)
			src.Provider = p
			e := newEngine(t, src, dst)
			e.Journal.AfterWrite(func(what string) {
				if what == "begin verify" && len(a.systems()) != 1 {
					t.Error("the source is gone before the destination is verified")
				}
				if what == "done transfer" && fails {
					corrupt(t, b.dir)
				}
			})
			rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, SourceAfter: after})
			if (err != nil) != fails {
				t.Fatalf("%s, fails %v: %v", after, fails, err)
			}
			deleted := after == migrate.SourceDelete && !fails
			if (len(a.systems()) == 0) != deleted {
				t.Errorf("%s, fails %v: the source holds %v", after, fails, a.systems())
			}
			if want := fails || after == migrate.SourceStart; !deleted && p.running() != want {
				t.Errorf("%s, fails %v: runs %v", after, fails, p.running())
			}
			if fails {
				continue
			}
			back, err := e.Rollback(t.Context(), rep.Run)
			switch {
			case deleted:
				wantClass(t, err, migrate.ClassRefused, migrate.Source)
				if len(b.systems()) != 1 {
					t.Error("the only copy was deleted")
				}
			case err != nil || back.State != string(journal.RolledBack) || len(b.systems()) != 0 || !p.running():
				t.Errorf("%s: rollback: %+v: %v", after, back, err)
			}
		}
	}
}

// TestSourceDeletedWithoutProof: nothing is deleted that was not verified.
func TestSourceDeletedWithoutProof(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	_, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Verify: migrate.VerifyNone, SourceAfter: migrate.SourceDelete})
	wantClass(t, err, migrate.ClassRefused, migrate.Source)
	dst.Provider = sealed{dst.Provider}
	_, err = move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, SourceAfter: migrate.SourceDelete})
	wantClass(t, err, migrate.ClassUnverified, migrate.Destination)
	if len(a.systems()) != 1 {
		t.Error("a source whose copy could not be verified was deleted")
	}
}

// undeletable is a cloud that refuses to delete until it is told otherwise.
type undeletable struct {
	cimi.Provider
	refuse *bool
}

func (u undeletable) Delete(ctx context.Context, id string) (*cimi.Accepted, error) {
	if *u.refuse {
		return nil, cimi.Errorf(403, "no")
	}
	return u.Provider.Delete(ctx, id)
}

// TestSourceResists: a source that cannot be deleted is said so, and resume
// tries again without sending anything twice.
func TestSourceResists(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	refuse := true
	src.Provider = undeletable{src.Provider, &refuse}
	e := newEngine(t, src, dst)
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, SourceAfter: migrate.SourceDelete})
	wantClass(t, err, migrate.ClassTransfer, migrate.Source)
	if rep == nil || !rep.Verified || len(b.systems()) != 1 {
		t.Fatalf("%+v; the destination holds %v", rep, b.systems())
	}
	refuse = false
	again, err := e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
	if err != nil || !again.Verified || again.Bytes.Read != rep.Bytes.Read || len(a.systems()) != 0 {
		t.Errorf("%+v: %v; the source holds %v", again, err, a.systems())
	}
}

// TestCopyThatRuns: a source is not started again beside its copy, which runs and
// cannot be deleted.
func TestCopyThatRuns(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.inProcess()
	from, to := newPowered(src.Provider), newPowered(dst.Provider)
	to.snapshots = true
	refuse := false
	src.Provider, dst.Provider = from, undeletable{to, &refuse}
	e := newEngine(t, src, dst)
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, PowerOn: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rep.Findings {
		if f.ID == migrate.RuleStart {
			t.Errorf("a System that runs: %+v", f)
		}
	}
	refuse = true
	_, err = e.Rollback(t.Context(), rep.Run)
	if err == nil || !strings.Contains(err.Error(), "stays stopped") || from.running() {
		t.Errorf("the source runs (%v) beside its copy: %v", from.running(), err)
	}
	refuse = false
	if _, err = e.Rollback(t.Context(), rep.Run); err != nil || !from.running() || len(b.systems()) != 0 {
		t.Errorf("%v: the source runs: %v; the destination holds %v", err, from.running(), b.systems())
	}
}

// TestSourceRanAgain: a run is not gone on with when its machines were started
// in between: what was copied is out of date (AC-01).
func TestSourceRanAgain(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	p := newPowered(src.Provider)
	src.Provider = p
	e := newEngine(t, src, dst)
	ctx, stop := context.WithCancel(t.Context())
	e.Journal.AfterWrite(func(what string) {
		if what == "note import" {
			stop()
		}
	})
	plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := e.Start(ctx, plan)
	wantClass(t, err, migrate.ClassInterrupt, "")
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "2 machines") {
		t.Errorf("nothing says that machines stay stopped: %v", err)
	}
	e.Journal.AfterWrite(nil)
	for _, id := range p.power.stopped {
		if _, err := p.Invoke(t.Context(), id, &cimi.Action{Action: cimi.ActionStart}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
	wantClass(t, err, migrate.ClassRefused, migrate.Source)
	if !errors.Is(err, migrate.ErrSourceChanged) || len(b.systems()) != 0 {
		t.Errorf("%v; the destination holds %v", err, b.systems())
	}
}

// TestSourceRanAgainAfterTransfer: nor when they were started after all of it
// was copied: nothing is started, or kept, whose source went on.
func TestSourceRanAgainAfterTransfer(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, at := range []string{"done transfer", "done verify"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			src, dst := a.inProcess(), b.remote()
			p := newPowered(src.Provider)
			src.Provider = p
			e := newEngine(t, src, dst)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			e.Journal.AfterWrite(func(what string) {
				if what == at {
					stop()
				}
			})
			plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", PowerOn: true})
			if err != nil {
				t.Fatal(err)
			}
			rep, err := e.Start(ctx, plan)
			wantClass(t, err, migrate.ClassInterrupt, "")
			e.Journal.AfterWrite(nil)
			for _, id := range p.power.stopped {
				if _, err := p.Invoke(t.Context(), id, &cimi.Action{Action: cimi.ActionStart}); err != nil {
					t.Fatal(err)
				}
			}
			_, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
			wantClass(t, err, migrate.ClassRefused, migrate.Source)
			if !errors.Is(err, migrate.ErrSourceChanged) || len(b.systems()) != 0 {
				t.Errorf("%v; the destination holds %v", err, b.systems())
			}
		})
	}
}

// TestSourceGoneAfterTransfer: the copy of a source that was deleted when all of
// it was copied stays, as it may be all that is left.
func TestSourceGoneAfterTransfer(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for _, c := range []struct {
		at   string
		warm bool
	}{{"done transfer", false}, {"done verify", false}, {"done delta", true}, {"done verify", true}} {
		t.Run(fmt.Sprintf("%s, warm %t", c.at, c.warm), func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			src, dst := a.inProcess(), b.remote()
			e := newEngine(t, src, dst)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			e.Journal.AfterWrite(func(what string) {
				if what == c.at {
					stop()
				}
			})
			plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Warm: c.warm})
			if err != nil {
				t.Fatal(err)
			}
			rep, err := e.Start(ctx, plan)
			wantClass(t, err, migrate.ClassInterrupt, "")
			e.Journal.AfterWrite(nil)
			acc, err := src.Provider.Delete(t.Context(), plan.ID)
			if err == nil {
				_, err = cimi.Wait(t.Context(), src.Provider, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
			}
			if err != nil {
				t.Fatal(err)
			}
			rep, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
			if err != nil || !rep.Verified || len(b.systems()) != 1 {
				t.Errorf("%v; the destination holds %v", err, b.systems())
			}
		})
	}
}

// slowly is a cloud whose machines are still stopping when the run gives up
// on them: a start is refused until they have.
type slowly struct {
	powered
	asked *atomic.Int64 // how often the state of one that stops was looked at
}

func (p slowly) Get(ctx context.Context, id string, o cimi.ReadOptions) (cimi.Resource, error) {
	r, err := p.powered.Get(ctx, id, o)
	if m, ok := r.(*cimi.Machine); ok && m.State == cimi.StateStopped && p.asked.Add(-1) >= 0 {
		m.State = cimi.StateStopping
	}
	return r, err
}

func (p slowly) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Action == cimi.ActionStart && p.asked.Load() > 0 {
		return nil, cimi.Errorf(409, "start is not available now (state STOPPING)")
	}
	return p.powered.Invoke(ctx, id, a)
}

// TestStoppingIsStartedAgain: a machine that was asked to stop, and had not by
// the time that the run was undone, runs again when it has.
func TestStoppingIsStartedAgain(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.inProcess()
	p := slowly{newPowered(src.Provider), new(atomic.Int64)}
	p.asked.Store(6)
	src.Provider = p
	_, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, StopTimeout: 100 * time.Millisecond})
	wantClass(t, err, migrate.ClassRefused, migrate.Source)
	if len(p.power.off) != 0 || len(p.power.started) != 1 {
		t.Errorf("machines that are off: %v; started again: %v", p.power.off, p.power.started)
	}
}

// TestSwitchedOffTakesTime: a machine that is switched off, as it did not stop in
// time, has more than that time for it.
func TestSwitchedOffTakesTime(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.inProcess()
	p := slowly{newPowered(src.Provider), new(atomic.Int64)}
	p.stubborn = true
	p.asked.Store(4) // after 50 ms, 100 and 200
	src.Provider = p
	rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Quiesce: migrate.QuiesceForce, StopTimeout: 100 * time.Millisecond})
	if err != nil || !rep.Verified || len(p.power.forced) != 2 {
		t.Errorf("%v; switched off: %v", err, p.power.forced)
	}
}

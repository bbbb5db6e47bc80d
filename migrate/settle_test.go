package migrate_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// unfinished shows Systems and Volumes as a cloud does that is still making
// them, and has no properties of theirs yet.
type unfinished struct{ cimi.Provider }

func (p unfinished) as(r cimi.Resource) cimi.Resource {
	switch r := r.(type) {
	case *cimi.System:
		r.State, r.Properties = cimi.StateCreating, nil
	case *cimi.Volume:
		r.State, r.Properties = cimi.StateCreating, nil
	}
	return r
}

func (p unfinished) Get(ctx context.Context, id string, o cimi.ReadOptions) (cimi.Resource, error) {
	r, err := p.Provider.Get(ctx, id, o)
	return p.as(r), err
}

func (p unfinished) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	c, err := p.Provider.List(ctx, id, o)
	if err == nil {
		for n := range c.Items {
			c.Items[n] = p.as(c.Items[n])
		}
	}
	return c, err
}

// TestNotOurs: a System of the run's name that another client is just making is
// not taken for the run's own: it is neither deleted nor called moved.
func TestNotOurs(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	e := newEngine(t, src, dst)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	e.Journal.AfterWrite(func(what string) {
		if what == "begin import" {
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
	if len(b.systems()) != 0 {
		t.Fatal("the import was made all the same")
	}
	b.load(hosttest.NewSample(t, "shop", 2))
	theirs := unfinished{dst.Provider}
	e.Dial = func(_ context.Context, name string, _ migrate.Side) (migrate.Endpoint, error) {
		if name == src.Name {
			return src, nil
		}
		end := dst
		end.Provider = theirs
		return end, nil
	}
	e.StallTimeout = time.Second
	_, err = e.Resume(t.Context(), rep.Run, migrate.ResumeOptions{})
	if !errors.Is(err, migrate.ErrWhose) || migrate.ClassOf(err) != migrate.ClassRefused {
		t.Errorf("%v", err)
	}
	if _, err = e.Rollback(t.Context(), rep.Run); err != nil && !errors.Is(err, migrate.ErrWhose) {
		t.Errorf("%v", err)
	}
	if !slices.Equal(b.systems(), []string{"shop"}) {
		t.Errorf("the destination holds %v", b.systems())
	}
}

// TestPartNotOurs: nor is a part that another client is just making, where the
// destination makes no Systems.
func TestPartNotOurs(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.vault(a.empty("shop"), "ledger")
	src, dst := a.bared(cimi.V2, asBare), b.bared(cimi.V2, withoutSystems)
	state := t.TempDir()
	if killed, where := runChild(t, state, src.URL, dst.URL, killed{via: migrate.ViaResources}, "begin make volume ledger"); !killed {
		t.Fatalf("not killed: %s", where)
	}
	theirs := b.add("volumes", &cimi.VolumeCreate{Common: cimi.Common{Name: "ledger"},
		VolumeTemplate: cimi.RefBy(&cimi.VolumeTemplate{VolumeConfig: cimi.RefBy(&cimi.VolumeConfiguration{Capacity: cimi.Int(1000)})})})
	dst.Provider = unfinished{dst.Provider}
	e, run := interrupted(t, state, src, dst)
	e.StallTimeout = time.Second
	_, err := e.Resume(t.Context(), run, migrate.ResumeOptions{})
	if !errors.Is(err, migrate.ErrWhose) || migrate.ClassOf(err) != migrate.ClassRefused {
		t.Errorf("%v", err)
	}
	if _, err = e.Rollback(t.Context(), run); err != nil && !errors.Is(err, migrate.ErrWhose) {
		t.Errorf("%v", err)
	}
	if got := b.list("volumes"); len(got) != 1 || got[0].Base().ID != theirs {
		t.Errorf("the destination holds the volumes %v, want %s", b.names("volumes"), theirs)
	}
}

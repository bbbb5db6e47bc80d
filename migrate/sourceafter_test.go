package migrate_test

import (
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestWhatRunsIsNotDeleted: a source that was exported as it ran, or that somebody
// has started since, is not deleted: what it has written since is nowhere else.
func TestWhatRunsIsNotDeleted(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	system := a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.inProcess(), b.remote()
	p := newPowered(src.Provider)
	p.snapshots = true
	src.Provider = p
	o := migrate.Options{Source: src, Destination: dst, System: "shop", Quiesce: migrate.QuiesceRefuse, SourceAfter: migrate.SourceDelete}
	_, err := migrate.NewPlan(t.Context(), o)
	wantClass(t, err, migrate.ClassRefused, migrate.Source)

	// Allowed, it is moved, and stays.
	o.Allow = []string{migrate.RuleAfter}
	e := newEngine(t, src, dst)
	rep, err := move(t, e, o)
	wantClass(t, err, migrate.ClassRefused, migrate.Source)
	if rep == nil || !rep.Verified || len(a.systems()) != 1 || len(b.systems()) != 1 {
		t.Errorf("%+v; the source holds %v, the destination %v", rep, a.systems(), b.systems())
	}
	b.clear()

	// At rest when it was planned, started when it was copied.
	machines, err := a.p.List(t.Context(), system+"/machines", cimi.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range machines.Items {
		p.power.off[m.Base().ID] = true
	}
	e = newEngine(t, src, dst)
	e.Journal.AfterWrite(func(what string) {
		if what == "done verify" {
			p.power.mu.Lock()
			defer p.power.mu.Unlock()
			clear(p.power.off)
		}
	})
	_, err = move(t, e, o)
	wantClass(t, err, migrate.ClassRefused, migrate.Source)
	if len(a.systems()) != 1 {
		t.Error("a source that had been started was deleted")
	}
}

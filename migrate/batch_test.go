package migrate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// TestBatch: a runbook goes on after an item fails, and run again it touches
// only what is unfinished (AC-34, AC-36).
func TestBatch(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	for i, name := range []string{"one", "two", "four"} {
		a.load(hosttest.NewSample(t, name, byte(i)))
	}
	src, dst := a.remote(), b.remote()
	e := newEngine(t, src, dst)
	rb, err := runbook.Parse(t.Name(), fmt.Appendf(nil, `
version: 1
endpoints:
  old: {url: %q}
  new: {url: %q}
defaults: {source: old, destination: new}
systems:
  - {system: one}
  - {system: two, name: zwei}
  - {system: three}
  - {system: four}
limits: {systems: 2}
`, a.url(), b.url()))
	if err != nil {
		t.Fatal(err)
	}
	rep, err := e.RunBatch(t.Context(), rb, migrate.BatchOptions{})
	if migrate.ExitCode(err) != 9 || rep.Verified != 3 || rep.Failed != 1 {
		t.Fatalf("exit %d, %+v: %v", migrate.ExitCode(err), rep, err)
	}
	if i := rep.Items[2]; i.State != "failed" || i.Error == nil || i.Error.Code != 5 || i.Error.Side != "source" {
		t.Errorf("item %+v, error %+v", i, i.Error)
	}
	ids := []string{rep.Items[0].DestinationID, rep.Items[1].DestinationID}

	a.load(hosttest.NewSample(t, "three", 7))
	rep, err = e.RunBatch(t.Context(), rb, migrate.BatchOptions{})
	if err != nil || rep.Verified != 4 {
		t.Fatalf("again: %+v: %v", rep, err)
	}
	if again := []string{rep.Items[0].DestinationID, rep.Items[1].DestinationID}; !slices.Equal(ids, again) {
		t.Errorf("finished items moved again: %v, %v", ids, again)
	}
	got := b.systems()
	slices.Sort(got)
	if !slices.Equal(got, []string{"four", "one", "three", "zwei"}) {
		t.Errorf("the destination holds %v", got)
	}
	status, err := e.BatchStatus(t.Context(), rb)
	if err != nil || status.Verified != 4 {
		t.Errorf("status %+v, %v", status, err)
	}
	var text strings.Builder
	if err := status.Text(&text); err != nil || !strings.Contains(text.String(), "4 verified, 0 failed") {
		t.Errorf("%s%v", text.String(), err)
	}
}

// TestBatchInterrupted: an interrupted batch is resumed by the same call.
func TestBatchInterrupted(t *testing.T) {
	t.Parallel()
	s := hosttest.NewSample(t, "shop", 1)
	a, b := newCloud(t), newCloud(t)
	a.load(s)
	src, dst := a.remote(), b.remote()
	e := newEngine(t, src, dst)
	rb, err := runbook.Parse(t.Name(), fmt.Appendf(nil, `
version: 1
endpoints: {old: {url: %q}, new: {url: %q}}
systems: [{system: shop, source: old, destination: new}]
`, a.url(), b.url()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	e.Journal.AfterWrite(func(what string) {
		if what == "note import" {
			stop()
		}
	})
	rep, err := e.RunBatch(ctx, rb, migrate.BatchOptions{})
	if migrate.ClassOf(err) != migrate.ClassInterrupt {
		t.Fatalf("%+v: %v", rep, err)
	}
	e.Journal.AfterWrite(nil)
	rep, err = e.RunBatch(t.Context(), rb, migrate.BatchOptions{})
	if err != nil || rep.Verified != 1 || !slices.Equal(b.systems(), []string{"shop"}) {
		t.Errorf("%+v: %v; the destination holds %v", rep, err, b.systems())
	}
	list, err := e.Status(t.Context())
	if err != nil || len(list.Runs) != 1 || list.Runs[0].State != "verified" {
		t.Errorf("%+v: %v", list, err)
	}
}

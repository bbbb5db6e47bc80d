package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/evacuate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/journal/pgtest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestWorkers: three workers carry out one runbook; one stops in the middle,
// and the others go on with what it had. No System comes twice, none is missing,
// and no more move at a time than the runbook allows.
func TestWorkers(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	db := pgtest.Shared(t).URL("night")
	src, dst := newCloud(t), newCloud(t)
	const systems = 8
	text := "systems:\n"
	var want []string
	for n := range systems {
		name := fmt.Sprintf("app-%d", n)
		src.Load(hosttest.NewSample(t, name, byte(n)).OVA(t))
		text += fmt.Sprintf("  - {system: %s}\n", name)
		want = append(want, name)
	}
	v := submit(t, db, src, dst, "systems: 2", text+"  - {system: nowhere}\n")
	other := member(t, db, journal.SharedOptions{}).Journal
	if rep, err := evacuate.Status(t.Context(), other, v.ID()); err != nil || rep.Active || !strings.Contains(rep.Items[0].Reason, "no worker") {
		t.Errorf("before there are workers: %v: %+v", err, rep)
	}
	first, stopFirst := context.WithCancel(t.Context())
	rest, stopRest := context.WithCancel(t.Context())
	defer stopRest()
	defer stopFirst()
	for n := range 3 {
		e := member(t, db, journal.SharedOptions{})
		ctx := rest
		if n == 0 {
			ctx = first
			var once sync.Once
			e.Journal.AfterWrite(func(what string) {
				if what == "note import" {
					once.Do(stopFirst)
				}
			})
		}
		wait := work(ctx, t, db, e, 500*time.Millisecond)
		defer func() {
			stopRest()
			stopFirst()
			wait()
		}()
	}
	most, looked := 0, 0
	watch := time.NewTicker(20 * time.Millisecond)
	defer watch.Stop()
	done := make(chan struct{})
	var (
		rep *evacuate.Report
		err error
	)
	go func() {
		defer close(done)
		rep, err = followed(t, v)
	}()
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		case <-watch.C:
			running := 0
			for _, i := range v.Report().Items {
				if i.State == "running" {
					running++
				}
			}
			most = max(most, running)
			if looked++; looked%16 != 0 {
				continue
			}
			if n, err := other.Workers(t.Context()); err != nil || n > 3 {
				t.Errorf("%d workers: %v", n, err)
			} else if rep, err := evacuate.Status(t.Context(), other, v.ID()); err != nil || n > 1 && !rep.Active && rep.Pending > 0 {
				t.Errorf("while there are %d workers: %v: %+v", n, err, rep)
			}
		}
	}
	if migrate.ExitCode(err) != 9 || rep.Verified != systems || rep.Failed != 1 || rep.Pending != 0 {
		t.Errorf("%d verified, %d failed, %d not begun: %v", rep.Verified, rep.Failed, rep.Pending, err)
		for _, i := range rep.Items {
			if i.Error != nil {
				t.Errorf("%s, attempt %d: %+v", i.System, i.Attempts, *i.Error)
			}
		}
	}
	if most > 2 {
		t.Errorf("%d move at a time, the runbook allows 2", most)
	}
	if got := dst.Names(); !slices.Equal(got, want) {
		t.Errorf("the destination holds %v", got)
	}
}

package queue

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/journal/pgtest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestTransfersOfWorkers: how many transfers an endpoint of the configuration
// file bears at a time holds for all workers together.
func TestTransfersOfWorkers(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	url := pgtest.Shared(t).URL("transfers")
	src, dst := newCloud(t), newCloud(t)
	const systems = 4
	text := fmt.Sprintf("limits: {systems: %d}\nsystems:\n", systems)
	for n := range systems {
		name := fmt.Sprintf("app-%d", n)
		src.Load(hosttest.NewSample(t, name, byte(n)).OVA(t))
		text += fmt.Sprintf("  - {system: %s, verify: digest}\n", name)
	}
	v := submit(t, url, src, dst, "", text)
	ctx, stop := context.WithCancel(t.Context())
	var inside, most atomic.Int64
	for range 2 {
		e := member(t, url, journal.SharedOptions{})
		e.Dial = func(ctx context.Context, at string, side migrate.Side) (migrate.Endpoint, error) {
			end, err := dial(ctx, at, side)
			if side == migrate.Destination {
				end.Limits.Transfers = 1
			}
			return end, err
		}
		e.Journal.AfterWrite(func(what string) {
			switch what {
			case "begin transfer":
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(100 * time.Millisecond)
			case "done transfer":
				inside.Add(-1)
			}
		})
		defer work(ctx, t, url, e, 500*time.Millisecond)()
	}
	defer stop()
	rep, err := followed(t, v)
	if err != nil || rep.Verified != systems {
		t.Fatalf("%v: %+v", err, rep)
	}
	if most.Load() != 1 {
		t.Errorf("%d transfers at a time, the endpoint bears 1", most.Load())
	}
}

// TestTransferLosesItsPlace: a transfer whose place at an endpoint another worker
// took over, because this one seemed dead, ends; its System is moved all the same,
// once, by who gets the place next.
func TestTransferLosesItsPlace(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).URL("places")
	src, dst := newCloud(t), newCloud(t)
	src.Load(hosttest.NewSample(t, "app", 1).OVA(t))
	v := submit(t, url, src, dst, "", "retries: {count: 3, wait: 100ms}\nsystems: [{system: app, verify: digest}]\n")
	e := member(t, url, journal.SharedOptions{Heartbeat: time.Second})
	e.Dial = func(ctx context.Context, at string, side migrate.Side) (migrate.Endpoint, error) {
		end, err := dial(ctx, at, side)
		if side == migrate.Destination {
			end.Limits.Transfers = 1
		}
		return end, err
	}
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	exec := func(query string) {
		if tag, err := db.Exec(t.Context(), query); err != nil || tag.RowsAffected() != 1 {
			t.Errorf("%s: %v, %v", query, tag, err)
		}
	}
	var begun, broken, done atomic.Int64
	e.Journal.AfterWrite(func(what string) {
		switch what {
		case "begin transfer":
			if begun.Add(1) == 1 {
				exec(`UPDATE lease SET owner='another', expires=now()+interval '1 hour' WHERE starts_with(name, 'slot')`)
				time.Sleep(1600 * time.Millisecond) // more than a renewal takes
				exec(`DELETE FROM lease WHERE owner='another'`)
			}
		case "state interrupted":
			broken.Add(1)
		case "done transfer":
			done.Add(1)
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	defer work(ctx, t, url, e, 1500*time.Millisecond)()
	defer stop()
	rep, err := followed(t, v)
	if err != nil || rep.Verified != 1 {
		t.Fatalf("%v: %+v", err, rep.Items)
	}
	if begun.Load() != 1 || broken.Load() != 1 || done.Load() != 1 || rep.Items[0].Attempts != 2 {
		t.Errorf("%d transfers begun, %d broken off, %d done in %d attempts; want one of each in two", begun.Load(), broken.Load(), done.Load(), rep.Items[0].Attempts)
	}
}

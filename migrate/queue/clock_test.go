package queue

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/evacuate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/journal/pgtest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestClocks: workers whose clocks are hours apart judge windows and the wait
// before a retry alike, and what they record is in order.
func TestClocks(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	url := pgtest.Shared(t).URL("night")
	src, dst := newCloud(t), newCloud(t)
	src.Load(hosttest.NewSample(t, "one", 1).OVA(t))
	src.Load(hosttest.NewSample(t, "two", 2).OVA(t))
	now := time.Now().UTC()
	open := now.Add(-30 * time.Minute).Format("15:04")
	shut := now.Add(30 * time.Minute).Format("15:04")
	v := submit(t, url, src, dst, "systems: 1", "windows: {now: {from: '"+open+"', to: '"+shut+"'}}\nwindow: now\nretries: {count: 3, wait: 1s}\n"+
		"systems: [{system: one}, {system: two}]\n")
	ctx, stop := context.WithCancel(t.Context())
	began := time.Now()
	var (
		members []*journal.Journal
		dialed  atomic.Int64
	)
	for _, skew := range []time.Duration{-7 * time.Hour, 5 * time.Hour} {
		e := member(t, url, journal.SharedOptions{Clock: func() time.Time { return time.Now().Add(skew) }})
		members = append(members, e.Journal)
		e.Dial = func(ctx context.Context, url string, side migrate.Side) (migrate.Endpoint, error) {
			if side == migrate.Destination && dialed.Add(1) == 1 {
				return migrate.Endpoint{}, &migrate.Error{Class: migrate.ClassTransfer, Side: side, Object: url, Err: io.ErrUnexpectedEOF}
			}
			return dial(ctx, url, side)
		}
		defer work(ctx, t, url, e, 500*time.Millisecond)()
	}
	defer stop()
	rep, err := followed(t, v)
	if err != nil || rep.Verified != 2 || rep.Items[0].Attempts+rep.Items[1].Attempts < 3 {
		t.Fatalf("%v: %+v", err, rep.Items)
	}
	for _, j := range members {
		if d := time.Since(j.Now()).Abs(); d > time.Second {
			t.Errorf("a worker's time is off by %v", d)
		}
	}
	check := func(i evacuate.ItemReport) {
		if i.Started == nil || i.Ended == nil || i.Started.Before(began.Add(-time.Second)) || i.Ended.Before(*i.Started) || i.Ended.After(time.Now().Add(time.Second)) {
			t.Errorf("%s from %v to %v, it was from %v", i.System, i.Started, i.Ended, began)
		}
	}
	for _, i := range rep.Items {
		check(i)
	}
}

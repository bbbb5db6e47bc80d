package queue

import (
	"context"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/journal/pgtest"
)

// TestUnreadable: a runbook that workers cannot read, as a newer program wrote it,
// does not hold up the others.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).URL("night")
	src, dst := newCloud(t), newCloud(t)
	src.Load(hosttest.NewSample(t, "one", 1).OVA(t))
	e := member(t, url, journal.SharedOptions{})
	if err := e.Journal.PutBatch(t.Context(), journal.Batch{ID: "other", Name: "other", Document: []byte(`{"sealed":"AAAA"}`)}, nil); err != nil {
		t.Fatal(err)
	}
	v := submit(t, url, src, dst, "systems: 1", "systems: [{system: one}]\n")
	ctx, stop := context.WithCancel(t.Context())
	defer work(ctx, t, url, e, 500*time.Millisecond)()
	defer stop()
	if rep, err := followed(t, v); err != nil || rep.Verified != 1 {
		t.Errorf("%v: %+v", err, rep)
	}
}

package journal

import (
	"errors"
	"testing"
	"time"
)

func TestBatchChanges(t *testing.T) { testBatchChanges(t, open(t)) }

func testBatchChanges(t *testing.T, j *Journal) {
	ctx := t.Context()
	items := []Item{{Key: "a", System: "one", State: Pending}, {Key: "b", Seq: 1, System: "two", State: Pending}}
	if err := j.PutBatch(ctx, Batch{ID: "n", Name: "night.yaml", Document: []byte(`{}`)}, items); err != nil {
		t.Fatal(err)
	}
	b, err := j.Batch(ctx, "n")
	if err != nil || b.Change != 1 || b.Name != "night.yaml" || b.Paused {
		t.Fatalf("%+v, %v", b, err)
	}
	rows, err := j.Items(ctx, "n", -1)
	if err != nil || len(rows) != 2 {
		t.Fatalf("%+v, %v", rows, err)
	}
	// Two decide on the same count: one wins.
	rows[0].State, rows[0].NotBefore = Running, time.Unix(1_800_000_000, 5).UTC()
	change, err := j.SetItem(ctx, rows[0], b.Change)
	if err != nil || change != 2 {
		t.Fatalf("%d, %v", change, err)
	}
	if _, err := j.SetItem(ctx, rows[1], b.Change); !errors.Is(err, ErrStale) {
		t.Errorf("a decision on old facts is recorded: %v", err)
	}
	if err := j.Wish(ctx, "n", "a", "cancel"); err != nil {
		t.Fatal(err)
	}
	// A state that is recorded later does not take the wish away.
	if _, err := j.SetItem(ctx, rows[0], -1); err != nil {
		t.Fatal(err)
	}
	got, err := j.Items(ctx, "n", b.Change)
	if err != nil || len(got) != 1 || got[0].Wish != "cancel" || got[0].State != Running || !got[0].NotBefore.Equal(rows[0].NotBefore) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := j.Pause(ctx, "n", true); err != nil {
		t.Fatal(err)
	}
	if b, _ := j.Batch(ctx, "n"); !b.Paused {
		t.Error("not paused")
	}
	// The runbook again: what is known of its items stays.
	if err := j.PutBatch(ctx, Batch{ID: "n", Name: "night.yaml"}, append(items, Item{Key: "c", Seq: 2, State: Pending})); err != nil {
		t.Fatal(err)
	}
	got, err = j.Items(ctx, "n", -1)
	if err != nil || len(got) != 3 || got[0].State != Running {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := j.Batch(ctx, "m"); !errors.Is(err, ErrNoBatch) {
		t.Error(err)
	}
	if _, err := j.SetItem(ctx, Item{Batch: "m", Key: "a"}, -1); !errors.Is(err, ErrNoBatch) {
		t.Error(err)
	}
}

package evacuate

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/migrate/journal"
)

// TestCancelAtTheStart: an operator's request and the start of a System at the same
// moment do not lose the run that was begun.
func TestCancelAtTheStart(t *testing.T) {
	t.Parallel()
	j := newEngine(t).Journal
	for n := range 100 {
		batch := fmt.Sprint("b", n)
		row := journal.Item{Batch: batch, Key: "k", System: "one", State: journal.Pending}
		if err := j.PutBatch(t.Context(), journal.Batch{ID: batch, Name: batch, Document: []byte("{}")}, []journal.Item{row}); err != nil {
			t.Fatal(err)
		}
		b, err := j.Batch(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		var begun error
		var wait sync.WaitGroup
		wait.Go(func() {
			run := row
			run.State, run.Run = journal.Running, "r"
			_, begun = j.SetItem(t.Context(), run, b.Change)
		})
		_ = Control{j}.Cancel(t.Context(), batch, "one") // refused, where it had begun
		wait.Wait()
		rows, err := j.Items(t.Context(), batch, -1)
		if err != nil {
			t.Fatal(err)
		}
		if begun == nil && rows[0].Run == "" || begun != nil && !errors.Is(begun, journal.ErrStale) {
			t.Fatalf("it was begun (%v), and is %s without a run", begun, rows[0].State)
		}
	}
}

// TestLateCancel: a request that came when all was over does not end the next
// attempt; and what was undone by its run can be taken out.
func TestLateCancel(t *testing.T) {
	t.Parallel()
	j, c := newEngine(t).Journal, Control{}
	c.Journal = j
	row := journal.Item{Batch: "b", Key: "k", System: "one", State: journal.Failed}
	if err := j.PutBatch(t.Context(), journal.Batch{ID: "b", Name: "b", Document: []byte("{}")}, []journal.Item{row}); err != nil {
		t.Fatal(err)
	}
	if err := j.Wish(t.Context(), "b", "k", wishCancel); err != nil {
		t.Fatal(err)
	}
	if err := c.Retry(t.Context(), "b", "one"); err != nil {
		t.Fatal(err)
	}
	rows, err := j.Items(t.Context(), "b", -1)
	if err != nil || rows[0].Wish != "" || rows[0].State != journal.Pending {
		t.Errorf("%v: %+v", err, rows)
	}
	run, err := j.Create(t.Context(), journal.Run{State: journal.RolledBack, Plan: []byte("{}")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	row.State, row.Run = journal.Pending, run
	if _, err := j.SetItem(t.Context(), row, -1); err != nil {
		t.Fatal(err)
	}
	if err := c.Cancel(t.Context(), "b", "one"); err != nil {
		t.Error(err)
	}
}

package local

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
)

// TestFindReadsOnce: the Systems are read once for all their machines, and
// again only for one that has moved or is new.
func TestFindReadsOnce(t *testing.T) {
	ctx := context.Background()
	h, err := Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	r := &Runner{Host: h}
	add := func(i int) string {
		s := &host.System{ID: host.NewID(), Name: fmt.Sprint("s", i), Machines: []*host.Machine{{ID: host.NewID(), Name: "m", State: host.Stopped, CPUs: 1}}}
		if err := h.Make(ctx, s, nil); err != nil {
			t.Fatal(err)
		}
		return s.Machines[0].ID
	}
	var ids []string
	for i := range 20 {
		ids = append(ids, add(i))
	}
	for range 2 {
		for _, id := range ids {
			if _, m, err := r.find(ctx, id); err != nil || m.ID != id {
				t.Fatalf("%s: %v, %v", id, m, err)
			}
			if err := r.note(ctx, id, host.Started); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r.reads != 1 {
		t.Errorf("all Systems were read %d times", r.reads)
	}
	if _, _, err := r.find(ctx, add(20)); err != nil || r.reads != 2 {
		t.Errorf("a new machine: %v after %d reads", err, r.reads)
	}
	s, _, err := r.find(ctx, ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Delete(ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.find(ctx, ids[0]); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("a machine that is gone: %v", err)
	}
}

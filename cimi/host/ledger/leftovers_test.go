package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf"
)

// TestLeftoversOfOthers: what another owner is just noting, or has just ended, is
// neither this owner's nor in its way; a note that nobody goes on writing is.
func TestLeftoversOfOthers(t *testing.T) {
	ctx := context.Background()
	s := shelf{map[string][]byte{}}
	other := &ledger.Ledger{Shelf: s, Owner: "other"}
	for _, id := range []string{"ended", "begun"} {
		if err := other.Begin(ctx, id, ledger.Note{}); err != nil {
			t.Fatal(err)
		}
	}
	busy := &busyShelf{shelf: s, ends: "ended.note", begins: "begun.note", whole: s.files["begun.note"]}
	s.files["begun.note"] = busy.whole[:len(busy.whole)/2]
	s.files["dead.note"], s.files["dead2.note"] = []byte("half"), nil
	began := time.Now()
	left, err := (&ledger.Ledger{Shelf: busy, Owner: "test"}).Leftovers(ctx)
	if err != nil || len(left) != 2 || left["dead"].Owner != "test" || left["dead2"].Owner != "test" {
		t.Errorf("left are %+v: %v", left, err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("two that are not whole are given up after %v", took)
	}
}

// busyShelf is one on which another owner is at work: one file goes before it is
// opened, and one is completed a moment later.
type busyShelf struct {
	shelf
	ends, begins string
	whole        []byte
	since        time.Time
}

func (b *busyShelf) Open(ctx context.Context, name string) (ovf.MemberFile, error) {
	if b.since.IsZero() {
		b.since = time.Now()
	}
	switch {
	case name == b.ends:
		delete(b.files, name)
	case name == b.begins && time.Since(b.since) > 20*time.Millisecond:
		b.files[name] = b.whole
	}
	return b.shelf.Open(ctx, name)
}

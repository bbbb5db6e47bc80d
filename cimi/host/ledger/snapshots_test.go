package ledger_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
)

// TestSnapshots: one is its owner's, opens when it is whole, and is known to its
// owner before that, even of half a file.
func TestSnapshots(t *testing.T) {
	ctx, s := context.Background(), shelf{map[string][]byte{}}
	ours, theirs := &ledger.Ledger{Shelf: s, Owner: "ours"}, &ledger.Ledger{Shelf: s, Owner: "theirs"}
	keep := func(l *ledger.Ledger, k *ledger.Snapshot) {
		t.Helper()
		if err := l.KeepSnapshot(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	missing := func(l *ledger.Ledger, name string) {
		t.Helper()
		if _, err := l.Snapshot(ctx, name); !errors.Is(err, host.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	begun := &ledger.Snapshot{Name: "a", Machines: []string{"m"}, Places: map[string]string{"d": "pool/copy"}}
	keep(ours, begun)
	keep(theirs, &ledger.Snapshot{Name: "b"})
	missing(ours, "a")
	all, err := ours.Snapshots(ctx)
	if err != nil || len(all) != 1 || all[0].Machines[0] != "m" || all[0].Places["d"] != "pool/copy" || all[0].Entry != nil {
		t.Fatalf("begun: %+v: %v", all, err)
	}
	whole := *begun
	whole.Entry = &ledger.Entry{System: &host.System{ID: "s", Descriptor: []byte("<Envelope/>")}, FileSizes: []int64{5}}
	whole.Files = map[string][]byte{"nvram": {1, 2}}
	keep(ours, &whole)
	got, err := ours.Snapshot(ctx, "a")
	if err != nil || got.Entry.System.ID != "s" || string(got.Entry.System.Descriptor) != "<Envelope/>" || got.Entry.FileSizes[0] != 5 || len(got.Files["nvram"]) != 2 {
		t.Fatalf("whole: %+v: %v", got, err)
	}
	if len(s.files) != 2 {
		t.Errorf("%d files of two snapshots", len(s.files))
	}
	missing(theirs, "a")
	for _, name := range []string{"", "none", "../a", "a.1"} {
		missing(ours, name)
	}
	for name, b := range s.files {
		s.files[name] = b[:len(b)/2]
	}
	missing(ours, "a")
	if all, err := ours.Snapshots(ctx); err != nil || len(all) != 1 || all[0].Name != "a" || all[0].Places != nil {
		t.Errorf("half of it: %+v: %v", all, err)
	}
	if err := errors.Join(ours.ForgetSnapshot(ctx, "a"), ours.ForgetSnapshot(ctx, "none")); err != nil {
		t.Fatal(err)
	}
	if all, err := ours.Snapshots(ctx); err != nil || len(all) != 0 || len(s.files) != 1 {
		t.Errorf("forgotten: %+v, %d files: %v", all, len(s.files), err)
	}
	if systems, err := ours.All(ctx); err != nil || len(systems) != 0 {
		t.Errorf("%d Systems are listed: %v", len(systems), err)
	}
}

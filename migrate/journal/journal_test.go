package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func open(t *testing.T) *Journal {
	t.Helper()
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "state with space?#%41"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func TestIDsSort(t *testing.T) {
	var ids []string
	for i := range 50 {
		ids = append(ids, NewID(time.UnixMilli(1_790_000_000_000+int64(i))))
	}
	if !slices.IsSorted(ids) {
		t.Errorf("not sorted: %v", ids)
	}
	if !ValidID(ids[0]) || ValidID("../../etc/pw") || ValidID("") {
		t.Error("ValidID")
	}
}

func TestRunAndSteps(t *testing.T) { testRunAndSteps(t, open(t)) }

func testRunAndSteps(t *testing.T, j *Journal) {
	ctx := t.Context()
	var writes []string
	j.AfterWrite(func(what string) { writes = append(writes, what) })
	if err := j.PutBatch(ctx, Batch{ID: "b", Name: "night"}, nil); err != nil {
		t.Fatal(err)
	}
	item := &Item{Batch: "b", Key: "k", System: "shop", State: Running}
	id, err := j.Create(ctx, Run{State: Running, System: "shop", Source: "a", Destination: "b", Plan: []byte(`{"x":1}`)}, item)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := j.Begin(ctx, id, "export", nil, map[string]string{"undo": "this"})
	if err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	// What has happened is recorded though the work is being interrupted.
	if err := j.End(stopped, id, seq, "export", Ended, map[string]int{"n": 2}); err != nil {
		t.Fatal(err)
	}
	steps, err := j.Steps(ctx, id)
	if err != nil || len(steps) != 1 || steps[0].State != Ended || string(steps[0].Notes) != `{"n":2}` || string(steps[0].Undo) != `{"undo":"this"}` || steps[0].Ended.IsZero() {
		t.Errorf("%+v: %v", steps, err)
	}
	if err := j.Set(ctx, id, Change{State: Verified, Report: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	r, err := j.Run(ctx, id)
	if err != nil || r.State != Verified || string(r.Plan) != `{"x":1}` || r.System != "shop" {
		t.Errorf("%+v: %v", r, err)
	}
	all, err := j.Runs(ctx)
	if err != nil || len(all) != 1 || all[0].ID != id || all[0].State != Verified || all[0].Plan != nil || all[0].Report != nil {
		t.Errorf("%+v: %v", all, err)
	}
	items, err := j.Items(ctx, "b", -1)
	if err != nil || len(items) != 1 || items[0].Run != id {
		t.Errorf("%+v: %v", items, err)
	}
	if want := []string{"batch", "run", "begin export", "done export", "state verified"}; !slices.Equal(writes, want) {
		t.Errorf("writes %q", writes)
	}
	if _, err := j.Run(ctx, "000000000000"); !errors.Is(err, ErrNoRun) {
		t.Errorf("%v", err)
	}
	if err := j.Forget(ctx, id); err != nil {
		t.Fatal(err)
	}
	if steps, _ := j.Steps(ctx, id); len(steps) != 0 {
		t.Error("steps outlive their run")
	}
}

func TestBlocks(t *testing.T) { testBlocks(t, open(t)) }

func testBlocks(t *testing.T, j *Journal) {
	ctx := t.Context()
	id, err := j.Create(ctx, Run{State: Running}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want []Block
	for i := range 10 {
		b := []Block{{Index: int64(3 * i)}, {Index: int64(3*i + 1)}}
		b[0].Sum[0] = byte(i)
		want = append(want, b...)
		if err := j.AddBlocks(ctx, id, "disk", b[1].Index+1, b); err != nil {
			t.Fatal(err)
		}
	}
	var got []Block
	err = j.EachBlock(ctx, id, "disk", func(b Block) error { got = append(got, b); return nil })
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %v", got, err)
	}
	if n, err := j.KnownUpTo(ctx, id, "disk"); n != 29 || err != nil {
		t.Errorf("known up to %d, %v", n, err)
	}
	if n, err := j.KnownUpTo(ctx, id, "other"); n != 0 || err != nil {
		t.Errorf("known up to %d, %v", n, err)
	}
	if err := j.DropBlocks(ctx, id, ""); err != nil {
		t.Fatal(err)
	}
	if n, _ := j.KnownUpTo(ctx, id, "disk"); n != 0 {
		t.Errorf("known up to %d after drop", n)
	}
}

func TestLock(t *testing.T) {
	j := open(t)
	l, err := j.Lock("run")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Lock("run"); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
	if !j.Locked("run") || j.Locked("other") {
		t.Error("Locked")
	}
	l.Unlock()
	if j.Locked("run") {
		t.Error("Locked after Unlock")
	}
}

// TestPrivate: the journal is for its owner only.
func TestPrivate(t *testing.T) {
	j := open(t)
	for _, name := range []string{"", "journal.db", "locks"} {
		info, err := os.Stat(filepath.Join(j.Dir(), name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestReadWhileWriting: a second process sees a run while it is written.
func TestReadWhileWriting(t *testing.T) {
	j := open(t)
	id, err := j.Create(t.Context(), Run{State: Running, Total: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(t.Context(), j.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i := range 20 {
		if err := j.Progress(t.Context(), id, int64(i), 20); err != nil {
			t.Fatal(err)
		}
		r, err := other.Run(t.Context(), id)
		if err != nil || r.Done != int64(i) {
			t.Fatalf("%+v: %v", r, err)
		}
	}
}

// TestOwnersOnly: nobody else reads the journal, in a folder that is open to all.
func TestOwnersOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	j, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := j.Create(t.Context(), Run{State: Running, Plan: []byte("{}")}, nil); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "journal.db*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v: %v", f, info.Mode(), err)
		}
	}
}

// testSameID: two runs that chance gives one id are told apart, and a record that
// is made again, as its answer was lost, is the same run.
func testSameID(t *testing.T, j *Journal) {
	ctx := t.Context()
	one, two := Run{State: Running, System: "one", Plan: []byte("{}")}, Run{State: Running, System: "two", Plan: []byte("{}")}
	id := NewID(j.Now())
	if err := j.create(ctx, id, one, nil); err != nil {
		t.Fatal(err)
	}
	if err := j.create(ctx, id, two, nil); !errors.Is(err, errTaken) {
		t.Errorf("two runs have one id: %v", err)
	}
	if r, err := j.Run(ctx, id); err != nil || r.System != "one" {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestSameID(t *testing.T) {
	t.Parallel()
	j, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	testSameID(t, j)
}

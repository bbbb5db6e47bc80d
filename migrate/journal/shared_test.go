package journal

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cimimove/cimimove/migrate/journal/pgtest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func openShared(t *testing.T, url string, beat time.Duration) *Journal {
	t.Helper()
	j, err := OpenShared(t.Context(), url, SharedOptions{Dir: t.TempDir(), Heartbeat: beat})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// TestShared: the journal in PostgreSQL keeps the same promises, and leases
// take the place of locks.
func TestShared(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	c := pgtest.Start(t)
	t.Run("promises", func(t *testing.T) {
		j := openShared(t, c.URL("promises"), time.Second)
		testRunAndSteps(t, j)
	})
	t.Run("same id", func(t *testing.T) { testSameID(t, openShared(t, c.URL("sameid"), time.Second)) })
	t.Run("blocks", func(t *testing.T) { testBlocks(t, openShared(t, c.URL("blocks"), time.Second)) })
	t.Run("changes", func(t *testing.T) { testBatchChanges(t, openShared(t, c.URL("changes"), time.Second)) })
	t.Run("leases", func(t *testing.T) { testLeases(t, c.URL("leases")) })
	t.Run("given back", func(t *testing.T) { testGivenBack(t, c.URL("givenback")) })
	t.Run("shares", func(t *testing.T) { testShares(t, c.URL("shares")) })
	t.Run("suspended", func(t *testing.T) { testSuspended(t, c.URL("suspended")) })
	t.Run("lost", func(t *testing.T) { testLost(t, c.URL("lost")) })
	t.Run("restart", func(t *testing.T) { testRestart(t, c, c.URL("restart")) })
	t.Run("setting", func(t *testing.T) {
		url := c.URL("setting")
		a, b := openShared(t, url, time.Second), openShared(t, url, time.Second)
		for _, j := range []*Journal{a, b, a} {
			v, err := j.Setting(t.Context(), "key", func() []byte { return fmt.Appendf(nil, "%p", j) })
			if err != nil || string(v) != fmt.Sprintf("%p", a) {
				t.Errorf("%s, %v", v, err)
			}
		}
	})
}

// testSuspended: a worker that stands still in the middle of a transaction holds
// up nobody who takes over what it had.
func testSuspended(t *testing.T, url string) {
	a, b := openShared(t, url, 200*time.Millisecond), openShared(t, url, 200*time.Millisecond)
	if _, err := a.Lock("one"); err != nil {
		t.Fatal(err)
	}
	still, err := a.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer still.Rollback()
	if _, err := still.Exec(`SELECT owner FROM lease WHERE name='one' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	a.shared.stop() // no heartbeat
	time.Sleep(400 * time.Millisecond)
	taken := make(chan error, 1)
	go func() {
		_, err := b.Lock("one")
		taken <- err
	}()
	select {
	case err := <-taken:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(15 * time.Second):
		still.Rollback()
		t.Errorf("it was held up: %v", <-taken)
	}
}

func testLeases(t *testing.T, url string) {
	a, b := openShared(t, url, 200*time.Millisecond), openShared(t, url, 200*time.Millisecond)
	l, err := a.Lock("one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Lock("one"); !errors.Is(err, ErrLocked) {
		t.Errorf("twice in one process: %v", err)
	}
	// Many heartbeats later it is still held.
	time.Sleep(time.Second)
	if _, err := b.Lock("one"); !errors.Is(err, ErrLocked) {
		t.Errorf("taken from one that lives: %v", err)
	}
	if !b.Locked("one") || b.Locked("two") {
		t.Error("Locked")
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if b.Locked("one") {
		t.Error("given back, and still locked")
	}
	// One wins of many that want it at once.
	var (
		wins sync.Map
		all  sync.WaitGroup
	)
	for n, j := range []*Journal{a, b, openShared(t, url, time.Second), openShared(t, url, time.Second)} {
		all.Go(func() {
			if _, err := j.Lock("race"); err == nil {
				wins.Store(n, true)
			}
		})
	}
	all.Wait()
	n := 0
	wins.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d hold one lease", n)
	}
}

// testGivenBack: a lease that a process gave back stays free while the process
// lives and renews its others, and so does one that was taken for a caller who
// did not hear of it; one that it lost and took again is not given back by who
// had it first.
func testGivenBack(t *testing.T, url string) {
	const beat = 100 * time.Millisecond
	a, b := openShared(t, url, beat), openShared(t, url, beat)
	for _, name := range []string{"kept", "back", "unheard"} {
		l, err := a.Lock(name)
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case "back":
			if err := l.Unlock(); err != nil {
				t.Fatal(err)
			}
		case "unheard":
			a.shared.mu.Lock()
			delete(a.shared.held, name)
			a.shared.mu.Unlock()
		}
	}
	time.Sleep(3 * beat)
	for _, name := range []string{"back", "unheard"} {
		if l, err := b.Lock(name); err != nil {
			t.Errorf("after three heartbeats: %v", err)
		} else if err := l.Unlock(); err != nil {
			t.Error(err)
		}
	}
	if !b.Locked("kept") {
		t.Error("the lease that is held is not renewed")
	}
	first, err := a.Lock("twice")
	if err != nil {
		t.Fatal(err)
	}
	a.shared.mu.Lock()
	a.shared.lose(first)
	a.shared.mu.Unlock()
	if _, err := a.Lock("twice"); err != nil {
		t.Fatal(err)
	}
	if err := first.Unlock(); err != nil || !b.Locked("twice") {
		t.Errorf("the first holder gave back what the second has: %v", err)
	}
}

// testLost: a worker that slept past its lease learns of it, and its writes
// are refused from the moment that another has the lease.
func testLost(t *testing.T, url string) {
	ctx := t.Context()
	a, b := openShared(t, url, 200*time.Millisecond), openShared(t, url, 200*time.Millisecond)
	id, err := a.Create(ctx, Run{State: Running, System: "shop"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Lock(id)
	if err != nil {
		t.Fatal(err)
	}
	seq, err := a.Begin(ctx, id, "transfer", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	// It sleeps: no heartbeat.
	a.shared.stop()
	<-a.shared.done
	deadline := time.Now().Add(5 * time.Second)
	for b.Locked(id) {
		if time.Now().After(deadline) {
			t.Fatal("a lease without heartbeat does not end")
		}
		time.Sleep(20 * time.Millisecond)
	}
	other, err := b.Lock(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.End(ctx, id, seq, "transfer", Ended, nil); !errors.Is(err, ErrLost) {
		t.Errorf("a write without the lease: %v", err)
	}
	select {
	case <-l.Lost():
	default:
		t.Error("the loser is not told")
	}
	if err := other.Unlock(); err != nil {
		t.Fatal(err)
	}
	// Nobody has it now; the sleeper has no right to it all the same.
	if err := a.Progress(ctx, id, 1, 2); !errors.Is(err, ErrLost) {
		t.Errorf("a write after the lease: %v", err)
	}
	steps, err := b.Steps(ctx, id)
	if err != nil || len(steps) != 1 || steps[0].State != Begun {
		t.Errorf("%+v, %v", steps, err)
	}
}

// testRestart: the server is killed and comes back; who writes waits for it.
func testRestart(t *testing.T, c *pgtest.Cluster, url string) {
	ctx := t.Context()
	j := openShared(t, url, 500*time.Millisecond)
	l, err := j.Lock("held")
	if err != nil {
		t.Fatal(err)
	}
	if err := j.PutBatch(ctx, Batch{ID: "n", Name: "night"}, []Item{{Key: "a", State: Pending}}); err != nil {
		t.Fatal(err)
	}
	c.Kill()
	done := make(chan error, 1)
	go func() {
		_, err := j.SetItem(ctx, Item{Batch: "n", Key: "a", State: Verified}, -1)
		done <- err
	}()
	time.Sleep(300 * time.Millisecond)
	select {
	case err := <-done:
		t.Fatalf("wrote to a server that is down: %v", err)
	default:
	}
	c.Run()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("does not go on after the server came back")
	}
	time.Sleep(time.Second) // two heartbeats
	select {
	case <-l.Lost():
		t.Error("a lease that nobody else took is lost")
	default:
	}
	rows, err := j.Items(ctx, "n", -1)
	if err != nil || len(rows) != 1 || rows[0].State != Verified {
		t.Errorf("%+v, %v", rows, err)
	}
}

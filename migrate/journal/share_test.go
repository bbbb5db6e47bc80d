package journal

import (
	"context"
	"errors"
	"testing"
	"time"
)

// testShares: the parts of a limit never add up to more than it; one who comes
// gets none before the others have given way, and one who is silent for two
// heartbeats has none any more, by either clock.
func testShares(t *testing.T, url string) {
	const total, beat = 1000, 200 * time.Millisecond
	a, b := openShared(t, url, beat).Share("line", total), openShared(t, url, beat).Share("line", total)
	part := func(p *Share) int64 {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		n, err := p.Part(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	until := func(p *Share, want int64, used ...*Share) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); part(p) != want; time.Sleep(beat / 20) {
			if time.Now().After(deadline) {
				t.Fatalf("a part of %d, want %d", part(p), want)
			}
			for _, u := range used {
				part(u)
			}
		}
	}
	if n := part(a); n != total {
		t.Errorf("who is alone has %d of %d", n, total)
	}
	// What a is told before b has a part is not more than b leaves.
	come := make(chan int64, 1)
	go func() { come <- part(b) }()
	for waiting := true; waiting; {
		select {
		case n := <-come:
			if has := part(a); n+has > total {
				t.Errorf("%d and %d of %d", n, has, total)
			}
			waiting = false
		case <-time.After(beat / 20):
			part(a) // it uses its part
		}
	}
	// Parts of one that is not used go to the others.
	until(a, total)
	until(b, total/2, a)
	// One that dies: its heart stops, and it may not use what others are given.
	a.s.stop()
	<-a.s.done
	until(b, total)
	ctx, cancel := context.WithTimeout(t.Context(), beat)
	defer cancel()
	if n, err := a.Part(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the dead may use %d: %v", n, err)
	}
	if (&Journal{}).Share("line", total) != nil {
		t.Error("a journal of one process divides its limits")
	}
}

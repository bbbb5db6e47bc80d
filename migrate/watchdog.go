package migrate

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// watchdog ends a wait in which neither bytes nor the state of a Job move. It
// has no total limit: slow is not stalled.
type watchdog struct {
	patience time.Duration
	count    func() int64 // bytes moved
	// ending tells that no more bytes are waited for, but what is done with those
	// that have come: that may take jobPatience times as long. May be nil.
	ending func() bool
	// waiting is told, now and then, that nothing has moved since when, and what
	// the Job says; may be nil.
	waiting func(since time.Time, state string)

	mu    sync.Mutex
	state string
	last  int64
	since time.Time
}

// quiet is how long nothing moves before somebody is told.
const quiet = 10 * time.Second

func newWatchdog(patience time.Duration, count func() int64) *watchdog {
	return &watchdog{patience: patience, count: count, since: time.Now()}
}

// seen tells what the Job says; a change counts as movement.
func (w *watchdog) seen(state string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if state != w.state {
		w.state, w.since = state, time.Now()
	}
}

func (w *watchdog) run(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(max(w.patience/10, time.Millisecond))
	defer tick.Stop()
	var told time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		idle := w.idle()
		if w.waiting != nil && idle > min(w.patience/2, quiet) && time.Since(told) > quiet {
			told = time.Now()
			w.mu.Lock()
			since, state := w.since, w.state
			w.mu.Unlock()
			w.waiting(since, state)
		}
		if idle > w.limit() {
			stop(&Error{Step: StepTransfer, Side: Destination, Class: ClassTransfer,
				Err: fmt.Errorf("%w for %s", ErrStalled, idle.Round(time.Second))})
			return
		}
	}
}

func (w *watchdog) idle() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.count(); n != w.last {
		w.last, w.since = n, time.Now()
	}
	return time.Since(w.since)
}

// limit is how long nothing may move now.
func (w *watchdog) limit() time.Duration {
	if w.ending != nil && w.ending() {
		return jobPatience * w.patience
	}
	return w.patience
}

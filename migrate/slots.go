package migrate

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/migrate/journal"
)

// errNoSlot: a worker that the others took for dead had a place at an endpoint.
var errNoSlot = errors.New("another worker has taken the place at the endpoint over")

// slotPause is how often a place at an endpoint is asked for that other workers have.
const slotPause = 250 * time.Millisecond

// enter waits until the endpoints have room for one transfer more, and takes
// it: of this process, or of all workers where they share the journal. waiting
// is told of the endpoint that is waited for. The context that it gives ends
// with errNoSlot when another worker has the place.
func (l *Limits) enter(ctx context.Context, j *journal.Journal, waiting func(endpoint string), ends ...Endpoint) (inside context.Context, leave func(), err error) {
	if l == nil {
		return ctx, func() {}, nil
	}
	if l.within != nil {
		return l.within.enter(ctx, j, waiting, ends...)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var left []func()
	leave = func() {
		for _, f := range left {
			f()
		}
		cancel(nil)
	}
	// In one order everywhere, so that two runs never wait for each other. A move
	// within one cloud is one transfer of it.
	byName := func(a, b Endpoint) int { return strings.Compare(a.Name, b.Name) }
	ends = slices.SortedFunc(slices.Values(ends), byName)
	ends = slices.CompactFunc(ends, func(a, b Endpoint) bool { return byName(a, b) == 0 })
	for _, e := range ends {
		if e.Limits.Transfers <= 0 {
			continue
		}
		take := l.take
		if j.Shared() {
			take = func(ctx context.Context, e Endpoint, wait func()) (func(), error) {
				return takeShared(ctx, cancel, j, e, wait)
			}
		}
		back, err := take(ctx, e, func() { waiting(e.Name) })
		if err != nil {
			leave()
			return ctx, func() {}, err
		}
		left = append(left, back)
	}
	return ctx, leave, nil
}

// take takes a place of this process.
func (l *Limits) take(ctx context.Context, e Endpoint, wait func()) (back func(), err error) {
	c := l.slotsOf(e)
	back = func() { <-c }
	select {
	case c <- struct{}{}:
		return back, nil
	default:
		wait()
	}
	select {
	case c <- struct{}{}:
		return back, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *Limits) slotsOf(e Endpoint) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots == nil {
		l.slots = map[string]chan struct{}{}
	}
	if l.slots[e.Name] == nil {
		l.slots[e.Name] = make(chan struct{}, e.Limits.Transfers)
	}
	return l.slots[e.Name]
}

// takeShared takes a place that counts for all workers: a lease, which a worker
// that dies loses as it loses its runs.
func takeShared(ctx context.Context, cancel context.CancelCauseFunc, j *journal.Journal, e Endpoint, wait func()) (back func(), err error) {
	for told := false; ; {
		lock, err := j.Slot(e.Name, e.Limits.Transfers)
		if err == nil {
			go func() {
				select {
				case <-lock.Lost():
					cancel(errNoSlot)
				case <-ctx.Done():
				}
			}()
			// One that cannot be given back ends by itself.
			return func() { _ = lock.Unlock() }, nil
		}
		if !errors.Is(err, journal.ErrLocked) {
			return nil, err
		}
		if !told {
			wait()
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(slotPause/2 + rand.N(slotPause)):
		}
	}
}

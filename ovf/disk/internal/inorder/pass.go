package inorder

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// errEarlier ends an item whose predecessor failed; that one's error is the
// one returned.
var errEarlier = errors.New("an earlier item failed")

// Pass is a Line for work that waits for nothing but this machine's processors
// and files. Its workers do everything themselves, from taking the next item to
// delivering what is done, and a worker that is free does whatever can be done
// now: to wait for another one, and be woken, can take as long as an item's work.
type Pass[T any] struct {
	// Workers and Depth are those of Line.
	Workers int
	Depth   int
	// New makes one item; it is called at most once per item in flight.
	New func() *T
	// Numbers gives each item its number. Its first error ends the pass. It may
	// wait, for something other than this pass.
	Numbers func(ctx context.Context) iter.Seq2[int64, error]
	// Work is called for each item, concurrently.
	Work func(ctx context.Context, item *T, number int64) error
	// Finish, which may be nil, is called for the items in order, one at a time.
	// Writing to a file belongs here: the kernel lets one writer into it.
	Finish func(item *T) error
	// Deliver, which may be nil, is called for the items in order, one at a time,
	// beside Finish of those that follow.
	Deliver func(item *T) error
}

// Run is that of Line.
func (p Pass[T]) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next, stop := iter.Pull2(p.Numbers(ctx))
	defer stop()
	workers := Count(p.Workers)
	r := &passing[T]{Pass: p, next: next, room: p.Depth, cancel: cancel}
	if r.room <= 0 {
		r.room = Depth(workers)
	}
	r.changed.L = &r.mu
	var wait sync.WaitGroup
	for range workers - 1 {
		wait.Go(func() { r.work(ctx) })
	}
	r.work(ctx)
	wait.Wait()
	if r.failed == nil {
		return r.ended
	}
	return r.failed
}

// passing is a Pass under way. Its fields are those of who holds mu, but for next.
type passing[T any] struct {
	Pass[T]
	cancel func()
	next   func() (int64, error, bool) // of who is taking

	mu      sync.Mutex
	changed sync.Cond
	waiting int // workers that have nothing to do

	room     int          // items that were not made yet
	free     []*passed[T] // items that can be used again
	line     []*passed[T] // taken and not delivered, in order
	finished int          // how many of line are

	taking, finishing, delivering bool // somebody is

	broken bool  // an item failed before it was to be delivered
	over   bool  // nothing more is to be taken
	ended  error // what the numbers ended with
	failed error // of the first item that did
}

type passed[T any] struct {
	item   *T
	err    error
	worked bool
}

// work does what can be done until all is done. What holds up the others most
// comes first: a file that is written to is seldom faster than what reads and
// digests.
func (r *passing[T]) work(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.failed == nil {
		switch {
		case r.mayFinish():
			r.finish()
		case r.mayDeliver():
			r.deliver()
		case r.mayTake():
			r.take(ctx)
		case r.over && len(r.line) == 0:
			r.changed.Broadcast()
			return
		default:
			r.waiting++
			r.changed.Wait()
			r.waiting--
		}
	}
	r.changed.Broadcast()
}

func (r *passing[T]) mayFinish() bool {
	return !r.finishing && r.finished < len(r.line) && r.line[r.finished].worked
}

func (r *passing[T]) mayDeliver() bool { return !r.delivering && r.finished > 0 }

func (r *passing[T]) mayTake() bool {
	return !r.taking && !r.over && (len(r.free) > 0 || r.room > 0)
}

// apart calls f without holding mu, and wakes a worker for what else there is.
func (r *passing[T]) apart(f func()) {
	if r.waiting > 0 && (r.mayFinish() || r.mayDeliver() || r.mayTake()) {
		r.changed.Signal()
	}
	r.mu.Unlock()
	defer r.mu.Lock()
	f()
}

// take takes an item and works on it.
func (r *passing[T]) take(ctx context.Context) {
	s := &passed[T]{}
	if n := len(r.free); n > 0 {
		s, r.free = r.free[n-1], r.free[:n-1]
	} else {
		r.room--
	}
	number, err, ok := int64(0), ctx.Err(), false
	r.taking = true
	if err == nil {
		r.apart(func() {
			number, err, ok = r.next()
			if s.item == nil && ok && err == nil {
				s.item = r.New()
			}
		})
	}
	r.taking = false
	if err != nil || !ok {
		r.over, r.ended = true, err
		return
	}
	s.worked, s.err = false, nil
	r.line = append(r.line, s)
	r.apart(func() { err = r.Work(ctx, s.item, number) })
	s.worked, s.err = true, err
}

// finish finishes the item whose turn it is. Nothing is behind one that failed.
func (r *passing[T]) finish() {
	s := r.line[r.finished]
	if s.err == nil && r.broken {
		s.err = errEarlier
	}
	if s.err == nil && r.Finish != nil {
		r.finishing = true
		err := error(nil)
		r.apart(func() { err = r.Finish(s.item) })
		s.err, r.finishing = err, false
	}
	r.broken = r.broken || s.err != nil
	r.finished++
}

// deliver delivers the first item.
func (r *passing[T]) deliver() {
	s := r.line[0]
	err := s.err
	if err == nil && r.Deliver != nil {
		r.delivering = true
		r.apart(func() { err = r.Deliver(s.item) })
		r.delivering = false
	}
	r.line = r.line[1:]
	r.finished--
	if err != nil {
		r.failed, r.over = err, true
		r.cancel()
		return
	}
	r.free = append(r.free, s)
}

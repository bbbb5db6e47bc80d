// Package inorder runs work on a stream of items in several goroutines and
// hands the results on in the order the items came, with a fixed number of
// items in flight: memory is bounded by that number whatever the stream's
// length, and the first error in stream order is the one returned.
package inorder

import (
	"context"
)

// Line is one run. T is what an item carries; items are reused.
type Line[T any] struct {
	// Workers is how many goroutines run Work; Processors when not positive.
	Workers int
	// Depth is how many items are in flight; two a worker and one when not
	// positive.
	Depth int
	// New makes one item; it is called at most once per item in flight.
	New func() *T
	// Produce fills items taken with next and passes them to submit, in order,
	// from the caller's goroutine. An item taken must be submitted before the
	// next one is taken. The errors of next end it.
	Produce func(ctx context.Context, next func() (*T, error), submit func(*T)) error
	// Work is called for each item, concurrently; worker is 0 ≤ worker < Workers.
	Work func(ctx context.Context, worker int, item *T) error
	// Deliver is called for each item whose Work succeeded, in order, from one
	// goroutine. It may be nil.
	Deliver func(item *T) error
}

// Count is the number of workers n stands for.
func Count(n int) int {
	if n > 0 {
		return n
	}
	return Processors()
}

// Depth is how many items are in flight for n workers.
func Depth(n int) int { return 2*Count(n) + 1 }

type slot[T any] struct {
	item *T
	err  error
	done chan struct{}
}

// Run returns when everything is delivered, or everything has stopped after
// the first error, which it returns.
func (l Line[T]) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := Count(l.Workers)
	depth := l.Depth
	if depth <= 0 {
		depth = Depth(workers)
	}

	free := make(chan *slot[T], depth)
	queue := make(chan *slot[T], depth)
	order := make(chan *slot[T], depth)
	for range depth {
		free <- &slot[T]{done: make(chan struct{}, 1)}
	}

	for w := range workers {
		go func() {
			for s := range queue {
				if s.err = ctx.Err(); s.err == nil {
					s.err = l.Work(ctx, w, s.item)
				}
				s.done <- struct{}{}
			}
		}()
	}

	delivered := make(chan error, 1)
	go func() {
		var failed error
		for s := range order {
			<-s.done
			if failed == nil {
				failed = s.err
				if failed == nil && l.Deliver != nil {
					failed = l.Deliver(s.item)
				}
				if failed != nil {
					cancel()
				}
			}
			free <- s
		}
		delivered <- failed
	}()

	var taken *slot[T]
	next := func() (*T, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		select {
		case taken = <-free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if taken.item == nil {
			taken.item = l.New()
		}
		return taken.item, nil
	}
	submit := func(*T) {
		order <- taken
		queue <- taken
	}
	produced := l.Produce(ctx, next, submit)
	close(queue)
	close(order)
	if failed := <-delivered; failed != nil {
		return failed
	}
	return produced
}

package inorder

import (
	"errors"
	"sync"
)

// errEarlier ends an item whose predecessor failed; that one's error is the
// one returned.
var errEarlier = errors.New("an earlier item failed")

// turn lets workers do something one after the other, in the order of their
// items. Items are worked on in the order they came, so that whoever waits
// waits for one that is being worked on.
type turn struct {
	mu     sync.Mutex
	moved  sync.Cond
	next   int64
	failed bool
}

func newTurn() *turn {
	t := &turn{}
	t.moved.L = &t.mu
	return t
}

// take waits for the turn of item seq and calls place, unless the item has an
// error already or an earlier one had.
func (t *turn) take(seq int64, err error, place func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.next != seq {
		t.moved.Wait()
	}
	if err == nil && t.failed {
		err = errEarlier
	}
	if err == nil {
		err = place()
	}
	t.failed = t.failed || err != nil
	t.next++
	t.moved.Broadcast()
	return err
}

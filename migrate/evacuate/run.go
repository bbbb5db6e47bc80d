package evacuate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// Run carries the runbook out: it begins what may begin until nothing is left
// that can. Items that failed before are tried again. When anything failed, the
// error is an *migrate.Error of class 9. Only one process does this for a
// runbook at a time.
func (v *Evacuation) Run(ctx context.Context) (*Report, error) {
	lock, err := v.engine.Journal.Lock(journal.BatchLock(v.id))
	if err != nil {
		return nil, &migrate.Error{Class: migrate.ClassRefused, Object: v.rb.Name, Err: err, Advice: "cimimove status shows how far it is"}
	}
	defer lock.Unlock()
	if err := v.record(ctx); err != nil {
		return nil, err
	}
	if err := v.again(ctx); err != nil {
		return nil, err
	}
	// What is refused about one System is said when its turn comes, and stops
	// no other; what does not fit as a whole is said before anything moves.
	if p, err := v.Plan(ctx); p != nil && p.refused(v.opts) != nil {
		return v.Report(), err
	}
	v.notify(ctx, Notice{Event: "started"})
	rep, err := v.outcome(ctx, v.loop(ctx))
	v.notify(context.WithoutCancel(ctx), Notice{Event: "finished"})
	return rep, err
}

// outcome is the report, and the error that goes with it.
func (v *Evacuation) outcome(ctx context.Context, err error) (*Report, error) {
	rep, detailErr := v.Detailed(context.WithoutCancel(ctx))
	if detailErr != nil {
		rep, err = v.Report(), errors.Join(err, detailErr)
	}
	switch {
	case ctx.Err() != nil:
		err = &migrate.Error{Class: migrate.ClassInterrupt, Object: v.rb.Name, Err: context.Cause(ctx), Advice: "the same command goes on"}
	case err != nil:
	case rep.Failed+rep.Pending > 0:
		err = &migrate.Error{Class: migrate.ClassBatch, Object: v.rb.Name, Err: fmt.Errorf("%d of %d systems failed, %d were not begun", rep.Failed, len(rep.Items), rep.Pending),
			Advice: "the same command tries what is unfinished again"}
	}
	return rep, err
}

// again makes what failed in an earlier process pending.
func (v *Evacuation) again(ctx context.Context) error {
	for _, w := range v.works {
		if w.row.State == journal.Failed || w.row.State == journal.RolledBack {
			row := w.row
			if row.Wish != "" { // that came when all was over
				if err := v.engine.Journal.Wish(ctx, v.id, row.Key, ""); err != nil {
					return err
				}
			}
			anew(&row)
			if err := v.set(ctx, row, -1); err != nil {
				return err
			}
		}
	}
	return nil
}

// anew makes an item pending as if it had never been tried; its run stays, as
// what has arrived of it may be gone on with.
func anew(row *journal.Item) {
	row.State, row.Attempts, row.NotBefore, row.Started, row.Ended, row.Error = journal.Pending, 0, time.Time{}, time.Time{}, time.Time{}, json.RawMessage("null")
}

func (v *Evacuation) loop(ctx context.Context) error {
	var (
		group  sync.WaitGroup
		broken = make(chan error, 1)
		ticker = time.NewTicker(v.opts.Poll)
	)
	defer ticker.Stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer group.Wait()
	waves := map[string]bool{}
	for {
		a, err := v.agenda(ctx)
		if err != nil {
			cancel(err)
			return err
		}
		d := a.decide()
		v.mu.Lock()
		v.reasons = d.reasons
		expect := v.change
		v.mu.Unlock()
		v.tellWaves(ctx, a, waves)
		for _, n := range d.start {
			if ctx.Err() != nil {
				break
			}
			begun, err := v.claim(ctx, n, expect)
			if errors.Is(err, journal.ErrStale) {
				break // decide anew
			}
			if err != nil {
				cancel(err)
				return err
			}
			v.mu.Lock()
			expect = v.change
			v.mu.Unlock()
			if begun == nil {
				continue
			}
			group.Go(func() {
				if err := v.item(begun.ctx(ctx), begun); err != nil {
					select {
					case broken <- err:
					default:
					}
				}
				v.wake()
			})
		}
		if d.over || ctx.Err() != nil {
			return nil
		}
		var timer <-chan time.Time
		if !d.wake.IsZero() {
			timer = time.After(min(max(d.wake.Sub(v.opts.Now()), 0), time.Minute))
		}
		select {
		case <-ctx.Done():
		case err := <-broken:
			// A failure of the journal ends the evacuation; failures of items do not.
			cancel(err)
			return err
		case <-v.kick:
		case <-ticker.C:
		case <-timer:
		}
	}
}

func (v *Evacuation) wake() {
	select {
	case v.kick <- struct{}{}:
	default:
	}
}

// agenda takes a picture of all items.
func (v *Evacuation) agenda(ctx context.Context) (*agenda, error) {
	if err := v.refresh(ctx); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	a := &agenda{rb: v.rb, paused: v.paused, now: v.opts.Now(), parallel: v.opts.Parallel, works: make([]*work, len(v.works))}
	for n, w := range v.works {
		c := *w
		_, mine := v.stops[w.row.Key]
		c.held = mine || w.row.State == journal.Running && v.engine.Journal.Locked(journal.ItemLock(v.id, w.row.Key))
		a.works[n] = &c
	}
	return a, nil
}

// claim makes an item ours: nil without error when another has it.
func (v *Evacuation) claim(ctx context.Context, n int, expect int64) (*claimed, error) {
	w := v.works[n]
	lock, err := v.engine.Journal.Lock(journal.ItemLock(v.id, w.item.Key()))
	if errors.Is(err, journal.ErrLocked) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	row := w.row
	v.mu.Unlock()
	row.State, row.Error = journal.Running, nil
	if row.Started.IsZero() {
		row.Started = v.opts.Now()
	}
	row.Ended = time.Time{}
	row.Attempts++
	if err := v.set(ctx, row, expect); err != nil {
		lock.Unlock()
		return nil, err
	}
	return &claimed{v: v, item: w.item, row: row, lock: lock}, nil
}

// claimed is an item that this process works on.
type claimed struct {
	v    *Evacuation
	item Item
	row  journal.Item
	lock *journal.Lock
	stop context.CancelCauseFunc
}

// ctx ends when the item is to stop: by an operator, or when its window closes.
func (c *claimed) ctx(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	c.stop = cancel
	v := c.v
	v.mu.Lock()
	v.stops[c.row.Key] = cancel
	v.mu.Unlock()
	if gone := c.lock.Lost(); gone != nil {
		go func() {
			select {
			case <-gone:
				cancel(journal.ErrLost)
			case <-ctx.Done():
			}
		}()
	}
	a := &agenda{rb: v.rb, now: v.opts.Now()}
	wave := v.rb.Wave(c.item.Wave)
	if open, _ := a.open(wave); !open {
		cancel(errWindow) // it closed since this was decided
	} else if at, closes := a.closes(wave); closes {
		t := time.AfterFunc(at.Sub(v.opts.Now()), func() { cancel(errWindow) })
		context.AfterFunc(ctx, func() { t.Stop() })
	}
	return ctx
}

// release gives the item back.
func (c *claimed) release() {
	c.stop(nil)
	c.v.mu.Lock()
	delete(c.v.stops, c.row.Key)
	c.v.mu.Unlock()
	c.lock.Unlock()
}

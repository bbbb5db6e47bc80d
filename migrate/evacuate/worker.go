package evacuate

import (
	"context"
	"errors"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// Open takes part in an evacuation that is recorded in the journal, for
// workers; Run is not for them. The error wraps journal.ErrNoBatch when there
// is none of that id.
func Open(ctx context.Context, e *migrate.Engine, run string, o Options) (*Evacuation, error) {
	rb, err := Recorded(ctx, e.Journal, run)
	if err != nil {
		return nil, err
	}
	v := prepare(e, rb, o)
	v.id = run
	if err := v.load(ctx); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// Ticket is the right to try one System once: what a queue hands out. It is
// the same however often it is found, until somebody takes it.
type Ticket struct {
	Run     string `json:"run"`
	Key     string `json:"key"`
	Attempt int    `json:"attempt"`
}

// Ready says which Systems may begin now, when to look again at the latest,
// and whether there is nothing left to wait for.
func (v *Evacuation) Ready(ctx context.Context) (tickets []Ticket, wake time.Time, over bool, err error) {
	a, err := v.agenda(ctx)
	if err != nil {
		return nil, wake, false, err
	}
	d := a.decide()
	v.mu.Lock()
	v.reasons = d.reasons
	v.mu.Unlock()
	for _, n := range d.start {
		row := a.works[n].row
		tickets = append(tickets, Ticket{Run: v.id, Key: row.Key, Attempt: row.Attempts})
	}
	return tickets, d.wake, d.over, nil
}

// Take moves the System of a ticket, when it may still begin; it returns when
// that has ended, or at once when somebody else has it.
func (v *Evacuation) Take(ctx context.Context, t Ticket) error {
	for {
		a, err := v.agenda(ctx)
		if err != nil {
			return err
		}
		v.mu.Lock()
		expect := v.change
		v.mu.Unlock()
		for _, n := range a.decide().start {
			if a.works[n].row.Key != t.Key {
				continue
			}
			c, err := v.claim(ctx, n, expect)
			if errors.Is(err, journal.ErrStale) {
				break // decide anew
			}
			if err != nil || c == nil {
				return err
			}
			return v.item(c.ctx(ctx), c)
		}
		v.mu.Lock()
		same := v.change == expect
		v.mu.Unlock()
		if same {
			return nil
		}
	}
}

// Submit records the runbook for workers to carry out. What failed before is
// tried again.
func (v *Evacuation) Submit(ctx context.Context) error {
	if p, err := v.Plan(ctx); p != nil && p.refused(v.opts) != nil {
		return err
	}
	if err := v.record(ctx); err != nil {
		return err
	}
	return v.again(ctx)
}

// Follow waits until workers have carried the runbook out, and gives the
// report and error that Run would.
func (v *Evacuation) Follow(ctx context.Context) (*Report, error) {
	tick := time.NewTicker(v.opts.Poll)
	defer tick.Stop()
	for {
		_, _, over, err := v.Ready(ctx)
		if err != nil || over || ctx.Err() != nil {
			return v.outcome(ctx, err)
		}
		v.observe(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Outdated tells whether the runbook has been recorded anew since it was opened.
func (v *Evacuation) Outdated(ctx context.Context) bool {
	b, err := v.engine.Journal.Batch(ctx, v.id)
	if err != nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return !b.Submitted.Equal(v.submitted)
}

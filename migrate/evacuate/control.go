package evacuate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// Control is what an operator asks of an evacuation, from any process: the one
// that carries it out sees the wish within a second.
type Control struct {
	Journal *journal.Journal
}

// Pause lets what is under way end and begins nothing more.
func (c Control) Pause(ctx context.Context, run string) error {
	return known(run, c.Journal.Pause(ctx, run, true))
}

// Continue takes a pause back.
func (c Control) Continue(ctx context.Context, run string) error {
	return known(run, c.Journal.Pause(ctx, run, false))
}

// Cancel takes a System out: what is under way is stopped and undone.
func (c Control) Cancel(ctx context.Context, run, system string) error {
	return c.each(ctx, run, system, func(row journal.Item, expect int64) (int64, error) {
		switch {
		case good(row.State):
			return 0, fmt.Errorf("is %s already; cimimove rollback %s undoes it", row.State, row.Run)
		case row.State == journal.Running && c.Journal.Locked(journal.ItemLock(run, row.Key)):
			if row.Wish == wishCancel {
				return expect, nil
			}
			return expect, c.Journal.Wish(ctx, run, row.Key, wishCancel)
		case row.Run != "" && row.State != journal.RolledBack && row.State != journal.Failed:
			if undone, err := c.undone(ctx, row.Run); err != nil || !undone {
				return 0, cmp.Or(err, fmt.Errorf("is %s; cimimove rollback %s undoes it, and then it can be taken out", row.State, row.Run))
			}
		}
		row.State, row.Ended = journal.Cancelled, c.Journal.Now()
		row.Error = migrate.FailureOf(errCancelled).Encode()
		return c.Journal.SetItem(ctx, row, expect)
	})
}

// undone tells whether nothing is left of a run.
func (c Control) undone(ctx context.Context, run string) (bool, error) {
	row, err := c.Journal.Run(ctx, run)
	if errors.Is(err, journal.ErrNoRun) {
		return true, nil
	}
	return err == nil && row.State == journal.RolledBack, err
}

// Retry asks for failed and cancelled Systems again: one, or all when system
// is empty.
func (c Control) Retry(ctx context.Context, run, system string) error {
	return c.each(ctx, run, system, func(row journal.Item, expect int64) (int64, error) {
		if row.State != journal.Failed && row.State != journal.Cancelled && row.State != journal.RolledBack {
			if system == "" {
				return expect, nil
			}
			return 0, fmt.Errorf("is %s, not failed", row.State)
		}
		if row.Wish != "" {
			// It came when all was over, and would end this attempt.
			return 0, cmp.Or(c.Journal.Wish(ctx, run, row.Key, ""), journal.ErrStale)
		}
		anew(&row)
		return c.Journal.SetItem(ctx, row, expect)
	})
}

// each does something to the items of a System, as they stand: what changes
// between the look and the deed, as somebody begins one, is looked at again. do is
// given the count of changes that its row is of, and gives the one after it.
func (c Control) each(ctx context.Context, run, system string, do func(row journal.Item, expect int64) (int64, error)) error {
	for done := map[string]bool{}; ; {
		b, err := c.Journal.Batch(ctx, run)
		if err != nil {
			return known(run, err)
		}
		rows, err := c.Journal.Items(ctx, run, -1)
		if err != nil {
			return err
		}
		if err = c.eachOf(rows, b.Change, system, done, do); !errors.Is(err, journal.ErrStale) || ctx.Err() != nil {
			return err
		}
	}
}

func (c Control) eachOf(rows []journal.Item, expect int64, system string, done map[string]bool, do func(journal.Item, int64) (int64, error)) (err error) {
	var names []string
	found := false
	for _, row := range rows {
		names = append(names, row.System)
		if system != "" && row.System != system && row.Run != system {
			continue
		}
		if found = true; done[row.Key] {
			continue
		}
		if expect, err = do(row, expect); errors.Is(err, journal.ErrStale) {
			return err
		}
		if err != nil {
			return &migrate.Error{Class: migrate.ClassRefused, Object: row.System, Err: err}
		}
		done[row.Key] = true
	}
	if !found {
		if len(names) > 12 {
			names = append(names[:12], "…")
		}
		return &migrate.Error{Class: migrate.ClassUsage, Object: system, Err: errors.New("not in this runbook; it has " + strings.Join(names, ", "))}
	}
	return nil
}

// known makes a batch that is not there an error of usage.
func known(run string, err error) error {
	if errors.Is(err, journal.ErrNoBatch) {
		return &migrate.Error{Class: migrate.ClassUsage, Object: run, Err: err, Advice: "cimimove status lists the runs"}
	}
	return err
}

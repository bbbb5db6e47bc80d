package evacuate

import (
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
	return c.each(ctx, run, system, func(row journal.Item) error {
		switch {
		case good(row.State):
			return fmt.Errorf("is %s already; cimimove rollback %s undoes it", row.State, row.Run)
		case row.State == journal.Running && c.Journal.Locked(journal.ItemLock(run, row.Key)):
			return c.Journal.Wish(ctx, run, row.Key, wishCancel)
		case row.Run != "" && row.State != journal.RolledBack && row.State != journal.Failed:
			return fmt.Errorf("is %s; cimimove rollback %s undoes it", row.State, row.Run)
		}
		row.State, row.Ended = journal.Cancelled, c.Journal.Now()
		row.Error = migrate.FailureOf(errCancelled).Encode()
		_, err := c.Journal.SetItem(ctx, row, -1)
		return err
	})
}

// Retry asks for failed and cancelled Systems again: one, or all when system
// is empty.
func (c Control) Retry(ctx context.Context, run, system string) error {
	return c.each(ctx, run, system, func(row journal.Item) error {
		if row.State != journal.Failed && row.State != journal.Cancelled && row.State != journal.RolledBack {
			if system == "" {
				return nil
			}
			return fmt.Errorf("is %s, not failed", row.State)
		}
		anew(&row)
		_, err := c.Journal.SetItem(ctx, row, -1)
		return err
	})
}

func (c Control) each(ctx context.Context, run, system string, do func(journal.Item) error) error {
	if _, err := c.Journal.Batch(ctx, run); err != nil {
		return known(run, err)
	}
	rows, err := c.Journal.Items(ctx, run, -1)
	if err != nil {
		return err
	}
	var names []string
	found := false
	for _, row := range rows {
		names = append(names, row.System)
		if system != "" && row.System != system && row.Run != system {
			continue
		}
		found = true
		if err := do(row); err != nil {
			return &migrate.Error{Class: migrate.ClassRefused, Object: row.System, Err: err}
		}
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

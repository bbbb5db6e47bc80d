package evacuate

import (
	"context"
	"errors"
	"fmt"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// Recorded is the runbook of an evacuation as the journal keeps it, its
// Systems named. The error wraps journal.ErrNoBatch when there is none.
func Recorded(ctx context.Context, j *journal.Journal, run string) (*runbook.Runbook, error) {
	document, err := j.Document(ctx, run)
	if err != nil {
		return nil, err
	}
	rb, err := unseal(ctx, j, document)
	if err != nil {
		return nil, fmt.Errorf("run %s: its runbook cannot be read by this program: %w", run, err)
	}
	return rb, nil
}

// Status reads how an evacuation stands, also while another process carries it
// out.
func Status(ctx context.Context, j *journal.Journal, run string) (*Report, error) {
	rb, err := Recorded(ctx, j, run)
	if err != nil {
		return nil, err
	}
	v := prepare(&migrate.Engine{Journal: j}, rb, Options{})
	v.id, v.change = run, -1
	for _, i := range rb.Items {
		w := &work{item: i}
		v.works = append(v.works, w)
		v.byKey[i.Key()] = w
	}
	a, err := v.agenda(ctx)
	if err != nil {
		return nil, err
	}
	d := a.decide()
	v.reasons = d.reasons
	carried, nobody := j.Locked(journal.BatchLock(run)), "nobody carries the runbook out; cimimove resume "+run+" goes on"
	if j.Shared() {
		n, err := j.Workers(ctx)
		if err != nil {
			return nil, err
		}
		carried, nobody = carried || n > 0 && !d.over, "no worker is there; cimimove worker --queue does it"
	}
	if !carried {
		for _, n := range d.start {
			v.reasons[n] = nobody
		}
		for n := range v.reasons {
			v.reasons[n] = nobody
		}
	}
	for n, w := range a.works {
		if w.row.State == journal.Running && !w.held {
			v.works[n].row.State = journal.Interrupted
		}
	}
	rep := v.Report()
	rep.Active = rep.Active || carried
	for n := range rep.Items {
		i := &rep.Items[n]
		if i.Run == "" || i.State != string(journal.Running) && i.State != string(journal.Interrupted) {
			continue
		}
		if row, err := j.Run(ctx, i.Run); err == nil {
			i.Done, i.Total = row.Done, row.Total
		}
	}
	return rep, nil
}

// Rollback undoes every migration of an evacuation, the latest first. Those
// that cannot be undone are in the error; the others are.
func Rollback(ctx context.Context, e *migrate.Engine, run string) (*Report, error) {
	if _, err := e.Journal.Batch(ctx, run); err != nil {
		return nil, err
	}
	lock, err := e.Journal.Lock(journal.BatchLock(run))
	if err != nil {
		return nil, &migrate.Error{Class: migrate.ClassRefused, Object: "run " + run, Err: err, Advice: "interrupt it first"}
	}
	defer lock.Unlock()
	rows, err := e.Journal.Items(ctx, run, -1)
	if err != nil {
		return nil, err
	}
	var errs []error
	for n := len(rows) - 1; n >= 0; n-- {
		row := rows[n]
		if row.Run == "" || row.State == journal.RolledBack || row.State == journal.Cancelled || row.State == journal.Skipped {
			continue
		}
		if _, err := e.Rollback(ctx, row.Run); err != nil {
			errs = append(errs, err)
			continue
		}
		row.State, row.DestinationID = journal.RolledBack, ""
		if _, err := e.Journal.SetItem(ctx, row, -1); err != nil {
			return nil, err
		}
	}
	rep, err := Status(ctx, e.Journal, run)
	if err == nil && len(errs) > 0 {
		err = &migrate.Error{Class: migrate.ClassBatch, Object: "run " + run, Err: fmt.Errorf("%d systems could not be undone: %w", len(errs), errors.Join(errs...))}
	}
	return rep, err
}

package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
)

// undo takes back what the run did, newest first: the System at the
// destination goes, machines that were stopped at the source are started. It
// needs nothing but the journal, and can be called again.
func (r *run) undo(ctx context.Context) error {
	var errs []error
	left := false // something at the destination that can run
	if st := r.steps[StepImport]; st != nil && st.State != journal.Undone && st.State != journal.Dropped {
		var in importNotes
		if err := r.notes(StepImport, &in); err != nil {
			return err
		}
		if err := r.abandon(ctx, &in); err != nil {
			left = true
			errs = append(errs, at("", Destination, r.Name, err))
		} else if err := r.forgetArrivals(ctx); err != nil {
			errs = append(errs, at("", Destination, r.Name, err))
		} else if err := r.end(ctx, StepImport, journal.Undone, in); err != nil {
			return err
		}
	}
	if err := r.leaveStage(ctx); err != nil {
		errs = append(errs, err)
	}
	// A removal that takes long is not to keep what follows from its time: machines
	// that are to run again.
	limited, cancel := context.WithTimeout(ctx, cleanupTimeout/2)
	if err := r.leaveSnapshot(limited); err != nil {
		r.findings = append(r.findings, snapshotFinding(r.System, err))
	}
	cancel()
	if err := r.unmake(ctx, func(string, made) bool { return true }); err != nil {
		left = true
		errs = append(errs, err)
	}
	if st := r.steps[StepQuiesce]; st != nil && st.State != journal.Undone {
		if left && r.copyMayRun() {
			return errors.Join(append(errs, &Error{Side: Source, Object: r.System, Err: errors.New("stays stopped, as its copy may run and could not be removed"),
				Advice: "stop or delete " + r.Name + " at the destination, then roll back again"})...)
		}
		var n quiesceNotes
		var f finishNotes
		if err := errors.Join(r.notes(StepQuiesce, &n), r.notes(StepFinish, &f)); err != nil {
			return err
		}
		n.Stopped = append(n.Stopped, f.Stopped...)
		for _, id := range n.Stopped {
			if err := r.startAgain(ctx, id); err != nil {
				errs = append(errs, at("", Source, id, err))
			}
		}
		if len(n.Stopped) > 0 && len(errs) == 0 {
			if err := r.end(ctx, StepQuiesce, journal.Undone, n); err != nil {
				return err
			}
		}
	}
	return errors.Join(errs...)
}

// copyMayRun says whether the destination was asked to start what it holds.
func (r *run) copyMayRun() bool {
	if r.begun(StepStart) {
		return r.PowerOn
	}
	var n startNotes
	return r.notes(StepStart, &n) != nil || len(n.Started) > 0
}

// startAgain starts a machine that the run has stopped. One that is still
// stopping is started when it has; it would stay stopped otherwise.
func (r *run) startAgain(ctx context.Context, machine string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cleanupTimeout, errors.New("is still stopping: start it when it has stopped"))
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		acc, err := r.src.Provider.Invoke(ctx, machine, &cimi.Action{Action: cimi.ActionStart})
		if err == nil {
			_, err = follow(ctx, r.src.Provider, &cimi.Accepted{Job: acc.Job, Done: acc.Done || acc.Job == ""}, nil)
			return err
		}
		if !cimi.IsConflict(err) {
			return err
		}
		if state, err := r.powerOf(ctx, machine); err != nil || state != cimi.StateStopping {
			return err // it runs
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// Rollback undoes a run from the journal alone: nothing of it stays at the
// destination, the source is as it was. A run that replaced another System
// cannot be undone when that is deleted.
func (e *Engine) Rollback(ctx context.Context, id string) (*Report, error) {
	row, err := e.Journal.Run(ctx, id)
	if err != nil {
		return nil, &Error{Class: ClassUsage, Object: id, Err: err, Advice: "cimimove status lists the runs"}
	}
	if row.State == journal.RolledBack || row.State == journal.Skipped {
		return decodeReport(row)
	}
	ended := row.State.Ended()
	r, _, err := e.takeAny(ctx, id)
	if err != nil {
		return nil, err
	}
	defer r.unlock()
	defer r.closeEndpoints()
	r.feed = newFeed(nil)
	if ended && r.IfExists == ExistsReplace && len(r.Before) > 0 {
		return nil, refuse(StepFinish, Destination, r.Name, fmt.Errorf("the System it replaced (%s) is deleted, so there is nothing to go back to", r.Before[0]), "")
	}
	var f finishNotes
	if err := r.notes(StepFinish, &f); err != nil {
		return nil, err
	}
	if f.Deleting {
		return nil, refuse(StepFinish, Source, r.System, errors.New("it is deleted at the source, so its copy is all that there is"), "")
	}
	r.findings = append(r.findings, r.Findings...)
	if err := r.undo(ctx); err != nil {
		return nil, err
	}
	if err := e.Journal.DropBlocks(ctx, id, ""); err != nil {
		return nil, err
	}
	rep, err := r.report(ctx, nil)
	if err != nil {
		return nil, err
	}
	rep.State, rep.Verified, rep.DestinationID = string(journal.RolledBack), false, ""
	if err := rep.sign(e.Signer); err != nil {
		return nil, err
	}
	return rep, r.set(ctx, journal.Change{State: journal.RolledBack, Report: rep.encode()})
}

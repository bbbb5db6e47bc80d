package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf"
)

// quiesce stops the machines that run at the source: export wants them
// stopped. Those it stopped are started again when the run is undone.
func (r *run) quiesce(ctx context.Context) error {
	var n quiesceNotes
	if err := r.notes(StepQuiesce, &n); err != nil {
		return err
	}
	if err := r.begin(ctx, StepQuiesce, n, nil); err != nil {
		return err
	}
	for _, m := range r.Shape.Machines {
		if !runs(m.State) {
			continue
		}
		n.Stopped = append(n.Stopped, m.ID)
		if err := r.note(ctx, StepQuiesce, n); err != nil {
			return err
		}
		if err := r.stopMachine(ctx, m); err != nil {
			return at(StepQuiesce, Source, m.Name, err)
		}
	}
	return r.end(ctx, StepQuiesce, journal.Ended, n)
}

func (r *run) stopMachine(ctx context.Context, m MachineShape) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.engine.stopTimeout(), fmt.Errorf("did not stop within %s", r.engine.stopTimeout()))
	defer cancel()
	acc, err := r.src.Provider.Invoke(ctx, m.ID, &cimi.Action{Action: cimi.ActionStop})
	if err != nil && !cimi.IsConflict(err) {
		return err
	}
	if err == nil {
		if _, err := follow(ctx, r.src.Provider, acc, nil); err != nil && !errors.Is(err, cimi.ErrNoJob) {
			return err
		}
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		res, err := r.src.Provider.Get(ctx, m.ID, cimi.ReadOptions{})
		if err != nil {
			return err
		}
		if state, _ := cimi.Value(res, "state").(string); !runs(state) && state != cimi.StateStopping {
			return nil
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// start starts the machines at the destination when that was asked for.
func (r *run) start(ctx context.Context) error {
	var v verifyNotes
	if err := r.notes(StepVerify, &v); err != nil {
		return err
	}
	if !r.PowerOn || !v.Verified && r.Verify != VerifyNone {
		return r.simple(ctx, StepStart, startNotes{})
	}
	if err := r.begin(ctx, StepStart, nil, nil); err != nil {
		return err
	}
	var in importNotes
	if err := r.notes(StepImport, &in); err != nil {
		return err
	}
	s, err := getSystem(ctx, r.dst, Destination, in.System)
	if err != nil {
		return at(StepStart, Destination, r.Name, err)
	}
	if s.Operation(cimi.ActionStart) == nil {
		r.findings = append(r.findings, ovf.Finding{ID: RuleStart, Severity: ovf.Warning, Object: r.Name, Message: "the destination offers no start of it"})
		return r.end(ctx, StepStart, journal.Ended, startNotes{})
	}
	acc, err := r.dst.Provider.Invoke(ctx, in.System, &cimi.Action{Action: cimi.ActionStart})
	if err == nil {
		_, err = follow(ctx, r.dst.Provider, &cimi.Accepted{Job: acc.Job, Done: acc.Done || acc.Job == ""}, nil)
	}
	if err != nil {
		return at(StepStart, Destination, r.Name, err)
	}
	return r.end(ctx, StepStart, journal.Ended, startNotes{Started: []string{in.System}})
}

// finish removes what is not needed any more: replaced Systems and the
// journal's block digests. What cannot be proved replaces nothing.
func (r *run) finish(ctx context.Context) error {
	if err := r.begin(ctx, StepFinish, nil, nil); err != nil {
		return err
	}
	var v verifyNotes
	if err := r.notes(StepVerify, &v); err != nil {
		return err
	}
	if r.IfExists == ExistsReplace {
		for _, old := range r.Before {
			if !v.Verified && r.Verify != VerifyNone {
				r.findings = append(r.findings, ovf.Finding{ID: RuleExists, Severity: ovf.Warning, Object: old, Message: "is kept, as the new System could not be verified"})
				continue
			}
			if err := ensureGone(ctx, r.dst.Provider, old); err != nil {
				r.findings = append(r.findings, leftFinding(old, err))
			}
		}
	}
	if err := r.engine.Journal.DropBlocks(ctx, r.id, ""); err != nil {
		return err
	}
	if err := r.end(ctx, StepFinish, journal.Ended, nil); err != nil {
		return err
	}
	if v.Unprovable != "" {
		return &Error{Step: StepVerify, Side: Destination, Object: r.Name, Class: ClassUnverified, Err: errors.New("done, but not verified: " + v.Unprovable)}
	}
	return nil
}

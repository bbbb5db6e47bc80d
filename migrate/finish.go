package migrate

import (
	"context"
	"errors"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf"
)

// start starts the machines at the destination when that was asked for.
func (r *run) start(ctx context.Context) error {
	if r.Warm && !r.begun(StepStart) {
		if err := r.stillProved(ctx); err != nil {
			return err
		}
	}
	if !r.begun(StepStart) {
		if err := r.neverRan(ctx); err != nil {
			return err
		}
	}
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
	if r.Assembly.apart() {
		return r.startParts(ctx)
	}
	var in importNotes
	if err := r.notes(StepImport, &in); err != nil {
		return err
	}
	s, err := getSystem(ctx, r.dst, Destination, in.System)
	if err != nil {
		return at(StepStart, Destination, r.Name, err)
	}
	if s.State == cimi.StateStarted || s.State == cimi.StateStarting { // before the run was interrupted
		return r.end(ctx, StepStart, journal.Ended, startNotes{Started: []string{in.System}})
	}
	if s.Operation(cimi.ActionStart) == nil {
		r.findings = append(r.findings, ovf.Finding{ID: RuleStart, Severity: ovf.Warning, Object: r.Name, Message: "the destination offers no start of it"})
		return r.end(ctx, StepStart, journal.Ended, startNotes{})
	}
	if err := startAt(ctx, r.dst.Provider, in.System); err != nil {
		return at(StepStart, Destination, r.Name, err)
	}
	return r.end(ctx, StepStart, journal.Ended, startNotes{Started: []string{in.System}})
}

// finish removes what is not needed any more: replaced Systems, the source
// where that was asked for, and the journal's block digests. What cannot be proved replaces nothing.
func (r *run) finish(ctx context.Context) error {
	var n finishNotes
	if err := r.notes(StepFinish, &n); err != nil {
		return err
	}
	if err := r.begin(ctx, StepFinish, n, nil); err != nil {
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
	if v.Verified || r.Verify == VerifyNone {
		if err := r.leaveStage(ctx); err != nil {
			r.findings = append(r.findings, leftFinding(r.Stage, err))
		}
	} else if r.staged() {
		r.findings = append(r.findings, ovf.Finding{ID: RuleLeft, Severity: ovf.Warning, Object: r.Stage, Message: "keeps the package, as the new System could not be verified", Hint: "cimimove gc --run " + r.id + " removes it"})
	}
	r.tidy(ctx)
	r.tidySnapshot(ctx)
	if err := r.sourceAfter(ctx, &n, v.Verified); err != nil {
		return err
	}
	if err := r.engine.Journal.DropBlocks(ctx, r.id, ""); err != nil {
		return err
	}
	if err := r.end(ctx, StepFinish, journal.Ended, n); err != nil {
		return err
	}
	if v.Unprovable != "" {
		return &Error{Step: StepVerify, Side: Destination, Object: r.Name, Class: ClassUnverified, Err: errors.New("done, but not verified: " + v.Unprovable)}
	}
	return nil
}

package migrate

import (
	"context"
	"fmt"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// sourceAfter deals with the source as was asked. It may be called again.
// What was not verified deletes and stops nothing.
func (r *run) sourceAfter(ctx context.Context, n *finishNotes, verified bool) error {
	var err error
	switch {
	case r.SourceAfter == SourceKeep, r.SourceAfter == "":
		return nil
	case r.SourceAfter == SourceStart:
		var q quiesceNotes
		if err := r.notes(StepQuiesce, &q); err != nil {
			return err
		}
		for _, id := range q.Stopped {
			if err = r.startAgain(ctx, id); err != nil {
				break
			}
		}
	case !verified && r.Verify != VerifyNone:
		r.findings = append(r.findings, ovf.Finding{ID: RuleAfter, Severity: ovf.Warning, Object: r.System, Message: "is left as it is at the source, as its copy could not be verified"})
		return nil
	case r.SourceAfter == SourceStop:
		err = r.stopAll(ctx, n)
	case r.SourceAfter == SourceDelete && verified:
		if disk := r.ofOldImage(); disk != "" {
			r.findings = append(r.findings, ovf.Finding{ID: RuleAfter, Severity: ovf.Warning, Object: r.System,
				Message: "is not deleted at the source: of disk " + disk + " an image was read that was there before, and what was written since is nowhere else"})
			return nil
		}
		// What its machines have written since is nowhere else.
		if !n.Deleting {
			if err := r.stillProved(ctx); err != nil {
				return err
			}
			if err := r.noneRuns(ctx); err != nil {
				return err
			}
		}
		// Noted before: a rollback must know that there may be nothing to go back to.
		n.Deleting = true
		if err := r.note(ctx, StepFinish, *n); err != nil {
			return err
		}
		err = ensureGone(ctx, r.src.Provider, r.SystemID)
	}
	if err == nil {
		return nil
	}
	return &Error{Step: StepFinish, Side: Source, Object: r.System, Class: ClassTransfer,
		Err: fmt.Errorf("is verified at the destination, but could not be dealt with here (%s): %w", r.SourceAfter, err)}
}

// ofOldImage names a disk of which no image was made for the run, empty for none.
func (r *run) ofOldImage() string {
	var n exportNotes
	if r.Via != ViaResources || r.notes(StepExport, &n) != nil {
		return ""
	}
	for _, i := range n.Images {
		if !i.Made {
			return i.Disk
		}
	}
	return ""
}

// noneRuns refuses to delete what runs, however it was exported.
func (r *run) noneRuns(ctx context.Context) error {
	for _, m := range r.Shape.Machines {
		state, err := r.powerOf(ctx, m.ID)
		if err != nil && !cimi.IsNotFound(err) {
			return at(StepFinish, Source, m.Name, err)
		}
		if runs(state) {
			return refuse(StepFinish, Source, r.System, fmt.Errorf("machine %s runs, and is not deleted with what it has written since it was exported", m.Name),
				fmt.Sprintf("the copy is proved and stays; stop the machine and delete the source when nothing of it is missed, or cimimove rollback %s, then begin a new run", r.id))
		}
	}
	return nil
}

// stopAll stops every machine of the source that runs.
func (r *run) stopAll(ctx context.Context, n *finishNotes) error {
	for _, m := range r.Shape.Machines {
		state, err := r.powerOf(ctx, m.ID)
		if cimi.IsNotFound(err) || err == nil && !runs(state) {
			continue
		}
		if err != nil {
			return err
		}
		if err := r.stopFor(ctx, m, &n.Stopped, func() error { return r.note(ctx, StepFinish, *n) }); err != nil {
			return err
		}
	}
	return nil
}

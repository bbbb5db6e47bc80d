package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cimimove/cimimove/migrate/journal"
)

// GCOptions: Run limits the work to one run; DryRun only lists.
type GCOptions struct {
	Run    string
	DryRun bool
}

// Removed is something that gc took away, or would.
type Removed struct {
	Run    string `json:"run"`
	System string `json:"system"`
	What   string `json:"what"`
}

// GC removes what runs that failed have left at their clouds, and nothing that the
// journal does not own. Interrupted runs can be resumed and are left alone, unless
// one is named: that is rolled back, where it has left anything.
func (e *Engine) GC(ctx context.Context, o GCOptions) ([]Removed, error) {
	rows, err := e.Journal.Runs(ctx)
	if err != nil {
		return nil, err
	}
	removed := []Removed{}
	var errs []error
	named := false
	for _, row := range rows {
		if o.Run != "" && row.ID != o.Run {
			continue
		}
		named = true
		if !row.State.Ended() && o.Run == "" && row.State != journal.Failed {
			continue
		}
		if e.Journal.Locked(row.ID) {
			if o.Run != "" {
				return removed, &Error{Class: ClassRefused, Object: "run " + o.Run, Err: journal.ErrLocked, Advice: "see cimimove status; a run that goes on cleans up after itself"}
			}
			continue
		}
		steps, err := e.Journal.Steps(ctx, row.ID)
		if err != nil {
			return removed, err
		}
		left, remove := leftBehind(steps), e.rollback
		if o.Run != "" {
			left = cmp.Or(left, leftStopped(steps))
		}
		if row.State.Ended() {
			left, remove = leftOver(steps), e.clear // what was moved stays
		}
		if left == "" {
			continue
		}
		if !o.DryRun {
			err := remove(ctx, row.ID)
			if err == nil {
				err = e.snapshotGone(ctx, row.ID, row.System)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
		}
		removed = append(removed, Removed{Run: row.ID, System: row.System, What: left})
	}
	if o.Run != "" && !named {
		return removed, &Error{Class: ClassUsage, Object: o.Run, Err: journal.ErrNoRun}
	}
	return removed, errors.Join(errs...)
}

// snapshotGone is an error where the source still has the snapshot of a run: who
// rolls back goes on without that.
func (e *Engine) snapshotGone(ctx context.Context, id, system string) error {
	steps, err := e.Journal.Steps(ctx, id)
	if err != nil || leftSnapshot(steps) == "" {
		return err
	}
	return &Error{Class: ClassRemote, Side: Source, Object: system, Err: errors.New("its snapshot could not be removed"),
		Advice: "cimimove gc tries again, as does the cloud itself when it has not been read for long"}
}

func (e *Engine) rollback(ctx context.Context, id string) error {
	_, err := e.Rollback(ctx, id)
	return err
}

// leftBehind says what the steps of a run may have left, empty for nothing.
func leftBehind(steps []journal.Step) string {
	for i := len(steps) - 1; i >= 0; i-- {
		if s := steps[i]; Step(s.Name) == StepImport {
			switch s.State {
			case journal.Begun, journal.Ended:
				return "System at the destination"
			case journal.Broken:
				return "What has arrived at the destination"
			}
			break
		}
	}
	return cmp.Or(leftStaged(steps), leftMade(steps, false), leftSnapshot(steps))
}

// leftOver says what the steps of a run that has ended well may have left of
// what was only needed on the way.
func leftOver(steps []journal.Step) string {
	return cmp.Or(leftStaged(steps), leftMade(steps, true), leftSnapshot(steps))
}

// SourceStopped tells whether a run has stopped machines at its source that
// have not been started again.
func (e *Engine) SourceStopped(ctx context.Context, id string) (bool, error) {
	steps, err := e.Journal.Steps(ctx, id)
	if err != nil {
		return false, err
	}
	n, err := stoppedBy(steps)
	if err != nil {
		return false, fmt.Errorf("run %s: %w", id, err)
	}
	return n > 0, nil
}

// stoppedBy is how many machines the steps of a run have stopped at its source and
// not started again.
func stoppedBy(steps []journal.Step) (int, error) {
	stopped := 0
	for _, s := range steps {
		if Step(s.Name) != StepQuiesce {
			continue
		}
		var n quiesceNotes
		if len(s.Notes) > 0 {
			if err := json.Unmarshal(s.Notes, &n); err != nil {
				return 0, err
			}
		}
		if stopped = len(n.Stopped); s.State == journal.Undone {
			stopped = 0
		}
	}
	return stopped, nil
}

// leftStopped says whether a run has left machines stopped at its source, empty for
// no.
func leftStopped(steps []journal.Step) string {
	switch n, err := stoppedBy(steps); {
	case err != nil || n == 0:
		return ""
	case n == 1:
		return "stop of a machine at the source, which is started again"
	default:
		return fmt.Sprintf("stop of %d machines at the source, which are started again", n)
	}
}

// clear removes what a run that has ended well has left of what was only needed
// on the way.
func (e *Engine) clear(ctx context.Context, id string) error {
	steps, err := e.Journal.Steps(ctx, id)
	if err != nil {
		return err
	}
	if leftStaged(steps) != "" {
		if err := e.unstage(ctx, id); err != nil {
			return err
		}
	}
	if leftMade(steps, true) == "" && leftSnapshot(steps) == "" {
		return nil
	}
	r, _, err := e.takeAny(ctx, id)
	if err != nil {
		return err
	}
	defer r.unlock()
	defer r.closeEndpoints()
	return errors.Join(r.unmake(ctx, func(_ string, m made) bool { return m.Temporary }), r.leaveSnapshot(ctx))
}

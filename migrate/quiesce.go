package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
)

// quiesce stops the machines that run at the source: export wants them
// stopped. Those it stopped are started again when the run is undone.
func (r *run) quiesce(ctx context.Context) error {
	var n quiesceNotes
	if err := r.notes(StepQuiesce, &n); err != nil {
		return err
	}
	r.closeSnapshot(ctx)
	if err := r.takesDelta(ctx); err != nil {
		return err
	}
	if !r.begun(StepQuiesce) {
		var err error
		if n.Base, err = r.takeBase(ctx); err != nil {
			return err
		}
	}
	if err := r.begin(ctx, StepQuiesce, n, nil); err != nil {
		return err
	}
	for _, m := range r.Shape.Machines {
		if r.Warm {
			// Long after the plan: one may have been started, or stopped.
			var err error
			if m.State, err = r.powerOf(ctx, m.ID); err != nil {
				return at(StepQuiesce, Source, m.Name, err)
			}
		}
		if !runs(m.State) || r.Quiesce == QuiesceRefuse {
			continue
		}
		if err := r.stopFor(ctx, m, &n.Stopped, func() error { return r.note(ctx, StepQuiesce, n) }); err != nil {
			return err
		}
	}
	return r.end(ctx, StepQuiesce, journal.Ended, n)
}

// stopFor notes a machine before it is stopped, so that it is started again.
func (r *run) stopFor(ctx context.Context, m MachineShape, stopped *[]string, note func() error) error {
	if !slices.Contains(*stopped, m.ID) {
		*stopped = append(*stopped, m.ID)
		if err := note(); err != nil {
			return err
		}
	}
	return at(StepQuiesce, Source, m.Name, r.stopMachine(ctx, m))
}

// errNotInTime: a machine that was asked to stop still runs.
var errNotInTime = errors.New("did not stop in time")

// stopMachine asks a machine to stop, and switches it off when it does not in
// time, or cannot be asked, and that is the policy.
func (r *run) stopMachine(ctx context.Context, m MachineShape) error {
	err := r.stopWithin(ctx, m, false)
	if err == nil || ctx.Err() != nil || r.Quiesce != QuiesceForce && !errors.Is(err, errNotInTime) {
		return err
	}
	if r.Quiesce != QuiesceForce {
		return refuse(StepQuiesce, Source, m.Name, err, "--quiesce force switches machines off that do not stop; --stop-timeout gives them longer")
	}
	return r.stopWithin(ctx, m, true)
}

// switchOff is what a machine that is switched off has at least: how long its
// guest was given says nothing of that.
const switchOff = time.Minute

func (r *run) stopWithin(ctx context.Context, m MachineShape, force bool) error {
	limit := r.StopTimeout
	if limit <= 0 {
		limit = r.engine.stopTimeout()
	}
	if force {
		limit = max(limit, switchOff)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: it had %s", errNotInTime, limit))
	defer cancel()
	stop := &cimi.Action{Action: cimi.ActionStop}
	if force {
		stop.Force = cimi.Bool(true)
	}
	acc, err := r.src.Provider.Invoke(ctx, m.ID, stop)
	if err == nil {
		if _, err = follow(ctx, r.src.Provider, acc, nil); errors.Is(err, cimi.ErrNoJob) {
			err = nil
		}
	}
	if err != nil && !cimi.IsConflict(err) {
		return inTime(ctx, err)
	}
	began, told := time.Now(), time.Now()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		if time.Since(told) > quiet {
			told = time.Now()
			r.wait("for machine "+m.Name+" to stop", began)
		}
		state, err := r.powerOf(ctx, m.ID)
		if err != nil {
			return inTime(ctx, err)
		}
		if !runs(state) && state != cimi.StateStopping {
			return nil
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// inTime is the error, or that time has run out.
func inTime(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (r *run) powerOf(ctx context.Context, machine string) (string, error) {
	res, err := r.src.Provider.Get(ctx, machine, cimi.ReadOptions{})
	if err != nil {
		return "", err
	}
	state, _ := cimi.Value(res, "state").(string)
	return state, nil
}

// stillAtRest refuses to go on with a run whose machines have been started
// since, whether or not they run still: what was copied of them is out of date.
func (r *run) stillAtRest(ctx context.Context) error { return r.atRest(ctx, false) }

// neverRan is stillAtRest when all is copied: a source that is gone by now takes
// the copy, which may be all that is left, not with it. One that waited in
// another place may not even be reached any more.
func (r *run) neverRan(ctx context.Context) error {
	if r.Warm || r.done(StepStage) {
		return nil
	}
	return r.atRest(ctx, true)
}

func (r *run) atRest(ctx context.Context, mayBeGone bool) error {
	for _, m := range r.Shape.Machines {
		if r.Quiesce == QuiesceRefuse && runs(m.State) {
			continue // it was exported as it ran
		}
		state, err := r.powerOf(ctx, m.ID)
		if cimi.IsNotFound(err) && mayBeGone {
			continue
		}
		if err != nil && !cimi.IsNotFound(err) {
			return at(StepExport, Source, m.Name, err)
		}
		if err != nil || runs(state) {
			what := "machine " + m.Name + " runs, and was at rest for the move"
			if err != nil {
				what = "machine " + m.Name + " is gone"
			}
			return refuse(StepExport, Source, r.System, fmt.Errorf("%w: %s", ErrSourceChanged, what), fmt.Sprintf("cimimove rollback %s, then begin a new run", r.id))
		}
	}
	return r.unwritten(ctx)
}

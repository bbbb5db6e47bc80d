package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cimimove/cimimove/migrate/journal"
)

// take is takeAny for a run with something left to do; of one that has ended
// it gives only the Report.
func (e *Engine) take(ctx context.Context, id string) (*run, *Report, error) {
	row, err := e.Journal.Run(ctx, id)
	if err != nil {
		return nil, nil, &Error{Class: ClassUsage, Object: id, Err: err, Advice: "cimimove status lists the runs"}
	}
	var r *run
	if !row.State.Ended() {
		if r, row, err = e.takeAny(ctx, id); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case row.State.Ended():
		// It may have ended between the look and the lock.
		if r != nil {
			r.closeEndpoints()
			r.unlock()
		}
		rep, err := decodeReport(row)
		if err == nil {
			err = ending(row)
		}
		return nil, rep, err
	case row.State == journal.Failed:
		r.closeEndpoints()
		r.unlock()
		return nil, nil, refuse("", "", "run "+id, ErrFailed, "begin a new one; cimimove gc removes what it may have left")
	}
	return r, nil, nil
}

// ending is what a run that has ended says again to who would go on with it: only
// what is done, and verified as was asked, is no error.
func ending(row *journal.Run) error {
	if row.State == journal.RolledBack {
		return refuse("", "", "run "+row.ID, ErrRolledBack, "begin a new one")
	}
	f := &Failure{}
	if row.State != journal.Done || len(row.Error) == 0 {
		return nil
	}
	if err := json.Unmarshal(row.Error, f); err != nil || Class(f.Code) != ClassUnverified {
		return err
	}
	return &Error{Step: StepVerify, Side: Side(f.Side), Object: f.Object, Class: ClassUnverified, Err: errors.New(f.inner()), Advice: f.Hint}
}

// takeAny reads a run from the journal, locks it and opens its clouds.
func (e *Engine) takeAny(ctx context.Context, id string) (*run, *journal.Run, error) {
	row, err := e.Journal.Run(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	rec := &record{}
	if err := json.Unmarshal(row.Plan, rec); err != nil || rec.Version != recordVersion {
		return nil, nil, fmt.Errorf("run %s: its plan cannot be read by this program (version %d): %w", id, rec.Version, also(err, errors.ErrUnsupported))
	}
	if e.Journal.Shared() {
		// Another machine may have begun it, which is reached otherwise.
		rec.Relay = e.Relay
	}
	r := &run{record: rec, engine: e, id: id, steps: map[Step]*journal.Step{}}
	if err := r.lock(rec.systemLock(row.Source)); err != nil {
		return nil, nil, err
	}
	ok := false
	defer func() {
		if !ok {
			r.closeEndpoints()
			r.unlock()
		}
	}()
	if err := r.lock(id); err != nil {
		return nil, nil, err
	}
	if row, err = e.Journal.Run(ctx, id); err != nil {
		return nil, nil, err
	}
	if err := r.readSteps(ctx); err != nil {
		return nil, nil, err
	}
	for _, side := range []struct {
		name string
		side Side
		to   *Endpoint
	}{{row.Source, Source, &r.src}, {row.Destination, Destination, &r.dst}} {
		if *side.to, err = e.Dial(ctx, side.name, side.side); err != nil {
			err = at("", side.side, side.name, err)
			if side.side == Source && r.done(StepStage) {
				*side.to = Endpoint{Name: side.name, Provider: absent{err}}
				continue
			}
			return nil, nil, err
		}
	}
	ok = true
	return r, row, nil
}

// readSteps reads how far the run has come.
func (r *run) readSteps(ctx context.Context) error {
	steps, err := r.engine.Journal.Steps(ctx, r.id)
	if err != nil {
		return err
	}
	for i := range steps {
		r.steps[Step(steps[i].Name)] = &steps[i]
	}
	return nil
}

// lock takes a lock of the journal. That it is held is said without its name, which
// is for no reader.
func (e *Engine) lock(name string) (*journal.Lock, error) {
	l, err := e.Journal.Lock(name)
	if errors.Is(err, journal.ErrLocked) {
		return nil, journal.ErrLocked
	}
	return l, err
}

func (r *run) lock(name string) error {
	l, err := r.engine.lock(name)
	if err != nil {
		return &Error{Class: ClassRefused, Object: "run " + r.id, Err: err, Advice: "cimimove status " + r.id + " shows it"}
	}
	r.locks = append(r.locks, l)
	return nil
}

func (r *run) unlock() {
	for _, l := range r.locks {
		l.Unlock()
	}
	r.locks = nil
}

func (r *run) closeEndpoints() {
	for _, e := range []Endpoint{r.src, r.dst} {
		if e.Provider != nil && !e.Shared {
			e.Provider.Close()
		}
	}
}

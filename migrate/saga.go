package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/hook"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf"
)

// run is one migration in progress in this process. Its steps are functions
// that can be called again after any interruption: what they need to know is
// in the notes that the journal keeps of them.
type run struct {
	*record
	engine   *Engine
	id       string
	src, dst Endpoint
	values   map[string]string // of properties
	hooks    []hook.Hook
	feed     *feed
	moved    atomic.Int64           // bytes that came from either cloud
	steps    map[Step]*journal.Step // the latest of each name
	content  cimi.Content           // of the source's export, when open
	findings []ovf.Finding
	locks    []*journal.Lock
	halted   bool // the package is staged, and no more was asked for
}

// ErrFailed: the run has failed for good, and was undone.
var ErrFailed = errors.New("the run has failed and cannot be resumed")

// ErrRolledBack: the run was undone, because somebody asked for it.
var ErrRolledBack = errors.New("the run was rolled back and cannot be resumed")

// Start carries out a plan. The Report is there as soon as there is a run,
// together with an error too. A Plan with Skip gives a Report that is not
// verified, without error.
func (e *Engine) Start(ctx context.Context, p *Plan) (*Report, error) {
	return e.StartItem(ctx, p, nil)
}

// StartItem is Start for an item of a runbook, or for none.
func (e *Engine) StartItem(ctx context.Context, p *Plan, item *journal.Item) (*Report, error) {
	if err := p.verdict(); err != nil {
		return nil, err
	}
	rec := p.record()
	if p.Skip {
		return e.skip(ctx, p, rec, item)
	}
	guard, err := e.lock(rec.systemLock(p.Source))
	if err != nil {
		return nil, refuse(StepPlan, Source, p.System, err, "another run moves this System; see cimimove status")
	}
	id, err := e.Journal.Create(ctx, journal.Run{State: journal.Running, System: p.System, Source: p.Source, Destination: p.Destination,
		Via: string(p.Via), Plan: rec.encode(), Total: p.Bytes}, item)
	if err != nil {
		guard.Unlock()
		return nil, err
	}
	r := &run{record: &rec, engine: e, id: id, src: p.src, dst: p.dst, values: p.opts.Properties, hooks: p.opts.Hooks,
		steps: map[Step]*journal.Step{}, locks: []*journal.Lock{guard}}
	return r.drive(ctx)
}

// systemLock is held by who moves the System; source is what the user calls its
// cloud.
func (r record) systemLock(source string) string {
	return "system\x1f" + cmp.Or(r.Location, source) + "\x1f" + r.SystemID
}

func (e *Engine) skip(ctx context.Context, p *Plan, rec record, item *journal.Item) (*Report, error) {
	id, err := e.Journal.Create(ctx, journal.Run{State: journal.Skipped, System: p.System, Source: p.Source, Destination: p.Destination,
		Via: string(p.Via), Plan: rec.encode()}, item)
	if err != nil {
		return nil, err
	}
	rep := &Report{Run: id, State: string(journal.Skipped), Source: p.Source, Destination: p.Destination, System: p.System, Name: p.Name,
		DestinationID: p.before[0], Via: string(p.Via), Steps: []StepReport{}, Disks: []DiskReport{}, Findings: p.Findings}
	return rep, e.Journal.Set(ctx, id, journal.Change{Report: rep.encode()})
}

// ResumeOptions: Properties are values of OVF properties again, for an import
// that has to be begun anew; they were not journaled.
type ResumeOptions struct {
	Properties map[string]string
	// Hooks are those that the run began with; they were not journaled either.
	Hooks []hook.Hook
}

// Resume goes on with a run whose process was interrupted or died. A run that
// is done gives its Report again.
func (e *Engine) Resume(ctx context.Context, id string, o ResumeOptions) (*Report, error) {
	r, rep, err := e.take(ctx, id)
	if r == nil {
		return rep, err
	}
	defer r.closeEndpoints()
	if err := sameHooks("run "+id, r.Hooks, o.Hooks); err != nil {
		r.unlock()
		return nil, err
	}
	r.values, r.hooks = o.Properties, o.Hooks
	return r.drive(ctx)
}

// drive takes the steps that are left and records how it ends.
func (r *run) drive(ctx context.Context) (rep *Report, err error) {
	r.feed = newFeed(r.engine.Events)
	defer r.feed.close()
	defer r.unlock()
	if len(r.locks) < 2 {
		if err := r.lock(r.id); err != nil {
			return nil, err
		}
	}
	defer func() {
		if r.content != nil {
			r.content.Close()
		}
	}()
	ctx, done := r.whileOurs(ctx)
	defer done()
	r.findings = append(r.findings, r.Findings...)
	r.engine.observer().RunBegan(r.src.Name, r.dst.Name)
	defer func() {
		state := string(journal.Failed)
		if rep != nil {
			state = rep.State
		}
		r.engine.observer().RunEnded(r.src.Name, r.dst.Name, state, ClassOf(err).String())
	}()
	if err := r.set(ctx, journal.Change{State: journal.Running, Error: json.RawMessage("null")}); err != nil {
		return nil, err
	}
	if err = r.takeSteps(ctx); err != nil {
		if lost(ctx) {
			return nil, &Error{Step: stepOf(err), Object: r.System, Class: ClassInterrupt, Err: journal.ErrLost, Advice: "cimimove status " + r.id + " shows who goes on"}
		}
		err = r.fail(ctx, err)
	}
	if full := (*journal.FullError)(nil); errors.As(err, &full) {
		return nil, err // nothing more can be recorded now
	}
	rep, repErr := r.report(context.WithoutCancel(ctx), err)
	if repErr == nil {
		repErr = rep.sign(r.engine.Signer)
	}
	if repErr != nil {
		return nil, also(err, repErr)
	}
	change := journal.Change{Report: rep.encode(), State: journal.State(rep.State)}
	if err != nil {
		change.Error = FailureOf(err).Encode()
	}
	if setErr := r.set(ctx, change); setErr != nil {
		return rep, also(err, setErr)
	}
	return rep, err
}

func (r *run) takeSteps(ctx context.Context) error {
	for _, s := range r.order() {
		if s.step == StepStage && !r.staged() {
			continue
		}
		if err := ctx.Err(); err != nil && !r.done(s.step) {
			return &Error{Step: s.step, Class: ClassInterrupt, Err: context.Cause(ctx), Advice: r.resumeAdvice()}
		}
		if err := r.takeStep(ctx, s.step, s.take); err != nil {
			return at(s.step, "", r.System, err)
		}
		if s.step == StepStage && r.engine.StageOnly {
			r.halted = true
			return nil
		}
	}
	return nil
}

type sagaStep struct {
	step Step
	take func(context.Context) error
}

// order are the steps of the run. A warm one stops the machines when all is
// copied, and sends what has changed.
func (r *run) order() []sagaStep {
	if r.Warm {
		return []sagaStep{
			{StepDiscover, r.discover}, {StepPlan, r.recordPlan}, {StepExport, r.export}, {StepTransfer, r.admitted(r.transfer)},
			{StepQuiesce, r.quiesce}, {StepDelta, r.admitted(r.delta)}, {StepVerify, r.verify}, {StepStart, r.start}, {StepFinish, r.finish},
		}
	}
	return []sagaStep{
		{StepDiscover, r.discover}, {StepPlan, r.recordPlan}, {StepQuiesce, r.quiesce}, {StepExport, r.export},
		{StepStage, r.admitted(r.stage)}, {StepTransfer, r.admitted(r.transfer)}, {StepVerify, r.verify}, {StepStart, r.start}, {StepFinish, r.finish},
	}
}

// admitted waits until both endpoints have room for one transfer more.
func (r *run) admitted(transfer func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		inside, leave, err := r.engine.Limits.enter(ctx, r.engine.Journal, func(endpoint string) {
			r.wait("for other transfers of "+endpoint, time.Now())
		}, r.src, r.dst)
		if err != nil {
			return &Error{Step: StepTransfer, Object: r.System, Class: ClassInterrupt, Err: err}
		}
		defer leave()
		if err = transfer(inside); err != nil && errors.Is(context.Cause(inside), errNoSlot) {
			return &Error{Step: StepTransfer, Object: r.System, Class: ClassInterrupt, Err: errNoSlot, Advice: r.resumeAdvice()}
		}
		return err
	}
}

// takeStep takes a step that is not done yet, between its hooks.
func (r *run) takeStep(ctx context.Context, s Step, take func(context.Context) error) error {
	var outcome error
	if !r.done(s) {
		if err := r.runHooks(ctx, "before", s); err != nil {
			return err
		}
		r.feed.emit(Event{Run: r.id, System: r.System, Phase: string(s)})
		if outcome = r.timed(s, func() error { return take(ctx) }); !r.done(s) {
			return outcome
		}
	}
	// A step can be done and still have something to say: that what it did
	// could not be proved.
	return also(outcome, r.runHooks(ctx, "after", s))
}

func (r *run) resumeAdvice() string {
	advice := fmt.Sprintf("cimimove resume %s goes on; cimimove rollback %s undoes", r.id, r.id)
	var q quiesceNotes
	if r.notes(StepQuiesce, &q) == nil && len(q.Stopped) > 0 && !r.done(StepFinish) {
		advice += fmt.Sprintf(" and starts the %d machines again that stay stopped at the source until then", len(q.Stopped))
	}
	return advice
}

// fail decides what a failure leaves behind, and gives the error to show.
func (r *run) fail(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		// Whatever the work says of it: what is cut off looks broken, and is gone
		// on with, not undone.
		return &Error{Step: stepOf(err), Object: r.System, Class: ClassInterrupt, Err: context.Cause(ctx), Advice: r.resumeAdvice()}
	}
	if errors.Is(err, errNoSlot) {
		return err // what has arrived is gone on with
	}
	var full *journal.FullError
	if errors.As(err, &full) {
		// What cannot be recorded is not undone either.
		return &Error{Step: stepOf(err), Object: r.System, Class: ClassRefused, Err: full, Advice: "make room in " + full.Dir + "; then " + r.resumeAdvice()}
	}
	class := ClassOf(err)
	if class == ClassTransfer {
		var e *Error
		if errors.As(err, &e) && e.Advice == "" {
			e.Advice = r.resumeAdvice()
		}
		return err
	}
	// What is verified and started stays, even if tidying up fails: a System
	// that it replaced may be deleted already.
	if class == ClassUnverified || r.OnFailure == FailureKeep || r.done(StepStart) {
		return err
	}
	// The clean-up must not end with the context that ended the work.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if undoErr := r.undo(ctx); undoErr != nil {
		return also(err, undoErr)
	}
	return err
}

// cleanupTimeout bounds what is done after a failure or an interruption.
const cleanupTimeout = 2 * time.Minute

func stepOf(err error) Step {
	var e *Error
	if errors.As(err, &e) {
		return e.Step
	}
	return ""
}

// done tells whether the latest step of a name has ended well.
func (r *run) done(s Step) bool { return r.steps[s] != nil && r.steps[s].State == journal.Ended }

// begun tells whether the latest step of a name was begun and not ended.
func (r *run) begun(s Step) bool { return r.steps[s] != nil && r.steps[s].State == journal.Begun }

// notes reads what a step left; what was never written stays zero.
func (r *run) notes(s Step, into any) error {
	if st := r.steps[s]; st != nil && len(st.Notes) > 0 {
		return json.Unmarshal(st.Notes, into)
	}
	return nil
}

// begin records that a step is about to be taken; one that is begun already is
// gone on with.
func (r *run) begin(ctx context.Context, s Step, notes, undo any) error {
	if r.begun(s) {
		return nil
	}
	seq, err := r.engine.Journal.Begin(ctx, r.id, string(s), notes, undo)
	if err != nil {
		return err
	}
	b, _ := json.Marshal(notes)
	r.steps[s] = &journal.Step{Seq: seq, Name: string(s), State: journal.Begun, Started: r.engine.Journal.Now().UTC(), Notes: b}
	return nil
}

func (r *run) note(ctx context.Context, s Step, notes any) error {
	b, err := json.Marshal(notes)
	if err != nil {
		return err
	}
	r.steps[s].Notes = b
	return r.engine.Journal.Note(ctx, r.id, r.steps[s].Seq, string(s), notes)
}

func (r *run) end(ctx context.Context, s Step, state journal.StepState, notes any) error {
	if notes != nil {
		b, err := json.Marshal(notes)
		if err != nil {
			return err
		}
		r.steps[s].Notes = b
	}
	r.steps[s].State, r.steps[s].Ended = state, r.engine.Journal.Now().UTC()
	return r.engine.Journal.End(ctx, r.id, r.steps[s].Seq, string(s), state, notes)
}

func (r *run) set(ctx context.Context, c journal.Change) error {
	return r.engine.Journal.Set(ctx, r.id, c)
}

// simple takes a step that needs no notes while it is taken.
func (r *run) simple(ctx context.Context, s Step, notes any) error {
	if err := r.begin(ctx, s, nil, nil); err != nil {
		return err
	}
	return r.end(ctx, s, journal.Ended, notes)
}

func (r *run) discover(ctx context.Context) error {
	return r.simple(ctx, StepDiscover, map[string]string{"system": r.SystemID})
}

func (r *run) recordPlan(ctx context.Context) error {
	return r.simple(ctx, StepPlan, map[string]string{"via": string(r.Via), "name": r.Name})
}

// whileOurs ends the context when another worker takes the run over.
func (r *run) whileOurs(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	for _, l := range r.locks {
		if l.Lost() == nil {
			continue
		}
		go func() {
			select {
			case <-l.Lost():
				cancel(journal.ErrLost)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// lost tells whether another worker has taken the run over: nothing of it is to
// be touched any more, at either cloud.
func lost(ctx context.Context) bool { return errors.Is(context.Cause(ctx), journal.ErrLost) }

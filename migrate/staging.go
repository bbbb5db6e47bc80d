package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/relay"
	"github.com/cimimove/cimimove/migrate/stage"
)

// stageNotes are what the first half of a staged run leaves: where the package
// is, and the digests of the disks as they came from the source.
type stageNotes struct {
	// State goes on with the writing (package stage).
	State string              `json:"state,omitempty"`
	Size  int64               `json:"size"`
	Read  int64               `json:"read"`
	Disks map[string]diskNote `json:"disks,omitempty"`
	// Removed: the package is not in the place any more.
	Removed bool `json:"removed,omitempty"`
}

// stageUndo is where rollback finds what the step has put somewhere.
type stageUndo struct {
	Place string `json:"place"`
}

func (r *run) staged() bool { return r.Via == ViaStage }

// place opens where the package waits.
func (r *run) place() (stage.Place, error) {
	p, err := stage.Open(r.Stage, r.engine.Objects)
	if err != nil {
		return nil, &Error{Step: StepStage, Object: r.Stage, Err: err}
	}
	return p, nil
}

// stage takes the package from the source to the place where it waits, and
// digests its disks on the way. Begun again, it goes on with what is there.
func (r *run) stage(ctx context.Context) error {
	if err := r.openSource(ctx); err != nil {
		return err
	}
	var n stageNotes
	if err := r.notes(StepStage, &n); err != nil {
		return err
	}
	n.Size = r.content.Size()
	place, err := r.place()
	if err != nil {
		return err
	}
	defer place.Close()
	if err := r.roomFor(ctx, place, n); err != nil {
		return err
	}
	if err := r.begin(ctx, StepStage, n, stageUndo{Place: r.Stage}); err != nil {
		return err
	}
	t := &transfer{run: r, notes: transferNotes{Disks: n.Disks}, phase: StepStage}
	if err := t.index(ctx); err != nil {
		return fetching(StepStage, Source, r.System, err)
	}
	t.tap = relay.NewTap(context.WithoutCancel(ctx), r.content, t.disks, relay.TapOptions{Blocks: t.blocks, Progress: t.progress})
	err = t.copyTo(ctx, place, &n)
	t.tap.Close()
	n.Read += t.tap.Read()
	if err == nil {
		if err = t.digests(ctx); err != nil {
			err = fetching(StepStage, Source, r.System, err)
		}
	}
	n.Read += t.notes.Read // of what was digested later
	n.Disks = t.notes.Disks
	if err == nil && !r.Warm {
		// What waits is not compared with the source later, which may run again.
		err = r.atRest(ctx, true)
	}
	if err != nil {
		return also(err, r.note(context.WithoutCancel(ctx), StepStage, n))
	}
	if err := r.content.Close(); err != nil {
		return err
	}
	r.content = nil
	return r.end(ctx, StepStage, journal.Ended, n)
}

// roomFor refuses what does not fit, before anything is written.
func (r *run) roomFor(ctx context.Context, place stage.Place, n stageNotes) error {
	free, err := place.Free(ctx)
	if err != nil {
		return fetching(StepStage, "", r.Stage, err)
	}
	if n.State == "" && free >= 0 && free < n.Size {
		return refuse(StepStage, "", r.Stage, fmt.Errorf("has room for %d bytes, the package has %d", free, n.Size), "make room, or begin a new run with another --stage")
	}
	return nil
}

// copyTo writes the package to its place.
func (t *transfer) copyTo(ctx context.Context, place stage.Place, n *stageNotes) error {
	state := n.State
	if !t.content.Ranged() {
		state = "" // such a source cannot go on in the middle
	}
	w, err := place.Write(ctx, t.id, n.Size, state)
	if err != nil {
		return t.storing(ctx, err)
	}
	defer w.Close()
	out := &durable{ctx: ctx, t: t, w: w, n: n}
	if err := out.sync(); err != nil {
		return err
	}
	if off := w.Offset(); off > 0 {
		r := relay.Reader(ctx, t.tap, off)
		defer r.Close()
		_, err = io.CopyBuffer(struct{ io.Writer }{out}, r, make([]byte, 1<<20))
	} else {
		// From its start, the digests of its manifest are checked as it passes.
		err = relay.Copy(ctx, out, t.tap, t.System, nil)
	}
	if err != nil {
		if out.err == nil && ctx.Err() == nil {
			return fetching(StepStage, Source, t.System, err)
		}
		return t.storing(ctx, err)
	}
	if err := out.sync(); err != nil {
		return err
	}
	return t.storing(ctx, w.Finish(ctx))
}

// storing says that an error is the place's. What may go well later is
// resumable.
func (t *transfer) storing(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &Error{Step: StepStage, Object: t.System, Class: ClassInterrupt, Err: context.Cause(ctx)}
	}
	e := &Error{Step: StepStage, Object: t.Stage, Err: err, Advice: t.resumeAdvice()}
	switch c := ClassOf(err); {
	case c == ClassOther, c == ClassRemote, c == ClassUsage, full(err):
		e.Class = ClassTransfer // a full disk or a missing bucket can be helped
	}
	return e
}

// syncEvery is how many bytes are written between two looks at what is durable.
const syncEvery = 64 << 20

// durable journals from time to time how far writing has come.
type durable struct {
	ctx  context.Context
	t    *transfer
	w    stage.Writing
	n    *stageNotes
	some int64
	err  error // the place's
}

func (d *durable) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err != nil {
		d.err = err
		return n, err
	}
	if d.some += int64(n); d.some >= syncEvery {
		d.some = 0
		d.err = d.sync()
	}
	return n, d.err
}

func (d *durable) sync() error {
	state, err := d.w.Sync(d.ctx)
	if err != nil {
		return d.t.storing(d.ctx, err)
	}
	if state == d.n.State {
		return nil
	}
	d.n.State = state
	return d.t.note(d.ctx, StepStage, d.n)
}

// openStaged opens the package that waits, in the place of the source's.
func (r *run) openStaged(ctx context.Context) error {
	var n stageNotes
	if err := r.notes(StepStage, &n); err != nil {
		return err
	}
	place, err := r.place()
	if err != nil {
		return err
	}
	pkg, err := place.Open(ctx, r.id)
	if err != nil {
		err = errors.Join(err, place.Close())
		if errors.Is(err, fs.ErrNotExist) {
			return refuse(StepTransfer, "", r.Stage, fmt.Errorf("the package that was put there is gone: %w", err), fmt.Sprintf("cimimove rollback %s, then begin a new run", r.id))
		}
		return fetching(StepTransfer, "", r.Stage, err)
	}
	if n.Size >= 0 && pkg.Size() != n.Size {
		err := fmt.Errorf("the package that waits there has %d bytes, %d were put there", pkg.Size(), n.Size)
		return &Error{Step: StepTransfer, Object: r.Stage, Class: ClassIntegrity, Err: errors.Join(err, pkg.Close(), place.Close())}
	}
	r.content = r.metered(ctx, stagedContent{pkg, place})
	return nil
}

// stagedContent is a package that waits, as what a cloud offers.
type stagedContent struct {
	stage.Package
	place stage.Place
}

func (stagedContent) Ranged() bool    { return true }
func (stagedContent) Version() string { return "" }
func (c stagedContent) Close() error  { return errors.Join(c.Package.Close(), c.place.Close()) }

var _ cimi.Content = stagedContent{}

// leaveStage removes the package that waited, when it is needed no more.
func (r *run) leaveStage(ctx context.Context) error {
	st := r.steps[StepStage]
	if st == nil {
		return nil
	}
	var n stageNotes
	if err := r.notes(StepStage, &n); err != nil || n.Removed {
		return err
	}
	place, err := r.place()
	if err != nil {
		return err
	}
	defer place.Close()
	if err := place.Remove(ctx, r.id, n.State); err != nil {
		return &Error{Step: StepStage, Object: r.Stage, Err: err}
	}
	n.Removed = true
	return r.note(ctx, StepStage, n)
}

// leftStaged says whether the steps of a run have left a package where it
// waited, empty for no.
func leftStaged(steps []journal.Step) string {
	for i := len(steps) - 1; i >= 0; i-- {
		if Step(steps[i].Name) != StepStage {
			continue
		}
		var n stageNotes
		if len(steps[i].Notes) > 0 && json.Unmarshal(steps[i].Notes, &n) != nil || n.Removed {
			return ""
		}
		return "package in its stage"
	}
	return ""
}

// unstage removes what a run has left in its stage, and nothing else of it.
func (e *Engine) unstage(ctx context.Context, id string) error {
	row, err := e.Journal.Run(ctx, id)
	if err != nil {
		return err
	}
	rec := &record{}
	if err := json.Unmarshal(row.Plan, rec); err != nil {
		return fmt.Errorf("run %s: its plan cannot be read: %w", id, err)
	}
	r := &run{record: rec, engine: e, id: id, steps: map[Step]*journal.Step{}}
	if err := r.lock(id); err != nil {
		return err
	}
	defer r.unlock()
	if err := r.readSteps(ctx); err != nil {
		return err
	}
	return r.leaveStage(ctx)
}

// fromStage points an import at the place where the package waits, where that
// gives links and the destination gets there: then nothing passes through us.
func (t *transfer) fromStage(ctx context.Context, a *cimi.Action) bool {
	content, ok := staged(t.content)
	if !ok {
		return false
	}
	place, ok := content.place.(stage.Linker)
	if !ok {
		return false
	}
	link, err := place.Link(ctx, t.id)
	if err != nil {
		return false
	}
	w := &ways{Plan: &Plan{opts: Options{Destination: t.dst}}}
	if err := w.look(ctx); err != nil || w.reach == "" {
		return false
	}
	if answer, err := w.asks(ctx, link); err != nil || !answer.Reachable {
		return false
	}
	a.Source, t.link, t.notes.Linked = link, link, true
	return true
}

// staged finds the package that waits in what is counted and held back.
func staged(c cimi.Content) (stagedContent, bool) {
	if m, ok := c.(*metered); ok {
		c = m.Content
	}
	s, ok := c.(stagedContent)
	return s, ok
}

package migrate

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/relay"
)

// ErrStalled: nothing has moved for too long.
var ErrStalled = errors.New("nothing has moved")

// transfer takes the package to the destination: it serves it (or hands it
// over), has it imported, and digests what passes. Begun again, it goes on with
// an import that is alive, and else begins a new one when nothing is left of
// the old.
func (r *run) transfer(ctx context.Context) error {
	var tn transferNotes
	if err := r.notes(StepTransfer, &tn); err != nil {
		return err
	}
	if r.Warm && r.done(StepImport) && r.begun(StepTransfer) {
		// Its digests are taken when the machines are at rest.
		return r.end(ctx, StepTransfer, journal.Ended, tn)
	}
	if err := r.openSource(ctx); err != nil {
		return err
	}
	if err := r.begin(ctx, StepTransfer, tn, nil); err != nil {
		return err
	}
	t := &transfer{run: r, notes: tn, fresh: !r.begun(StepImport) && !r.done(StepImport)}
	if err := t.index(ctx); err != nil {
		return fetching(StepTransfer, Source, r.System, err)
	}
	follow := t.disks
	if t.x != nil {
		follow = t.x.Disks // those that were digested before as well
	}
	tap := relay.NewTap(context.WithoutCancel(ctx), r.content, t.disks,
		relay.TapOptions{Blocks: t.blocks, Progress: t.progress, Taken: &t.taken, Follow: follow})
	t.tap = tap
	err := t.importing(ctx)
	tap.Close()
	if !r.staged() {
		t.notes.Read += tap.Read()
	}
	if err != nil {
		return also(err, r.note(context.WithoutCancel(ctx), StepTransfer, t.notes))
	}
	if err := t.digests(ctx); err != nil {
		return fetching(StepTransfer, Source, r.System, err)
	}
	if size := r.content.Size(); size > 0 {
		if err := r.engine.Journal.Progress(ctx, r.id, size, size); err != nil {
			return err
		}
	}
	return r.end(ctx, StepTransfer, journal.Ended, t.notes)
}

// transfer is one pass of a package.
type transfer struct {
	*run
	notes transferNotes
	x     *relay.Index // nil when the source allows one sequential pass only
	disks []relay.Disk
	tap   *relay.Tap
	taken relay.Taken
	// streamed: all of a source that passes once has passed.
	streamed atomic.Bool
	fresh    bool   // the import is begun by this process
	phase    Step   // of progress; empty: transfer
	link     string // a secret: where the destination fetches from, when not from us
	// images are those of the disks, on the way by resources.
	images []imageNote
	// server is nil when the package is handed over in process.
	server *relay.Server
	saved  atomic.Int64 // time of the last progress in the journal
}

// index finds the disks in the package, and how much of each is known.
func (t *transfer) index(ctx context.Context) error {
	if t.Via == ViaResources {
		return t.indexImages(ctx)
	}
	if !t.content.Ranged() || t.content.Size() < 0 {
		return nil
	}
	x, err := relay.ReadIndex(ctx, t.content, t.System)
	if err != nil {
		return err
	}
	t.x = x
	if t.direct() || t.done(StepStage) {
		return nil // nothing passes, or it was digested when it was staged
	}
	for _, d := range x.Disks {
		if d.Known, err = t.engine.Journal.KnownUpTo(ctx, t.id, d.ID); err != nil {
			return err
		}
		t.disks = append(t.disks, d)
	}
	return nil
}

// blocks journals digests as they become known.
func (t *transfer) blocks(disk string, upto int64, blocks []relay.Block) error {
	rows := make([]journal.Block, len(blocks))
	for i, b := range blocks {
		rows[i] = journal.Block{Index: b.Index, Sum: b.Sum}
	}
	return t.engine.Journal.AddBlocks(context.Background(), t.id, disk, upto, rows)
}

// progressInterval is how often the journal is told of progress, for status.
const progressInterval = time.Second

func (t *transfer) progress(disk string, done, total int64) {
	phase := t.phase
	def(&phase, StepTransfer)
	t.feed.emit(Event{Run: t.id, System: t.System, Disk: disk, Phase: string(phase), Done: done, Total: total})
	now, last := time.Now().UnixNano(), t.saved.Load()
	if now-last > int64(progressInterval) && t.saved.CompareAndSwap(last, now) {
		// Progress is for people: a failure to record it stops nothing, and the
		// next write of the journal reports what is wrong with it.
		_ = t.engine.Journal.Progress(context.Background(), t.id, t.tap.Read(), t.content.Size())
	}
}

// importing sees to it that the destination has imported the package.
func (t *transfer) importing(ctx context.Context) error {
	if t.done(StepImport) {
		return nil
	}
	var in importNotes
	if err := t.run.notes(StepImport, &in); err != nil {
		return err
	}
	if t.Assembly.apart() {
		return t.assembleParts(ctx)
	}
	if t.begun(StepImport) {
		state, err := t.settle(ctx, &in)
		if err != nil {
			return at(StepImport, Destination, t.dst.Name, err)
		}
		if state == alive && (t.direct() || t.notes.Linked || t.serveAgain(ctx, in)) {
			return t.followImport(ctx, in, &cimi.Accepted{Job: in.Job, Location: in.System})
		}
		if state == imported {
			return t.end(ctx, StepImport, journal.Ended, in)
		}
		if err := t.abandon(ctx, &in); err != nil {
			return at(StepImport, Destination, t.dst.Name, err)
		}
		if err := t.end(ctx, StepImport, journal.Dropped, in); err != nil {
			return err
		}
	}
	if t.Via == ViaResources {
		return t.assemble(ctx)
	}
	return t.importAnew(ctx)
}

// serveAgain offers the package at the address and under the token that the
// destination has; false when that cannot be.
func (t *transfer) serveAgain(ctx context.Context, in importNotes) bool {
	return in.Attempt == t.notes.Attempt && t.serveThere(ctx)
}

// serveThere serves where the destination was told to fetch from; false when
// that cannot be: another process listens there by now, or this machine is not
// the one that the destination reaches by that URL.
func (t *transfer) serveThere(ctx context.Context) bool {
	if t.notes.Listen == "" || t.serve(ctx, t.notes.Listen) != nil {
		return false
	}
	if t.notes.Reach == "" || t.notes.Reach == t.server.Reach() {
		return true
	}
	t.closeServer()
	return false
}

func (t *transfer) serve(ctx context.Context, listen string) error {
	token, err := t.engine.relayToken(ctx, t.id, t.notes.Attempt)
	if err != nil {
		return err
	}
	_, reach, err := relayAddress(t.Relay, t.dst)
	if err != nil {
		return err
	}
	t.server, err = relay.Serve(relay.ServerOptions{Listen: listen, URL: reach, Token: token}, t.offers()...)
	return err
}

// offers are what the destination may fetch: the package, or an image of each
// disk.
func (t *transfer) offers() []relay.Offer {
	if t.Via == ViaResources {
		return t.imageOffers()
	}
	offer := relay.Offer{Name: "package.ova", Version: t.content.Version(), Content: t.tap, Size: t.content.Size()}
	if t.x == nil {
		offer.Content, offer.Stream = nil, t.stream
	}
	return []relay.Offer{offer}
}

// stream copies a source that can be read only once, from its start.
func (t *transfer) stream(ctx context.Context, w io.Writer) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, relay.Ascending(ctx, t.tap), make([]byte, 1<<20))
	t.streamed.Store(err == nil)
	return err
}

// importAnew begins an import and follows it.
func (t *transfer) importAnew(ctx context.Context) error {
	props, err := t.properties()
	if err != nil {
		return err
	}
	t.notes.Attempt++
	action := &cimi.Action{Action: cimi.ActionImport, Common: cimi.Common{Properties: props}}
	hand, inProcess := t.dst.importer()
	inProcess = inProcess && t.x != nil && !t.direct()
	t.notes.Listen, t.notes.Reach, t.notes.Linked = "", "", false
	switch {
	case t.direct():
		if err := t.fromSource(action); err != nil {
			return err
		}
	case !inProcess && t.staged() && t.fromStage(ctx, action):
	case !inProcess:
		listen, _, err := relayAddress(t.Relay, t.dst)
		if err != nil {
			return at(StepTransfer, Destination, t.dst.Name, err)
		}
		if err := t.serve(ctx, listen); err != nil {
			return &Error{Step: StepTransfer, Object: "relay", Err: err}
		}
		defer t.closeServer()
		t.notes.Listen, t.notes.Reach = t.server.Addr(), t.server.Reach()
		action.Source = t.server.URL()
	}
	if err := t.note(ctx, StepTransfer, t.notes); err != nil {
		return err
	}
	_, systems, err := systemsOf(ctx, t.dst)
	if err != nil {
		return at(StepImport, Destination, t.dst.Name, err)
	}
	if err := t.stillFree(ctx, systems); err != nil {
		return err
	}
	in := importNotes{Attempt: t.notes.Attempt, Name: t.Name, Before: t.Before}
	if err := t.begin(ctx, StepImport, in, importUndo{DeleteSystemOf: t.id}); err != nil {
		return err
	}
	invoke := func() (*cimi.Accepted, error) {
		if !inProcess {
			return t.dst.Provider.Invoke(ctx, systems, action)
		}
		pkg, err := relay.OpenAnywhere(context.WithoutCancel(ctx), t.tap, t.content.Version(), t.System)
		if err != nil {
			return nil, fetching(StepTransfer, Source, t.System, err)
		}
		return hand.ImportPackage(ctx, systems, pkg, action)
	}
	acc, err := invoke()
	if cimi.StatusOf(err) == 400 {
		// A cloud may refuse properties that it does not know, as our mark is.
		delete(action.Properties, runProperty)
		acc, err = invoke()
	}
	if t.Unique && cimi.IsConflict(err) {
		// Nothing was begun: what has the name is not ours to remove.
		return also(nameTaken(t.Name, err), t.end(ctx, StepImport, journal.Dropped, in))
	}
	if err != nil {
		return t.importFailed(ctx, in, err)
	}
	in.Job, in.System = acc.Job, acc.Location
	if err := t.note(ctx, StepImport, in); err != nil {
		return err
	}
	return t.followImport(ctx, in, acc)
}

func (t *transfer) closeServer() {
	if t.server != nil {
		t.server.Close()
		t.notes.Written += t.server.Sent()
		t.server = nil
	}
}

// followImport waits for the import's Job and records how it ends.
func (t *transfer) followImport(ctx context.Context, in importNotes, acc *cimi.Accepted) error {
	defer t.closeServer()
	patience := t.engine.stallTimeout()
	if t.direct() || t.notes.Linked || t.Via == ViaResources {
		// A Job tells percents, and one of a large disk takes long; so does what
		// is made of images that are there.
		patience *= jobPatience
	}
	// The watchdog may look once more while the server is being closed.
	server := t.server
	job, err := t.watch(ctx, watching{side: Destination, what: "the import", patience: patience, ending: t.ending,
		count: func() int64 {
			n := t.moved.Load()
			if server != nil {
				n += server.Sent()
			}
			return n
		},
		seen: func(j *cimi.Job) {
			t.feed.emit(Event{Run: t.id, System: t.System, Phase: string(StepImport), Done: cimi.IntValue(j.Progress), Total: 100})
		}}, acc)
	if err != nil {
		return t.importFailed(ctx, in, err)
	}
	if in.System == "" && job != nil {
		if in.System, err = systemOfJob(ctx, t.dst.Provider, job); err != nil {
			return at(StepImport, Destination, t.dst.Name, err)
		}
	}
	if in.System == "" {
		return at(StepImport, Destination, t.dst.Name, errors.New("the import succeeded, but the cloud does not say which System it made"))
	}
	if t.server == nil {
		t.notes.Written += t.tap.Read()
	}
	return t.end(ctx, StepImport, journal.Ended, in)
}

// ending: the destination has what it asked for, and writes it down; no byte is
// to be seen of that.
func (t *transfer) ending() bool {
	return !t.tap.Waiting() && (t.streamed.Load() || t.taken.Ending())
}

// importFailed says which side failed, and leaves nothing at the destination.
func (t *transfer) importFailed(ctx context.Context, in importNotes, cause error) error {
	if t.server != nil {
		cause = mask(cause, t.server.URL(), t.System)
		cause = mask(cause, t.server.Base(), "relay")
	}
	cause = mask(cause, t.link, t.System)
	err := t.blame(ctx, cause)
	if lost(ctx) {
		t.closeServer()
		return err // what is there belongs to the worker that took over
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	// Before anything else, so that the destination does not wait for us.
	t.closeServer()
	if t.OnFailure == FailureKeep && ClassOf(err) != ClassTransfer && ClassOf(err) != ClassInterrupt {
		return err
	}
	cleanErr := t.abandon(clean, &in)
	if cleanErr == nil {
		cleanErr = t.unmake(clean, func(_ string, m made) bool { return m.Side == Destination })
	}
	if cleanErr != nil {
		t.findings = append(t.findings, leftFinding(t.Name, cleanErr))
		return also(err, t.note(clean, StepImport, in))
	}
	return also(err, t.end(clean, StepImport, journal.Broken, in))
}

// blame finds the side that failed: an import that fails because we gave it
// nothing more to read is a failure of the source.
func (t *transfer) blame(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return &Error{Step: StepTransfer, Object: t.System, Class: ClassInterrupt, Err: context.Cause(ctx)}
	}
	var own *Error
	if errors.As(cause, &own) {
		if !errors.Is(cause, ErrStalled) {
			return cause
		}
		// Who waits for the source stalls because of it.
		if t.tap.Err() == nil && t.tap.Waiting() {
			return &Error{Step: StepTransfer, Side: Source, Object: t.System, Class: own.Class, Err: own.Err}
		}
		if t.tap.Err() == nil {
			return cause
		}
	}
	if err := t.ofSource(); err != nil {
		return err
	}
	class := ClassOf(cause)
	var job *cimi.JobError
	if !errors.As(cause, &job) && class == ClassOther {
		var cloud *cimi.Error
		if !errors.As(cause, &cloud) {
			class = ClassTransfer // the destination does not answer
		}
	}
	return &Error{Step: StepImport, Side: Destination, Object: t.dst.Name, Class: class, Err: cause}
}

// ofSource is the failure of the source, nil when it has not failed.
func (t *transfer) ofSource() error {
	err := t.tap.Err()
	if err == nil {
		return nil
	}
	class := ClassOf(err)
	if class == ClassOther || class == ClassRemote {
		class = ClassTransfer
	}
	return &Error{Step: StepTransfer, Side: Source, Object: t.System, Class: class, Err: err}
}

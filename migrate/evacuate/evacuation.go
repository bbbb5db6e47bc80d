package evacuate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// Options are those of an evacuation.
type Options struct {
	// Parallel is how many Systems move at a time where the runbook does not
	// say; default 2.
	Parallel int
	// Allow, Deny and Strict are as in migrate.Options.
	Allow, Deny []string
	Strict      bool
	// AcceptEULAs records that somebody accepted the licences of the packages.
	AcceptEULAs bool
	// ParallelDisks is as in migrate.Options; OnFailure is that of the Systems of
	// which the runbook says nothing.
	ParallelDisks int
	OnFailure     migrate.OnFailure
	// Now is the clock; nil is the journal's. Windows are judged by it.
	Now func() time.Time
	// Poll is how often wishes of other processes are looked for; default 1 s.
	Poll time.Duration
}

// defaultParallel Systems keep both sides of a line busy.
const defaultParallel = 2

func (o *Options) setDefaults(j *journal.Journal) {
	if o.Now == nil {
		o.Now = j.Now
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
}

// Evacuation carries out one runbook. Make it with New. Its methods may be
// called concurrently, Run once.
type Evacuation struct {
	engine  *migrate.Engine
	rb      *runbook.Runbook
	id      string
	opts    Options
	clouds  *clouds
	started time.Time
	live    *live
	limits  *migrate.Limits

	mu     sync.Mutex
	works  []*work
	byKey  map[string]*work
	change int64
	paused bool
	// submitted is when the runbook was recorded that this is of.
	submitted time.Time
	reasons   map[int]string
	stops     map[string]context.CancelCauseFunc // of items under way here, by key
	seen      map[string]journal.State           // of items under way elsewhere, as they were told
	watch     []chan struct{}
	kick      chan struct{}
}

// ID names a runbook: the same each time it is run.
func ID(rb *runbook.Runbook) string {
	sum := sha256.Sum256([]byte(rb.Name))
	return hex.EncodeToString(sum[:6])
}

// New finds out which Systems the runbook selects. The clouds that it dials
// stay open until Close.
func New(ctx context.Context, e *migrate.Engine, rb *runbook.Runbook, o Options) (*Evacuation, error) {
	v := prepare(e, rb, o)
	begun, err := v.begun(ctx)
	if err == nil {
		err = rb.Expand(ctx, v.list, begun)
	}
	if err == nil {
		err = v.load(ctx)
	}
	if err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func prepare(e *migrate.Engine, rb *runbook.Runbook, o Options) *Evacuation {
	o.setDefaults(e.Journal)
	return &Evacuation{engine: e, rb: rb, id: ID(rb), opts: o, clouds: newClouds(e.Dial, rb), byKey: map[string]*work{},
		reasons: map[int]string{}, stops: map[string]context.CancelCauseFunc{}, seen: map[string]journal.State{},
		kick: make(chan struct{}, 1), started: o.Now(), live: newLive(o.Now), limits: limitsOf(e, rb)}
}

// limitsOf are those that all migrations of a runbook share.
func limitsOf(e *migrate.Engine, rb *runbook.Runbook) *migrate.Limits {
	l := e.Limits
	if l == nil {
		l = &migrate.Limits{}
	}
	if rb.Limits.Bandwidth > 0 {
		l = l.Within("runbook "+ID(rb), int64(rb.Limits.Bandwidth))
	}
	return l
}

// ID of the evacuation, which commands take as a RUN.
func (v *Evacuation) ID() string { return v.id }

// Runbook is what is carried out, its Systems named.
func (v *Evacuation) Runbook() *runbook.Runbook { return v.rb }

// Close closes the clouds.
func (v *Evacuation) Close() { v.clouds.close() }

// list answers a selection.
func (v *Evacuation) list(ctx context.Context, source, filter string) ([]runbook.Found, error) {
	e, err := v.clouds.dial(ctx, v.rb.EndpointURL(source), migrate.Source)
	if err != nil {
		return nil, err
	}
	systems, err := migrate.ListSystems(ctx, e, filter)
	if err != nil {
		return nil, err
	}
	var found []runbook.Found
	for _, s := range systems {
		found = append(found, runbook.Found{ID: s.ID, Name: s.Name, Properties: s.Properties})
	}
	return found, nil
}

// begun are the items of an earlier run of the runbook that are not as if nothing
// had happened.
func (v *Evacuation) begun(ctx context.Context) ([]Item, error) {
	rb, err := Recorded(ctx, v.engine.Journal, v.id)
	if errors.Is(err, journal.ErrNoBatch) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows, err := v.engine.Journal.Items(ctx, v.id, -1)
	if err != nil {
		return nil, err
	}
	states := map[string]bool{}
	for _, row := range rows {
		states[row.Key] = row.Run != "" || row.State != journal.Pending
	}
	return slices.DeleteFunc(rb.Items, func(i Item) bool { return !states[i.Key()] }), nil
}

// load makes the works, with what the journal knows of them from before.
func (v *Evacuation) load(ctx context.Context) error {
	for _, i := range v.rb.Items {
		w := &work{item: i, row: journal.Item{State: journal.Pending, System: i.System, Wave: i.Wave}}
		if v.byKey[i.Key()] != nil {
			return fmt.Errorf("%s:%d: %w: system %s stands twice", i.File, i.Line, runbook.ErrInvalid, i.System)
		}
		v.works = append(v.works, w)
		v.byKey[i.Key()] = w
	}
	v.change = -1
	if err := v.refresh(ctx); !errors.Is(err, journal.ErrNoBatch) {
		return err
	}
	return nil
}

// record brings the runbook into the journal.
func (v *Evacuation) record(ctx context.Context) error {
	doc, err := seal(ctx, v.engine.Journal, v.rb)
	if err != nil {
		return err
	}
	rows := make([]journal.Item, len(v.rb.Items))
	for n, i := range v.rb.Items {
		rows[n] = journal.Item{Key: i.Key(), Seq: n, System: i.System, Name: i.Name, Wave: i.Wave, Source: i.Source, Destination: i.Destination, State: journal.Pending}
	}
	if err := v.engine.Journal.PutBatch(ctx, journal.Batch{ID: v.id, Name: v.rb.Name, Document: doc}, rows); err != nil {
		return err
	}
	return v.refresh(ctx)
}

// refresh reads what changed in the journal.
func (v *Evacuation) refresh(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	b, err := v.engine.Journal.Batch(ctx, v.id)
	if err != nil {
		return err
	}
	v.paused = b.Paused
	if v.submitted.IsZero() {
		v.submitted = b.Submitted
	}
	if b.Change == v.change {
		return nil
	}
	rows, err := v.engine.Journal.Items(ctx, v.id, v.change)
	if err != nil {
		return err
	}
	for _, row := range rows {
		// Items that the runbook no longer names stay in the journal alone.
		if w := v.byKey[row.Key]; w != nil {
			w.row = row
			if cancel := v.stops[row.Key]; cancel != nil && row.Wish == wishCancel {
				cancel(errCancelled)
			}
		}
		v.change = max(v.change, row.Change)
	}
	v.change = max(v.change, b.Change)
	v.changed()
	return nil
}

// set records a row; expect is the count of changes it was decided on, -1 for any.
func (v *Evacuation) set(ctx context.Context, row journal.Item, expect int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	change, err := v.engine.Journal.SetItem(ctx, row, expect)
	if err != nil {
		return err
	}
	w := v.byKey[row.Key]
	wish := w.row.Wish
	w.row = row
	w.row.Wish, w.row.Change = wish, change
	if change == v.change+1 {
		v.change = change
	}
	v.changed()
	return nil
}

// changed wakes those who watch; v.mu is held.
func (v *Evacuation) changed() {
	for _, c := range v.watch {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Watch gives a channel that is sent to, without waiting, when something has
// changed; call stop when it is not read any more.
func (v *Evacuation) Watch() (changes <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.watch = append(v.watch, c)
	return c, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		for i, w := range v.watch {
			if w == c {
				v.watch = append(v.watch[:i:i], v.watch[i+1:]...)
				return
			}
		}
	}
}

// Causes for which an item is stopped.
var (
	errCancelled = errors.New("cancelled by an operator")
	errWindow    = errors.New("the window has closed")
)

const wishCancel = "cancel"

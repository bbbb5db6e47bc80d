package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
)

// made is a resource that a run makes by itself, at either cloud: each is a
// step of its own in the journal, written before it is asked for and after it
// is there, so that nothing is made twice and everything is found again.
type made struct {
	Side       Side   `json:"side"`
	Collection string `json:"collection"`
	Name       string `json:"name"`
	// Temporary: it goes when the run has ended well, too.
	Temporary bool `json:"temporary,omitempty"`
	// Before are the ids of that name which were there already.
	Before []string `json:"before,omitempty"`
	Job    string   `json:"job,omitempty"`
	ID     string   `json:"id,omitempty"`
	// Relay tells which offer of ours it was made to fetch from, without the
	// secret in it.
	Relay string `json:"relay,omitempty"`
	// Unmarked: the cloud refuses properties that it does not know.
	Unmarked bool `json:"unmarked,omitempty"`
}

// partProperty says which of a run's resources it is that bears runProperty.
const partProperty = "cimimove.part"

const madePrefix = "make "

func madeStep(key string) Step { return Step(madePrefix + key) }

func (r *run) endpoint(side Side) Endpoint {
	if side == Source {
		return r.src
	}
	return r.dst
}

// wasMade is what was made under a key; ok is false when it was not, or is not
// there any more.
func (r *run) wasMade(key string) (m made, ok bool) {
	s := madeStep(key)
	if !r.done(s) || r.notes(s, &m) != nil {
		return made{}, false
	}
	return m, true
}

// making says how to make a resource.
type making struct {
	key string
	made
	body cimi.Resource
	// of is what it is made of, which is there already; operation is one of that
	// by which it is made where the collection takes no such entries.
	of, operation string
	// count tells of bytes that move meanwhile; nil where nobody knows.
	count func() int64
}

// watching is how its Job is followed.
func (x making) watching(r *run) watching {
	return watching{side: x.Side, what: x.key, patience: jobPatience * r.engine.stallTimeout(), count: x.count}
}

// make makes a resource, unless it is there; one that was begun is found again
// by its mark. What fails is removed.
func (r *run) make(ctx context.Context, x making) (made, error) {
	step := madeStep(x.key)
	e := r.endpoint(x.Side)
	if m, ok := r.wasMade(x.key); ok {
		_, err := e.Provider.Get(ctx, m.ID, cimi.ReadOptions{})
		if !cimi.IsNotFound(err) {
			return m, err
		}
		// It was removed, and the process died before it said so.
		if err := r.end(ctx, step, journal.Dropped, m); err != nil {
			return m, err
		}
	}
	if r.begun(step) {
		var m made
		if err := r.notes(step, &m); err != nil {
			return m, err
		}
		there, err := r.settleMade(ctx, x, &m)
		if err != nil {
			return m, err
		}
		if there {
			return m, r.end(ctx, step, journal.Ended, m)
		}
		if err := r.removeMade(ctx, x.key, &m, journal.Dropped); err != nil {
			return m, err
		}
	}
	m := x.made
	before, err := r.sameName(ctx, e, m.Collection, m.Name)
	if err != nil {
		return m, err
	}
	for _, b := range before {
		m.Before = append(m.Before, b.Base().ID)
	}
	if err := r.begin(ctx, step, m, nil); err != nil {
		return m, err
	}
	acc, err := r.ask(ctx, x, &m)
	if err == nil {
		m.Job, m.ID = acc.Job, acc.Location
		if err = r.note(ctx, step, m); err == nil {
			err = r.await(ctx, x, &m, acc)
		}
	}
	if err != nil {
		err = fmt.Errorf("making %s: %w", x.key, err)
		if lost(ctx) {
			return m, err
		}
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		return m, also(err, r.removeMade(clean, x.key, &m, journal.Broken))
	}
	return m, r.end(ctx, step, journal.Ended, m)
}

// ask asks the cloud for it, with the run's mark, and without where the cloud
// refuses properties that it does not know.
func (r *run) ask(ctx context.Context, x making, m *made) (*cimi.Accepted, error) {
	e, b := r.endpoint(x.Side), x.body.Base()
	own := b.Properties
	b.Name = m.Name
	b.Properties = maps.Clone(own)
	if b.Properties == nil {
		b.Properties = map[string]string{}
	}
	b.Properties[runProperty], b.Properties[partProperty] = r.id, x.key
	r.feed.emit(Event{Run: r.id, System: r.System, Phase: madePrefix + x.key})
	acc, err := e.Provider.Create(ctx, m.Collection, x.body)
	if cimi.IsUnsupported(err) && x.operation != "" {
		a := &cimi.Action{Action: x.operation, Common: cimi.Common{Name: b.Name, Properties: b.Properties}}
		acc, second := e.Provider.Invoke(ctx, x.of, a)
		if second == nil || !cimi.IsUnsupported(second) {
			return acc, second // it has the operation, and an older image is no substitute
		}
	}
	if cimi.StatusOf(err) == 400 {
		b.Properties = own
		if again, second := e.Provider.Create(ctx, m.Collection, x.body); second == nil {
			m.Unmarked = true
			return again, nil
		}
	}
	return acc, err
}

// await waits until what was accepted is there.
func (r *run) await(ctx context.Context, x making, m *made, acc *cimi.Accepted) error {
	e := r.endpoint(x.Side)
	job, err := r.watch(ctx, x.watching(r), acc)
	if err != nil {
		return err
	}
	if m.ID == "" && job != nil {
		for _, r := range job.AffectedResources {
			if r.Href != x.of {
				m.ID = r.Href
				break
			}
		}
	}
	if m.ID == "" {
		own, err := r.findMade(ctx, x.key, *m)
		if err != nil {
			return err
		}
		m.ID = own
	}
	if m.ID == "" {
		return errors.New("the cloud does not say what it made")
	}
	_, err = cimi.WaitState(ctx, e.Provider, m.ID, cimi.WaitOptions{MinPoll: 20 * time.Millisecond, MaxPoll: time.Second, Retries: 30})
	return err
}

// settleMade finds out what became of a resource that was being made when the
// process died; there is false when nothing is left of it, or nothing of use.
func (r *run) settleMade(ctx context.Context, x making, m *made) (there bool, err error) {
	e := r.endpoint(m.Side)
	if m.ID == "" {
		if m.ID, err = r.findMade(ctx, x.key, *m); err != nil || m.ID == "" {
			return false, err
		}
	}
	if m.Job != "" {
		_, err := r.watch(ctx, x.watching(r), &cimi.Accepted{Job: m.Job})
		var failed *cimi.JobError
		if errors.As(err, &failed) {
			return false, nil
		}
		if err != nil && !cimi.IsNotFound(err) {
			return false, err
		}
	}
	_, err = cimi.WaitState(ctx, e.Provider, m.ID, cimi.WaitOptions{MinPoll: 20 * time.Millisecond, MaxPoll: time.Second, Retries: 30})
	if cimi.IsNotFound(err) || cimi.StatusOf(err) == 500 {
		return false, nil
	}
	return err == nil, err
}

// sameName lists what has a name in a collection. Clouds may ignore $filter
// (4.1.6), so the answer is checked.
func (r *run) sameName(ctx context.Context, e Endpoint, collection, name string) ([]cimi.Resource, error) {
	var filter []string
	if !strings.ContainsAny(name, `'"\`) {
		filter = []string{"name='" + name + "'"}
	}
	all, err := listAll(ctx, e.Provider, collection, filter...)
	if err != nil && len(filter) > 0 && cimi.StatusOf(err) == 400 {
		all, err = listAll(ctx, e.Provider, collection)
	}
	return slices.DeleteFunc(all, func(x cimi.Resource) bool { return x.Base().Name != name }), err
}

// findMade finds a resource of this run by its mark, or by its name where that
// is this run's alone. Clouds show marks when all is there, some only then: one
// of the name that is in the making is waited for. What bears no mark then may
// be another client's, except where the cloud keeps none.
func (r *run) findMade(ctx context.Context, key string, m made) (string, error) {
	patience, cancel := context.WithTimeout(ctx, r.engine.stallTimeout())
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(wait*2, time.Second) {
		own, other, err := r.lookForMade(ctx, key, m)
		if own != "" || other == nil || err != nil {
			return own, err
		}
		if !inTheMaking(other) || sleep(patience, wait) != nil {
			return "", refuse("", m.Side, other.Base().ID, ErrWhose, "remove or rename it, then resume")
		}
	}
}

// lookForMade gives the resource of this run, or else one of the name that was
// not there before and bears no mark; of several one that is in the making.
func (r *run) lookForMade(ctx context.Context, key string, m made) (own string, other cimi.Resource, err error) {
	there, err := r.sameName(ctx, r.endpoint(m.Side), m.Collection, m.Name)
	if err != nil {
		return "", nil, err
	}
	fresh := 0
	for _, x := range there {
		b := x.Base()
		if slices.Contains(m.Before, b.ID) {
			continue
		}
		if b.Properties[runProperty] == r.id && b.Properties[partProperty] == key {
			return b.ID, nil, nil
		}
		if b.Properties[runProperty] == "" {
			if fresh++; other == nil || inTheMaking(x) {
				other = x
			}
		}
	}
	if fresh == 1 && (m.Unmarked || strings.Contains(m.Name, r.id)) {
		return other.Base().ID, nil, nil
	}
	return "", other, nil
}

// inTheMaking: its mark may not be there yet.
func inTheMaking(r cimi.Resource) bool {
	state, _ := cimi.Value(r, "state").(string)
	return state == cimi.StateCreating
}

// removeMade removes a resource, if it is there, and says so in the journal.
func (r *run) removeMade(ctx context.Context, key string, m *made, as journal.StepState) error {
	e := r.endpoint(m.Side)
	if err := stopJob(ctx, e.Provider, m.Job); err != nil {
		return err
	}
	id := m.ID
	if id == "" {
		var err error
		if id, err = r.findMade(ctx, key, *m); err != nil {
			return err
		}
	}
	if id != "" {
		if err := ensureGone(ctx, e.Provider, id); err != nil {
			return at("", m.Side, m.Name, err)
		}
	}
	return r.end(ctx, madeStep(key), as, *m)
}

// unmake removes what the run has made and which concerns, newest first.
func (r *run) unmake(ctx context.Context, concerns func(key string, m made) bool) error {
	type one struct {
		key string
		m   made
		seq int
	}
	var all []one
	for name, s := range r.steps {
		key, ok := strings.CutPrefix(string(name), madePrefix)
		if !ok || s.State != journal.Begun && s.State != journal.Ended {
			continue
		}
		x := one{key: key, seq: s.Seq}
		if err := r.notes(name, &x.m); err != nil {
			return err
		}
		if concerns(key, x.m) {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b one) int { return b.seq - a.seq })
	var errs []error
	for _, x := range all {
		errs = append(errs, r.removeMade(ctx, x.key, &x.m, journal.Undone))
	}
	return errors.Join(errs...)
}

// tidyTimeout bounds the removal of one temporary resource: a cloud that keeps
// it, because something was made from it, does not hold the run up.
const tidyTimeout = 20 * time.Second

// tidy removes what was only needed on the way. What resists is told of.
func (r *run) tidy(ctx context.Context) {
	if r.Assembly == nil {
		return
	}
	for _, side := range []Side{Destination, Source} {
		limited, cancel := context.WithTimeout(ctx, tidyTimeout)
		err := r.unmake(limited, func(_ string, m made) bool { return m.Temporary && m.Side == side })
		cancel()
		if err != nil {
			r.findings = append(r.findings, leftFinding(fmt.Sprintf("temporary images at the %s", side), err))
		}
	}
}

// leftMade says what the steps of a run may have left that it made by itself,
// empty for nothing: everything, or only what was temporary.
func leftMade(steps []journal.Step, temporary bool) string {
	n, latest := 0, map[string]journal.Step{}
	for _, s := range steps {
		latest[s.Name] = s
	}
	for name, s := range latest {
		var m made
		if !strings.HasPrefix(name, madePrefix) || s.State != journal.Begun && s.State != journal.Ended || json.Unmarshal(s.Notes, &m) != nil {
			continue
		}
		if !temporary || m.Temporary {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return countOf(n)
}

func countOf(n int) string {
	if n == 1 {
		return "Image or part that it made"
	}
	return fmt.Sprintf("%d images and parts that it made", n)
}

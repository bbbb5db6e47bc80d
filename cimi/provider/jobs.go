package provider

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// errStopped and errClosing are why a Job's context ended.
var (
	errStopped = errors.New("stopped by the consumer")
	errClosing = errors.New("the provider was closed; what the Job had made was removed")
	errDied    = errors.New("the provider died while the Job ran; what it had made was removed")
)

// jobs are the Jobs of a Provider (5.17.1), all in memory, stored at every
// change of state; progress is not stored.
type jobs struct {
	db   *store
	keep int

	mu      sync.Mutex
	byID    map[string]*task
	order   []*task // as they were made
	closing bool
	running sync.WaitGroup
}

// openJobs reads the Jobs of earlier processes. Those that had not ended are
// FAILED: the host removed what they had made when it was opened.
func openJobs(ctx context.Context, db *store, keep int) (*jobs, error) {
	js := &jobs{db: db, keep: keep, byID: map[string]*task{}}
	stored, err := db.loadJobs(ctx)
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	close(ended)
	var died []*cimi.Job
	for _, j := range stored {
		t := &task{jobs: js, job: j, done: ended}
		if !j.Ended() {
			t.end(errDied)
			died = append(died, j)
		}
		js.byID[j.ID] = t
		js.order = append(js.order, t)
	}
	for _, t := range js.order {
		if p := js.byID[cimi.HrefOf(t.job.ParentJob)]; p != nil {
			t.parent = p
			p.nested = append(p.nested, t)
		}
	}
	return js, db.putJobs(ctx, died...)
}

// start makes a Job, RUNNING, and runs it. The Job is stored before start returns.
func (js *jobs) start(ctx context.Context, action, target string, run func(ctx context.Context, t *task) error) (*task, error) {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	t := js.newTask(action, target, nil)
	t.cancel = cancel
	t.shares = map[string][2]int64{}
	if err := js.db.putJobs(ctx, t.job); err != nil {
		cancel(nil)
		return nil, err
	}
	js.mu.Lock()
	if js.closing {
		js.mu.Unlock()
		cancel(nil)
		return nil, errClosing
	}
	js.byID[t.job.ID] = t
	js.order = append(js.order, t)
	js.running.Add(1)
	js.mu.Unlock()
	go func() {
		defer js.running.Done()
		defer cancel(nil)
		err := run(own, t)
		if err != nil && own.Err() != nil {
			err = context.Cause(own)
		}
		js.finish(t, err)
	}()
	return t, nil
}

func (js *jobs) newTask(action, target string, parent *task) *task {
	now := cimi.TimeOf(time.Now())
	j := &cimi.Job{Action: action, State: cimi.JobRunning, Progress: cimi.Int(0), TargetResource: cimi.RefTo[cimi.Unknown](target),
		AffectedResources: []cimi.Ref[cimi.Unknown]{{Href: target}}, TimeOfStatusChange: now}
	j.ID, j.Created, j.Updated = "jobs/"+host.NewID(), now, now
	j.Parent = cimi.RefTo[cimi.Unknown]("jobs")
	if parent != nil {
		j.ParentJob = cimi.RefTo[cimi.Job](parent.job.ID)
	}
	return &task{jobs: js, job: j, parent: parent, done: make(chan struct{})}
}

// finish ends a Job and its nested ones, and stores them.
func (js *jobs) finish(t *task, err error) {
	js.mu.Lock()
	all := []*cimi.Job{t.job}
	for _, n := range t.nested {
		n.end(err)
		all = append(all, n.job)
	}
	t.end(err)
	t.cancel = nil
	for i := range all {
		all[i] = cimi.Clone(all[i])
	}
	js.mu.Unlock()
	// What cannot be stored is FAILED after the next start, which is the safe
	// side; there is nobody left to tell.
	_ = js.db.putJobs(context.Background(), all...)
	for _, n := range t.nested {
		close(n.done)
	}
	close(t.done)
	js.prune()
}

func (js *jobs) get(id string) *task {
	js.mu.Lock()
	defer js.mu.Unlock()
	return js.byID[id]
}

func (js *jobs) list() []cimi.Resource {
	js.mu.Lock()
	all := slices.Clone(js.order)
	js.mu.Unlock()
	out := make([]cimi.Resource, 0, len(all))
	for _, t := range all {
		out = append(out, t.snapshot())
	}
	return out
}

// stop cancels a Job and waits until what it had made is gone. Stopping a
// nested Job stops the whole.
func (js *jobs) stop(ctx context.Context, t *task) error {
	if t.parent != nil {
		t = t.parent
	}
	js.mu.Lock()
	cancel := t.cancel
	if cancel != nil {
		t.job.State = cimi.JobStopping
		t.job.TimeOfStatusChange = cimi.TimeOf(time.Now())
	}
	js.mu.Unlock()
	if cancel == nil {
		return cimi.Errorf(409, "%s has ended", t.job.ID)
	}
	cancel(errStopped)
	return t.wait(ctx)
}

// remove deletes a Job, stopped first when it runs, and its nested ones.
func (js *jobs) remove(ctx context.Context, t *task) error {
	js.mu.Lock()
	running := t.cancel != nil || t.parent != nil && t.parent.cancel != nil
	js.mu.Unlock()
	if running {
		if err := js.stop(ctx, t); err != nil {
			return err
		}
	}
	return js.drop(ctx, []*task{t})
}

func (js *jobs) drop(ctx context.Context, gone []*task) error {
	js.mu.Lock()
	set := map[*task]bool{}
	for _, t := range gone {
		set[t] = true
		for _, n := range t.nested {
			set[n] = true
		}
	}
	var ids []string
	for t := range set {
		ids = append(ids, t.job.ID)
		delete(js.byID, t.job.ID)
	}
	js.order = slices.DeleteFunc(js.order, func(t *task) bool { return set[t] })
	js.mu.Unlock()
	return js.db.removeJobs(ctx, ids)
}

// prune drops the oldest ended Jobs beyond those to keep.
func (js *jobs) prune() {
	js.mu.Lock()
	var ended []*task
	for _, t := range js.order {
		if t.parent == nil && t.job.Ended() {
			ended = append(ended, t)
		}
	}
	js.mu.Unlock()
	if n := len(ended) - js.keep; n > 0 {
		_ = js.drop(context.Background(), ended[:n]) // tried again after the next Job
	}
}

// close stops what runs and waits for it.
func (js *jobs) close() {
	js.mu.Lock()
	js.closing = true
	for _, t := range js.order {
		if t.cancel != nil {
			t.cancel(errClosing)
		}
	}
	js.mu.Unlock()
	js.running.Wait()
}

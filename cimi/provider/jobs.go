package provider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

// jobs are the Jobs of a Provider (5.17.1): those that run in memory, all of
// them in the store, written at every change of state; progress is not stored.
type jobs struct {
	p *Provider

	mu      sync.Mutex
	byID    map[string]*task // those that have not ended
	order   []*task
	closing bool
	running sync.WaitGroup
}

// openJobs ends the Jobs that an earlier process left running: they are FAILED,
// and the host removed what they had made when it was opened.
func openJobs(ctx context.Context, p *Provider) (*jobs, error) {
	js := &jobs{p: p, byID: map[string]*task{}}
	rows, err := p.db.db.QueryContext(ctx, "SELECT id, body FROM jobs WHERE ended = 0 ORDER BY seq")
	if err != nil {
		return nil, err
	}
	died, err := scanJobs(rows)
	if err != nil {
		return nil, err
	}
	for _, j := range died {
		endJob(j, errDied, nil)
	}
	return js, p.db.change(func(tx *sql.Tx) error { return putJobs(tx, died...) })
}

func scanJobs(rows *sql.Rows) ([]*cimi.Job, error) {
	defer rows.Close()
	var out []*cimi.Job
	for rows.Next() {
		var id string
		var b []byte
		if err := rows.Scan(&id, &b); err != nil {
			return nil, err
		}
		r, err := cimi.DecodeJSONAs(b, "Job")
		if err != nil {
			return nil, fmt.Errorf("stored %s: %w", id, err)
		}
		j, ok := r.(*cimi.Job)
		if !ok {
			return nil, fmt.Errorf("stored %s: a %s", id, r.TypeName())
		}
		out = append(out, j)
	}
	return out, rows.Err()
}

func putJobs(tx *sql.Tx, js ...*cimi.Job) error {
	for _, j := range js {
		b, err := cimi.MarshalJSON(j)
		if err != nil {
			return err
		}
		ended := int64(0)
		if j.Ended() {
			ended = time.Now().UnixNano()
		}
		if _, err := tx.Exec(`INSERT INTO jobs(id, body, ended) VALUES (?,?,?)
			ON CONFLICT(id) DO UPDATE SET body = excluded.body, ended = excluded.ended`, j.ID, b, ended); err != nil {
			return err
		}
	}
	return nil
}

// newJob is a Job that has just begun.
func newJob(action, target string) *cimi.Job {
	at := now()
	j := &cimi.Job{Action: action, State: cimi.JobRunning, Progress: cimi.Int(0), TargetResource: cimi.RefTo[cimi.Unknown](target),
		AffectedResources: []cimi.Ref[cimi.Unknown]{{Href: target}}, TimeOfStatusChange: at}
	j.ID, j.Created, j.Updated = "jobs/"+host.NewID(), at, at
	j.Parent = ref("jobs")
	j.ResourceMetadata = cimi.RefTo[cimi.ResourceMetadata]("resourceMetadata/Job")
	return j
}

// start makes a Job, RUNNING, and runs it. The Job is stored before start returns.
func (js *jobs) start(ctx context.Context, action, target string, run func(ctx context.Context, t *task) error) (*task, error) {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	t := js.newTask(newJob(action, target), nil)
	t.cancel = cancel
	t.shares = map[string][2]int64{}
	stored := cimi.Clone(t.job)
	if err := js.p.db.change(func(tx *sql.Tx) error { return putJobs(tx, stored) }); err != nil {
		cancel(nil)
		return nil, err
	}
	js.mu.Lock()
	if js.closing {
		js.mu.Unlock()
		cancel(nil)
		return nil, errClosing
	}
	js.add(t)
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

func (js *jobs) newTask(j *cimi.Job, parent *task) *task {
	if parent != nil {
		j.ParentJob = cimi.RefTo[cimi.Job](parent.job.ID)
	}
	return &task{jobs: js, job: j, parent: parent, done: make(chan struct{})}
}

// add makes a task findable; js.mu is held.
func (js *jobs) add(t *task) {
	js.byID[t.job.ID] = t
	js.order = append(js.order, t)
}

// finish ends a Job and its nested ones, and stores them with the Event that tells of it.
func (js *jobs) finish(t *task, err error) {
	js.mu.Lock()
	var all []*cimi.Job
	for _, n := range t.nested {
		if !n.job.Ended() {
			endJob(n.job, err, n.findings)
			n.job.StatusMessage = "" // the parent says it, once: clients show both
		}
		if n.job.State != cimi.JobSuccess && err == nil {
			err = fmt.Errorf("nested Job %s: %s", n.job.Name, n.job.StatusMessage) // the topmost tells of all (5.17.1)
		}
		all = append(all, n.job)
	}
	endJob(t.job, err, t.findings)
	t.err, t.cancel = err, nil
	all = append(all, t.job)
	for i := range all {
		all[i] = cimi.Clone(all[i])
	}
	js.mu.Unlock()
	c := &change{}
	c.write(func(tx *sql.Tx) error { return putJobs(tx, all...) })
	js.p.jobEvent(c, all[len(all)-1])
	// What cannot be stored is FAILED after the next start, which is the safe
	// side; there is nobody left to tell. It stays in memory until then.
	if js.p.commit(c) == nil {
		js.mu.Lock()
		gone := map[*task]bool{t: true}
		for _, n := range t.nested {
			gone[n] = true
		}
		for g := range gone {
			delete(js.byID, g.job.ID)
		}
		js.order = slices.DeleteFunc(js.order, func(o *task) bool { return gone[o] })
		js.mu.Unlock()
	}
	for _, n := range t.nested {
		close(n.done)
	}
	close(t.done)
}

// get is a Job that has not ended; nil when there is none.
func (js *jobs) get(id string) *task {
	js.mu.Lock()
	defer js.mu.Unlock()
	return js.byID[id]
}

// read gives a Job, nil when there is none.
func (js *jobs) read(ctx context.Context, id string) (cimi.Resource, error) {
	if t := js.get(id); t != nil {
		return js.shown(t.snapshot()), nil
	}
	rows, err := js.p.db.db.QueryContext(ctx, "SELECT id, body FROM jobs WHERE id = ?", id)
	if err != nil {
		return nil, err
	}
	found, err := scanJobs(rows)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return js.shown(found[0]), nil
}

func (js *jobs) shown(j *cimi.Job) *cimi.Job {
	j.Operations = js.p.operations(nil, subject{id: j.ID, kind: "jobs", r: j})
	return j
}

// source are the Jobs as the entries of their collection, oldest first.
func (js *jobs) source(ctx context.Context) source {
	n, err := js.p.db.count(ctx, "SELECT count(*) FROM jobs")
	return sourceOfRows(n, err, func(limit, offset int) ([]cimi.Resource, error) {
		rows, err := js.p.db.db.QueryContext(ctx, "SELECT id, body FROM jobs ORDER BY seq LIMIT ? OFFSET ?", limit, offset)
		if err != nil {
			return nil, err
		}
		stored, err := scanJobs(rows)
		if err != nil {
			return nil, err
		}
		out := make([]cimi.Resource, 0, len(stored))
		for _, j := range stored {
			if t := js.get(j.ID); t != nil {
				j = t.snapshot()
			}
			out = append(out, js.shown(j))
		}
		return out, nil
	})
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
		t.job.TimeOfStatusChange = now()
	}
	js.mu.Unlock()
	if cancel == nil {
		return cimi.Errorf(409, "%s has ended", t.job.ID)
	}
	cancel(errStopped)
	return t.wait(ctx)
}

// stopJob is the stop action of a Job (5.17.1.1).
func (p *Provider) stopJob(ctx context.Context, s subject, _ *cimi.Action) (*cimi.Accepted, error) {
	t := p.jobs.get(s.id)
	if t == nil {
		return nil, cimi.Errorf(409, "%s has ended", s.id)
	}
	if err := p.jobs.stop(ctx, t); err != nil {
		return nil, err
	}
	r, err := p.read(ctx, s.id)
	return &cimi.Accepted{Done: true, Job: s.id, Resource: r}, err
}

// remove deletes a Job, stopped first when it runs, and its nested ones.
func (js *jobs) remove(ctx context.Context, id string) error {
	if t := js.get(id); t != nil {
		if err := js.stop(ctx, t); err != nil && !cimi.IsConflict(err) {
			return err
		}
	}
	r, err := js.read(ctx, id)
	if err != nil || r == nil {
		return orNotFound(err, id)
	}
	ids := []string{id}
	for _, n := range r.(*cimi.Job).NestedJobs {
		ids = append(ids, n.Href)
	}
	return js.p.db.change(func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.Exec("DELETE FROM jobs WHERE id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
}

// prune drops Jobs that ended before the time they are kept for, but for the
// newest KeepJobs.
func (js *jobs) prune() error {
	before := time.Now().Add(-js.p.opts.JobRetention).UnixNano()
	return js.p.db.change(func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM jobs WHERE ended > 0 AND ended < ? AND seq <= (SELECT max(seq) FROM jobs) - ?", before, js.p.opts.KeepJobs)
		return err
	})
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

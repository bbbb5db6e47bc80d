package cimi

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// WaitOptions: the zero value polls after 200 ms, then ever more slowly, to
// once in 5 s, without a total deadline: ctx has the last word.
type WaitOptions struct {
	// Progress is told of the Job after each poll; may be nil.
	Progress func(*Job)
	// MinPoll and MaxPoll bound the time between polls; 0 takes 200 ms and 5 s.
	MinPoll, MaxPoll time.Duration
	// Retries is how many polls in a row may fail before the error is
	// returned; 0 takes 5. Refusals (4xx) are never repeated.
	Retries int
}

// ErrNoJob: a change was accepted, but the cloud names neither Job nor resource to follow.
var ErrNoJob = errors.New("accepted, but the cloud names neither a Job nor a resource to follow")

// Wait follows an accepted change to its end: its Job, or where the cloud has
// none the state of the new resource, or of target when there is no new one.
// The Job is nil when there was none to follow.
func Wait(ctx context.Context, p Provider, acc *Accepted, target string, opts WaitOptions) (*Job, error) {
	switch {
	case acc == nil || acc.Done && acc.Job == "":
		return nil, nil
	case acc.Job != "":
		job, err := WaitJob(ctx, p, acc.Job, opts)
		if acc.Done && IsNotFound(err) {
			return nil, nil // a finished Job need not be kept
		}
		return job, err
	case acc.Location != "":
		target = acc.Location
	}
	if target == "" {
		return nil, ErrNoJob
	}
	_, err := WaitState(ctx, p, target, opts)
	return nil, err
}

// WaitJob follows a Job until it has ended. A Job that does not end in
// SUCCESS gives a *JobError besides the Job.
func WaitJob(ctx context.Context, p Provider, jobID string, opts WaitOptions) (*Job, error) {
	var job *Job
	err := poll(ctx, opts, func() (bool, error) {
		r, err := p.Get(ctx, jobID, ReadOptions{})
		if err != nil {
			return false, err
		}
		j, ok := r.(*Job)
		if !ok {
			return false, Errorf(502, "job %s: expected a Job, got a %s", jobID, r.TypeName())
		}
		if job = j; job.ID == "" {
			job.ID = jobID
		}
		if opts.Progress != nil {
			opts.Progress(job)
		}
		return job.Ended(), nil
	})
	if err != nil {
		return job, fmt.Errorf("job %s: %w", jobID, err)
	}
	if job.State == JobSuccess {
		return job, nil
	}
	return job, jobError(ctx, p, job)
}

// WaitState polls a resource until its state is not one of passage (CREATING,
// STARTING, …); ERROR and FAILED give a *Error.
func WaitState(ctx context.Context, p Provider, id string, opts WaitOptions) (Resource, error) {
	var out Resource
	err := poll(ctx, opts, func() (bool, error) {
		r, err := p.Get(ctx, id, ReadOptions{})
		if err != nil {
			return false, err
		}
		out = r
		switch s, _ := Value(r, "state").(string); s {
		case "CREATING", "STARTING", "STOPPING", "PAUSING", "SUSPENDING", "CAPTURING", "RESTORING", "DELETING":
			return false, nil
		case StateError, StateFailed:
			return false, &Error{Status: 500, Message: fmt.Sprintf("%s %s is in state %s", r.TypeName(), id, s)}
		}
		return true, nil
	})
	return out, err
}

func poll(ctx context.Context, opts WaitOptions, done func() (bool, error)) error {
	wait, limit, retries := opts.MinPoll, opts.MaxPoll, opts.Retries
	if wait <= 0 {
		wait = 200 * time.Millisecond
	}
	if limit <= 0 {
		limit = 5 * time.Second
	}
	if retries <= 0 {
		retries = 5
	}
	failed := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		ok, err := done()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && (!transient(err) || failed >= retries):
			return err
		case err != nil:
			failed++
		case ok:
			return nil
		default:
			failed = 0
		}
		timer.Reset(wait)
		wait = min(wait*3/2, limit)
	}
}

// transient: the next poll may succeed. A state of ERROR is no failed poll.
func transient(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Status == 0 || e.Status == 429 || e.Status >= 502
	}
	var s *SecurityError
	return !errors.As(err, &s)
}

// maxNested bounds how many nested Jobs are read for their messages, and
// maxNestedRead how many bytes that takes.
const (
	maxNested     = 200
	maxNestedRead = MaxBody
)

func jobError(ctx context.Context, p Provider, job *Job) *JobError {
	e := &JobError{Job: job, Findings: job.ExtraValue(OVFFindings)}
	left := maxNested
	r := &reading{}
	r.bytes.Store(MaxRead - maxNestedRead)
	ctx = context.WithValue(ctx, readingKey{}, r)
	seen := map[string]bool{job.ID: true}
	var collect func(j *Job)
	collect = func(j *Job) {
		if j.State != JobSuccess && j.StatusMessage != "" {
			e.say(j.StatusMessage)
		}
		for _, n := range j.NestedJobs {
			nested := n.Value
			if nested == nil || nested.State == "" {
				if n.Href == "" || seen[n.Href] || left == 0 {
					continue
				}
				left--
				seen[n.Href] = true
				r, err := p.Get(ctx, n.Href, ReadOptions{})
				if errors.Is(err, ErrTooLarge) {
					left = 0
				}
				if err != nil {
					continue // the message of the whole is there already
				}
				if nested, _ = r.(*Job); nested == nil {
					continue
				}
			}
			collect(nested)
		}
	}
	collect(job)
	return e
}

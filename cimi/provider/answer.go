package provider

import (
	"context"
	"errors"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// patience is how long a request waits for its Job before it is answered 202:
// what is quickly done is answered as done (4.2.1.6, 4.2.1.7).
const patience = 2 * time.Second

// run starts a Job and answers for it. location is the new resource, if any.
func (p *Provider) run(ctx context.Context, action, target, location string, work func(ctx context.Context, t *task) error) (*cimi.Accepted, error) {
	t, err := p.jobs.start(ctx, action, target, work)
	if err != nil {
		return nil, err
	}
	acc := &cimi.Accepted{Job: t.job.ID, Location: location}
	if t.ended(ctx, patience) {
		if t.err != nil {
			return nil, t.failure()
		}
		acc.Done = true
	}
	if location != "" {
		if acc.Resource, err = p.read(ctx, location); err != nil {
			return nil, err
		}
		if acc.Resource != nil {
			cimi.Public(acc.Resource)
		}
	}
	return acc, nil
}

// making is run for a resource that is shown as being created meanwhile.
func (p *Provider) making(ctx context.Context, action, target string, pending cimi.Resource, work func(ctx context.Context, t *task) error) (*cimi.Accepted, error) {
	created := p.passing.create(pending)
	acc, err := p.run(ctx, action, target, pending.Base().ID, func(ctx context.Context, t *task) error {
		defer created()
		return work(ctx, t)
	})
	if err != nil {
		created()
	}
	return acc, err
}

// failure is the answer for a Job that failed: the status its cause has, and
// the Job itself (4.2.2).
func (t *task) failure() error {
	e := &cimi.Error{Status: statusOf(t.err), Message: sentence(t.err), Err: t.err}
	var refused *cimi.Error
	if errors.As(t.err, &refused) {
		e.Status, e.Message = refused.Status, refused.Message
	}
	e.Job = t.snapshot()
	if e.Job.StatusMessage == "" {
		e.Job.StatusMessage = e.Message
	}
	return e
}

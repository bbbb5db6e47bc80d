package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// follow waits for the end of what was accepted; watch, which may be nil, is
// told of each look at the Job. A Job that did not succeed is a *cimi.JobError.
func follow(ctx context.Context, p cimi.Provider, acc *cimi.Accepted, watch func(*cimi.Job)) (*cimi.Job, error) {
	return cimi.Wait(ctx, p, acc, "", cimi.WaitOptions{
		// Quickly at first, as small Systems are done in no time; patiently with
		// a cloud that does not answer for a while.
		MinPoll: 20 * time.Millisecond, MaxPoll: time.Second, Retries: 30, Progress: watch,
	})
}

// watching says how a Job is followed until nothing moves any more.
type watching struct {
	side Side
	what string // that is waited for: "the import"
	// patience is how long neither bytes nor the Job may stand still.
	patience time.Duration
	// ending tells that the Job has got all the bytes that it waits for, so that
	// no more than its state can move: jobPatience applies. May be nil.
	ending func() bool
	count  func() int64    // bytes that move meanwhile; nil where nobody knows
	seen   func(*cimi.Job) // is told of each look at the Job; may be nil
}

// jobPatience is how many times longer than bytes a Job may stand still, of
// which only percents are seen.
const jobPatience = 30

// watch follows a Job and ends when nothing moves any more; meanwhile it says
// what the run waits for.
func (r *run) watch(ctx context.Context, x watching, acc *cimi.Accepted) (*cimi.Job, error) {
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if x.count == nil {
		x.count = func() int64 { return 0 }
	}
	e := r.endpoint(x.side)
	w := newWatchdog(x.patience, x.count)
	w.ending = x.ending
	w.waiting = func(since time.Time, state string) {
		r.wait("for "+x.what+" at "+e.Name+", whose Job says "+orNone(state), since)
	}
	go w.run(waiting, stop)
	job, err := follow(waiting, e.Provider, acc, func(j *cimi.Job) {
		w.seen(fmt.Sprint(j.State, cimi.IntValue(j.Progress), j.StatusMessage))
		if x.seen != nil {
			x.seen(j)
		}
	})
	var stalled *Error
	if errors.As(err, &stalled) && errors.Is(err, ErrStalled) {
		own := *stalled
		own.Side = x.side
		return job, &own
	}
	return job, err
}

// startAt starts a System or a machine and waits until that is done.
func startAt(ctx context.Context, p cimi.Provider, id string) error {
	acc, err := p.Invoke(ctx, id, &cimi.Action{Action: cimi.ActionStart})
	if err == nil {
		_, err = follow(ctx, p, &cimi.Accepted{Job: acc.Job, Done: acc.Done || acc.Job == ""}, nil)
	}
	return err
}

// stopJob asks a Job to stop and waits for its end, however it ends. A Job
// that is not there any more is none to stop.
func stopJob(ctx context.Context, p cimi.Provider, id string) error {
	if id == "" {
		return nil
	}
	_, err := p.Invoke(ctx, id, &cimi.Action{Action: cimi.ActionStop})
	if cimi.IsNotFound(err) {
		return nil
	}
	if err != nil && !cimi.IsConflict(err) && !cimi.IsUnsupported(err) {
		// It may have ended in between.
		if r, getErr := p.Get(ctx, id, cimi.ReadOptions{}); getErr == nil {
			if job, ok := r.(*cimi.Job); ok && job.Ended() {
				return nil
			}
		}
		return fmt.Errorf("stopping job %s: %w", id, err)
	}
	_, err = follow(ctx, p, &cimi.Accepted{Job: id}, nil)
	var ended *cimi.JobError
	if errors.As(err, &ended) || cimi.IsNotFound(err) {
		return nil
	}
	return err
}

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

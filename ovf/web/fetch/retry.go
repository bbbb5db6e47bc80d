package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Retry runs op until it succeeds, ends with an error that is not Temporary,
// or has failed opts.Attempts times in a row; what names it in OnRetry. op must
// be safe to repeat.
func Retry(ctx context.Context, opts Options, what string, op func(context.Context) error) error {
	opts = opts.withDefaults()
	a := newAttempts(opts, opts.Attempts, what)
	for {
		err := op(ctx)
		if err == nil || !Temporary(err) {
			return err
		}
		if err := a.again(ctx, 0, err); err != nil {
			return a.last(err)
		}
	}
}

// attempts counts those that fail in a row.
type attempts struct {
	opts Options
	url  string
	max  int
	n    int
	wait *backoff.ExponentialBackOff
}

func newAttempts(opts Options, max int, url string) *attempts {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = opts.MinWait, opts.MaxWait, 2
	b.Reset()
	return &attempts{opts: opts, url: url, max: max, wait: b}
}

// progress forgets failures: a byte has come.
func (a *attempts) progress() {
	if a.n > 0 {
		a.n = 0
		a.wait.Reset()
	}
}

// last is the error to end with when attempts are used up.
func (a *attempts) last(err error) error {
	if a.n == a.max && a.n > 1 {
		return fmt.Errorf("%w (attempt %d of %d)", err, a.n, a.max)
	}
	return err
}

// again waits before the next attempt. When there is to be none, it gives the
// error to end with.
func (a *attempts) again(ctx context.Context, offset int64, err error) error {
	a.n++
	if a.n >= a.max {
		return err
	}
	wait := a.wait.NextBackOff()
	var status *StatusError
	if errors.As(err, &status) && status.RetryAfter > wait {
		wait = status.RetryAfter
	}
	if a.opts.OnRetry != nil {
		a.opts.OnRetry(Attempt{URL: a.url, Offset: offset, Number: a.n, Of: a.max, Wait: wait, Err: err})
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

package migrate

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf/object"
)

// Engine carries out plans. Its methods may be called concurrently.
type Engine struct {
	Journal *journal.Journal
	// Dial opens the clouds of runs that are taken up again and of runbooks.
	Dial Dialer
	// Events is told of progress; may be nil. It is called from one goroutine of
	// each run and may be slow: intermediate values are left out, nothing waits.
	Events func(Event)
	// Log is told of steps, retries and hooks; nil: nobody. It gets no secrets.
	Log *slog.Logger
	// Observer is told of what can be counted; nil: nobody.
	Observer Observer
	// Signer signs reports; nil: they are not signed.
	Signer *Signer
	// Relay says where a destination outside this process fetches from.
	Relay RelayOptions
	// Objects says how object stores are reached, for packages that wait there.
	Objects object.Options
	// StageOnly ends runs when their package is staged; Resume goes on.
	StageOnly bool
	// Limits are shared by all runs; nil: none.
	Limits *Limits
	// StallTimeout ends a transfer that moves no byte for this long; default 60 s.
	StallTimeout time.Duration
	// StopTimeout is how long machines may take to stop; default 5 minutes.
	StopTimeout time.Duration
}

func (e *Engine) stallTimeout() time.Duration {
	if e.StallTimeout > 0 {
		return e.StallTimeout
	}
	return time.Minute
}

func (e *Engine) stopTimeout() time.Duration {
	if e.StopTimeout > 0 {
		return e.StopTimeout
	}
	return 5 * time.Minute
}

// relayToken is the secret part of a relay's URL: the same for the same
// attempt of a run, so that a resumed run offers the same URL, without being
// in the journal of a run. It comes from a key that only this user can read, or,
// where many machines work together, only they.
func (e *Engine) relayToken(ctx context.Context, run string, attempt int) (string, error) {
	key, err := e.Journal.Key(ctx, "relay")
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s/%d", run, attempt)
	return hex.EncodeToString(mac.Sum(nil))[:40], nil
}

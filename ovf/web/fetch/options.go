// Package fetch reads files over HTTP the way long transfers need: a File is
// probed by one ranged GET, can be read anywhere where the server offers
// Range, and in sequence by a Reader that retries and resumes at the exact
// offset. Bytes of two versions of a file are never spliced: when size, ETag or
// date change in between, reading ends with a *ChangedError.
//
// There is no limit on the time a transfer takes, only on the time without a
// byte. It is the project's one implementation of retrying (RFC 9110: Range,
// If-Range, Retry-After).
package fetch

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Options of Open and Retry. The zero value is sensible.
type Options struct {
	// Client makes the requests; nil: NewClient(). Its CheckRedirect and
	// Timeout are replaced by the rules of this package.
	Client *http.Client
	// Authorize adds credentials to a request; nil: none. It is called for
	// every attempt; what it adds does not go along to another host.
	Authorize func(*http.Request) error
	// Renew gets other credentials for Authorize when a server refuses those
	// that it took before (401); the request is made once more, at the same
	// offset. nil: there are none.
	Renew func(context.Context) error
	// Shown is what messages call a URL; nil: Redact.
	Shown func(url string) string
	// Attempts is how often in a row a request may fail, without a byte in
	// between, before reading fails; 0: 6.
	Attempts int
	// FirstAttempts is the same for the first request of Open; 0: 3.
	FirstAttempts int
	// MinWait and MaxWait bound the jittered, growing pause between attempts;
	// 0: 500 ms and 30 s. A server's Retry-After counts, up to MaxRetryAfter.
	MinWait, MaxWait time.Duration
	// StallTimeout ends an attempt after that long without a byte; 0: 60 s, negative: never.
	StallTimeout time.Duration
	// ReadFirst is how many bytes Open asks for, which are kept; 0: 128 KiB.
	ReadFirst int64
	// Expect, when not nil, is what an earlier Open saw: another file is a *ChangedError.
	Expect *Identity
	// OnRetry is told of every attempt that failed and is made again; nil:
	// nobody. It must not block.
	OnRetry func(Attempt)
}

// Attempt is one that failed and is made again after Wait.
type Attempt struct {
	URL    string // redacted
	Offset int64  // in bytes
	Number int    // of those failed in a row, from 1
	Of     int
	Wait   time.Duration
	Err    error
}

// MaxRetryAfter bounds what a server may ask to wait.
const MaxRetryAfter = 5 * time.Minute

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.MinWait, 500*time.Millisecond)
	def(&o.MaxWait, 30*time.Second)
	def(&o.StallTimeout, 60*time.Second)
	if o.Attempts <= 0 {
		o.Attempts = 6
	}
	if o.FirstAttempts <= 0 {
		o.FirstAttempts = 3
	}
	if o.ReadFirst <= 0 {
		o.ReadFirst = 128 << 10
	}
	if o.Client == nil {
		o.Client = NewClient()
	}
	o.Client = restrict(o.Client)
	return o
}

// Name is what messages call a URL.
func (o Options) Name(url string) string {
	if o.Shown != nil {
		return o.Shown(url)
	}
	return Redact(url)
}

// Watch watches a body that is sent: the context it gives ends when
// StallTimeout passes without a byte of it being taken, or after the last one
// without stop being called.
func Watch(ctx context.Context, o Options, body io.Reader) (watched context.Context, watching io.Reader, stop func()) {
	g := newStallGuard(ctx, o.withDefaults().StallTimeout)
	return g.ctx, watchedBody{body, g}, g.stop
}

type watchedBody struct {
	io.Reader
	g *stallGuard
}

func (b watchedBody) Read(p []byte) (int, error) {
	b.g.alive()
	return b.Reader.Read(p)
}

// stallGuard ends a context when too long passes between calls of its alive.
type stallGuard struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

func newStallGuard(ctx context.Context, limit time.Duration) *stallGuard {
	g := &stallGuard{limit: limit}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	if limit > 0 {
		g.timer = time.AfterFunc(limit, func() { g.cancel(&StallError{For: limit}) })
	}
	return g
}

// alive starts the time anew; rest stops it while nobody reads.
func (g *stallGuard) alive() {
	if g.timer != nil {
		g.timer.Reset(g.limit)
	}
}

func (g *stallGuard) rest() {
	if g.timer != nil {
		g.timer.Stop()
	}
}

func (g *stallGuard) stop() {
	g.rest()
	g.cancel(nil)
}

// explain turns the error of a guarded call into what ended it.
func (g *stallGuard) explain(err error) error {
	if err != nil && g.ctx.Err() != nil {
		if cause := context.Cause(g.ctx); cause != nil && cause != context.Canceled {
			return cause
		}
	}
	return err
}

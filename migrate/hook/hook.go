// Package hook runs what users put around the steps of a migration: commands
// and webhooks. Each gets a JSON document, on standard input or by POST.
//
// It promises:
//   - A hook ends when its deadline has passed, with the processes it started.
//   - Credentials of this program are not in a hook's environment.
//   - What a hook prints is bounded, and only its end is kept for an error.
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Steps that a hook can stand before or after; delta is one of warm migrations.
var Steps = []string{"discover", "plan", "quiesce", "export", "transfer", "import", "delta", "verify", "start", "finish"}

// Hook is a command or a webhook around a step.
type Hook struct {
	// On is "before STEP" or "after STEP".
	On string
	// Run is a program with its arguments; no shell reads it. URL is called
	// instead where it is set.
	Run []string
	URL string
	// Timeout is the deadline; 0: DefaultTimeout.
	Timeout time.Duration
	// Continue: the migration goes on when the hook fails, with a finding.
	Continue bool
}

// DefaultTimeout is the deadline of a hook that says none.
const DefaultTimeout = 5 * time.Minute

// Check tells what is wrong with a hook.
func (h Hook) Check() error {
	when, step, _ := strings.Cut(h.On, " ")
	switch {
	case when != "before" && when != "after" || !slices.Contains(Steps, step):
		return fmt.Errorf("hook on %q: it is before or after one of %s", h.On, strings.Join(Steps, ", "))
	case (len(h.Run) == 0) == (h.URL == ""):
		return fmt.Errorf("hook on %q: it runs a command or calls a URL, one of the two", h.On)
	case h.URL != "" && !strings.HasPrefix(h.URL, "http://") && !strings.HasPrefix(h.URL, "https://"):
		return fmt.Errorf("hook on %q: its URL is none of http or https", h.On)
	case h.Timeout < 0:
		return fmt.Errorf("hook on %q: the timeout is negative", h.On)
	}
	return nil
}

// String names the hook in logs and errors: of a URL only the host, as the
// path of a webhook is its secret.
func (h Hook) String() string {
	if h.URL != "" {
		rest := h.URL[strings.Index(h.URL, "://")+3:]
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			rest = rest[:i]
		}
		return h.On + ": webhook at " + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	return h.On + ": " + h.Run[0]
}

// An Error is a hook that failed. Output is the end of what it printed.
type Error struct {
	Hook   string
	Output string
	Err    error
}

func (e *Error) Error() string {
	if e.Output != "" {
		return fmt.Sprintf("hook %s: %v: %s", e.Hook, e.Err, e.Output)
	}
	return fmt.Sprintf("hook %s: %v", e.Hook, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

var errDeadline = errors.New("did not end in time")

// Do runs the hook with the document. Errors are *Error. env is added to a
// command's environment.
func (h Hook) Do(ctx context.Context, document []byte, env ...string) error {
	limit := h.Timeout
	if limit == 0 {
		limit = DefaultTimeout
	}
	own, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: it had %s", errDeadline, limit))
	defer cancel()
	var output string
	var err error
	if h.URL != "" {
		err = h.call(own, document)
	} else {
		output, err = h.run(own, document, env)
	}
	if err == nil {
		return nil
	}
	if own.Err() != nil {
		err = context.Cause(own)
	}
	return &Error{Hook: h.String(), Output: output, Err: err}
}

// outputLimit bounds what of a hook's output an error shows.
const outputLimit = 2 << 10

func (h Hook) run(ctx context.Context, document []byte, env []string) (string, error) {
	cmd := exec.CommandContext(ctx, h.Run[0], h.Run[1:]...)
	cmd.Env = append(withoutSecrets(os.Environ()), env...)
	cmd.Stdin = bytes.NewReader(document)
	out := &tail{}
	cmd.Stdout, cmd.Stderr = out, out
	// A child that holds the output open does not hold us up.
	cmd.WaitDelay = 2 * time.Second
	ownGroup(cmd)
	err := cmd.Run()
	return out.String(), err
}

// withoutSecrets drops this program's credentials from an environment.
func withoutSecrets(env []string) []string {
	return slices.DeleteFunc(env, func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		switch name {
		case "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD", "CIMIMOVE_QUEUE":
			return true // of object stores and of the queue
		}
		return strings.HasPrefix(name, "CIMIMOVE_") && (strings.HasSuffix(name, "_PASSWORD") || strings.HasSuffix(name, "_TOKEN") || strings.HasSuffix(name, "_USER"))
	})
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if n := len(t.b) - outputLimit; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	return strings.TrimSpace(strings.ToValidUTF8(string(t.b), "?"))
}

// bare is an error of a request without the URL, whose path may be a secret.
func bare(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// call posts the document, again where that may help, until the deadline.
func (h Hook) call(ctx context.Context, document []byte) error {
	return Post(ctx, h.URL, document, nil, 4)
}

// Post sends a JSON document to a webhook, again where that may help, so many
// times at most. No error shows the URL, whose path may be a secret, and no redirect
// is followed.
func Post(ctx context.Context, to string, document []byte, header http.Header, attempts int) error {
	client := *fetch.NewClient()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer client.CloseIdleConnections()
	return fetch.Retry(ctx, fetch.Options{Attempts: attempts}, "webhook", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(document))
		if err != nil {
			return errors.New("not a URL")
		}
		for name, values := range header {
			req.Header[name] = values
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return bare(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			status := fetch.NewStatusError(resp)
			status.URL = "webhook"
			return status
		}
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		return err
	})
}

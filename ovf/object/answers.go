package object

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// maxAnswer bounds what is read of an answer, in bytes. None that a store has
// cause to give is larger: they list a thousand entries, or say what is wrong.
const maxAnswer = 8 << 20

// How long an exchange may take, in StallTimeouts. A store that puts an object
// together answers when it has done so, after minutes in which it sends white
// space or nothing.
const (
	wholeExchange  = 5
	assemblyBegins = 10
	wholeAssembly  = 60
)

// answers bounds what is read of the answers of a store, and how long they
// take: the library below waits for them without an end, and reads them to
// theirs. It makes errors of those after which a request is worth another
// attempt, with the time that the store asks to wait: the library knows nothing
// of that time. Objects are read past it, by package fetch.
type answers struct {
	http.RoundTripper
	stall time.Duration // negative: never
}

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	stall, whole := a.stall, wholeExchange*a.stall
	switch query := req.URL.Query(); {
	case query.Has("partNumber"):
		stall = -1 // sendPart watches it
	case req.Method == http.MethodPost && query.Has("uploadId"):
		stall, whole = assemblyBegins*a.stall, wholeAssembly*a.stall
	}
	ctx, cancel := req.Context(), context.CancelFunc(func() {})
	if stall > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, whole, fmt.Errorf("the answer takes longer than %v", whole))
	}
	body := &boundedBody{asked: req.Context(), left: maxAnswer}
	watched, watching, stop := fetch.Watch(ctx, fetch.Options{StallTimeout: stall}, body)
	body.watched, body.end = watched, func() { stop(); cancel() }
	resp, err := a.RoundTripper.RoundTrip(req.WithContext(watched))
	if err != nil {
		err = body.explain(err)
		body.end()
		return nil, err
	}
	body.ReadCloser = resp.Body
	resp.Body = readCloser{watching, body}
	if resp.StatusCode >= 400 {
		if again := (&fetch.StatusError{StatusCode: resp.StatusCode}); again.Temporary() {
			defer resp.Body.Close()
			resp.Request = req
			return nil, fetch.NewStatusError(resp)
		}
	}
	return resp, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// boundedBody is the body of an answer, no more than left bytes of it.
type boundedBody struct {
	io.ReadCloser
	asked, watched context.Context
	end            func()
	left           int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes: %w", maxAnswer, fetch.ErrRefused)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		err = b.explain(err)
	}
	return n, err
}

// explain makes of an error of the watch's making what the watch saw.
func (b *boundedBody) explain(err error) error {
	if cause := context.Cause(b.watched); cause != nil && b.asked.Err() == nil {
		return cause
	}
	return err
}

func (b *boundedBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

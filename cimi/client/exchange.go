package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// answer is what came for a request that succeeded.
type answer struct {
	status   int
	header   http.Header
	url      *url.URL // after redirects
	method   string
	body     []byte
	resource cimi.Resource // nil when the body is empty or no resource
}

func (a *answer) excerpt() []byte { return a.body[:min(len(a.body), maxExcerpt)] }

func (a *answer) unexpected(want string) error {
	return &cimi.Error{Status: http.StatusBadGateway, Method: a.method, URL: shown(a.url.String()), Body: a.excerpt(),
		Message: fmt.Sprintf("expected %s, the answer (%d, %s) is none", want, a.status, cut(a.header.Get("Content-Type"), maxCode))}
}

// send makes a request, again where that is safe, and decodes the answer as
// typeName where it does not say what it is.
func (c *Client) send(ctx context.Context, method, href string, r cimi.Resource, h http.Header, typeName string) (*answer, error) {
	var body []byte
	if r != nil {
		var buf bytes.Buffer
		encode := cimi.EncodeJSONIn
		if c.o.Format == "xml" {
			encode = cimi.EncodeXMLIn
		}
		if c.o.Capacity != (Capacity{}) {
			r = cimi.Clone(r)
			cimi.MapMeasures(r, c.o.Capacity.sent)
		}
		if err := encode(&buf, r, c.Version()); err != nil {
			return nil, err
		}
		body = buf.Bytes()
	}
	a, err := c.exchange(ctx, method, href, body, h)
	if err != nil {
		return nil, err
	}
	if err := c.decode(a, typeName); err != nil {
		return nil, err
	}
	if err := cimi.CountRead(ctx, len(a.body)); err != nil {
		return nil, err
	}
	return a, nil
}

// exchange sends a body, again where that is safe, and reads the answer as it is.
func (c *Client) exchange(ctx context.Context, method, href string, body []byte, h http.Header) (*answer, error) {
	var a *answer
	var final error
	err := fetch.Retry(ctx, c.o.Retry, shown(href), func(ctx context.Context) error {
		var err error
		a, err = c.authorized(ctx, method, href, body, h)
		if err != nil && ctx.Err() == nil && repeatable(method, err) {
			return err
		}
		final = err
		return nil
	})
	if err = errors.Join(err, final); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var e *cimi.Error
		if errors.As(err, &e) {
			return nil, e
		}
		return nil, err
	}
	return a, nil
}

// statusError is a refusal that may be tried again: both what the caller sees
// and what tells the retry how long to wait.
type statusError struct {
	refused *cimi.Error
	again   *fetch.StatusError
}

func (e *statusError) Error() string   { return e.refused.Error() }
func (e *statusError) Unwrap() []error { return []error{e.refused, e.again} }

// repeatable: reading can always be repeated. A change only when it cannot
// have been made: nobody was there to take it, or the cloud asks to come back later.
func repeatable(method string, err error) bool {
	if method == http.MethodGet || method == http.MethodHead {
		var se *cimi.SecurityError
		return !errors.As(err, &se)
	}
	var se *statusError
	if errors.As(err, &se) {
		return se.refused.RetryAfter > 0 && (se.refused.Status == http.StatusServiceUnavailable || se.refused.Status == http.StatusTooManyRequests)
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

var errSlow = fmt.Errorf("no whole answer within %v: %w", exchangeTimeout, context.DeadlineExceeded)

// inTime says of an error that time has made which time it was.
func inTime(ctx context.Context, err error) error {
	if context.Cause(ctx) == errSlow {
		return errSlow
	}
	return err
}

func (c *Client) once(ctx context.Context, method, href string, body []byte, h http.Header) (*answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, exchangeTimeout, errSlow)
	defer cancel()
	u, err := url.Parse(href)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &cimi.Error{Method: method, URL: shown(href), Message: "not an http or https URL"}
	}
	if u.User != nil {
		return nil, &cimi.SecurityError{URL: shown(href), Message: "refused", Err: fetch.ErrUserInfo}
	}
	c.secure(u)
	if method != http.MethodGet && method != http.MethodHead && c.entry.Scheme == "https" && u.Scheme == "http" {
		// It may hold a password, or a URL that is one.
		return nil, &cimi.SecurityError{URL: shown(href), Message: "the cloud is reached over https and names this URL for a change; nothing is sent there in the clear"}
	}
	u.Fragment = ""
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	for k, v := range h {
		req.Header[k] = v
	}
	media := "application/" + c.o.Format // bare: some clouds refuse parameters
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", media)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", media)
	}
	if err := c.authorize(req); err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, networkError(method, href, inTime(ctx, err))
	}
	defer resp.Body.Close()
	if err := uncompress(resp); err != nil {
		return nil, networkError(method, href, inTime(ctx, err))
	}
	if resp.StatusCode >= 400 || resp.StatusCode >= 300 && resp.StatusCode != http.StatusNotModified {
		return nil, refusal(resp)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, cimi.MaxBody+1))
	if err != nil {
		return nil, networkError(method, href, inTime(ctx, err))
	}
	return &answer{status: resp.StatusCode, header: resp.Header, url: resp.Request.URL, method: method, body: b}, nil
}

// decode reads the body as a resource, JSON or XML by what it looks like: not
// every cloud labels it right.
func (c *Client) decode(a *answer, typeName string) error {
	text := bytes.TrimSpace(bytes.TrimPrefix(a.body, []byte("\xef\xbb\xbf")))
	if len(text) == 0 {
		return nil
	}
	var r cimi.Resource
	var err error
	switch text[0] {
	case '{':
		r, err = cimi.DecodeJSONAs(text, typeName)
	case '<':
		if looksLikeHTML(text) {
			err = errors.New("an HTML page")
		} else {
			r, err = cimi.DecodeXMLAs(text, typeName)
		}
	default:
		err = errors.New("neither JSON nor XML")
	}
	if err != nil {
		if a.method != http.MethodGet {
			return nil // the change was taken; how it was confirmed does not matter
		}
		return &cimi.Error{Status: http.StatusBadGateway, Method: a.method, URL: shown(a.url.String()),
			Message: cut("the answer is no CIMI resource: "+err.Error(), maxMessage), Body: a.excerpt(), Err: err}
	}
	cimi.MapMeasures(r, c.o.Capacity.received)
	if typeName != "CloudEntryPoint" {
		cimi.MapURIs(r, c.resolve)
	}
	cimi.NameHeld(r)
	cimi.Upgrade(r)
	a.resource = r
	return nil
}

func looksLikeHTML(b []byte) bool {
	head := strings.ToLower(string(b[:min(len(b), 256)]))
	return strings.Contains(head, "<html") || strings.Contains(head, "<!doctype")
}

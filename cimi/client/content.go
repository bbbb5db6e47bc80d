package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Open reads bytes the cloud offers, as long as ctx lasts, with retries and
// resumption (package fetch).
func (c *Client) Open(ctx context.Context, href string) (cimi.Content, error) {
	o := c.o.Retry
	o.Client, o.Authorize, o.Shown = c.http, c.authorize, shown
	if c.o.Renew != nil {
		o.Renew = c.renew
	}
	if o.FirstAttempts == 0 {
		o.FirstAttempts = 6 // an export may have to be made ready
	}
	if o.ReadFirst == 0 {
		o.ReadFirst = 64 << 10 // of what another fetches directly, this is all that passes here
	}
	url := c.resolve(href)
	f, err := fetch.Open(ctx, url, o)
	if err != nil {
		var se *fetch.StatusError
		if errors.As(err, &se) {
			e := &cimi.Error{Status: se.StatusCode, Method: http.MethodGet, URL: se.URL, RetryAfter: int(se.RetryAfter.Seconds()), Err: se}
			explain(e, []byte(se.Body))
			return nil, e
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, networkError(http.MethodGet, url, err)
	}
	return &content{f: f, ctx: ctx, at: f.At(ctx)}, nil
}

// content is a fetch.File as cimi.Content.
type content struct {
	f   *fetch.File
	ctx context.Context
	at  io.ReaderAt

	mu  sync.Mutex
	seq *fetch.Reader // where the server has no Range
	off int64
}

func (c *content) Size() int64  { return c.f.Size() }
func (c *content) Ranged() bool { return c.f.Ranges() && c.f.Size() >= 0 }

func (c *content) Version() string {
	tag := c.f.Identity().ETag
	if strings.HasPrefix(tag, "W/") {
		return ""
	}
	return strings.Trim(tag, `"`)
}

func (c *content) ReadAt(p []byte, off int64) (int, error) {
	if c.Ranged() {
		return c.at.ReadAt(p, off)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if off != c.off {
		return 0, fmt.Errorf("%s: read at %d after %d: %w", c.f.URL(), off, c.off, fetch.ErrNoRange)
	}
	if c.seq == nil {
		c.seq = c.f.Reader(c.ctx, 0, -1)
	}
	n, err := io.ReadFull(c.seq, p)
	c.off += int64(n)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// Stream reads n bytes from off in one request, as they come.
func (c *content) Stream(ctx context.Context, off, n int64) io.ReadCloser {
	if c.Ranged() {
		return c.f.Reader(ctx, off, n)
	}
	return io.NopCloser(io.NewSectionReader(c, off, n))
}

func (c *content) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seq != nil {
		_ = c.seq.Close()
	}
	return c.f.Close()
}

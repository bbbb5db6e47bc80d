package provider

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// destination is where an export is put to (5.13.1.2).
type destination struct {
	url   string
	creds *importRequest
}

func (p *Provider) parseDestination(a *cimi.Action) (*destination, error) {
	u, err := url.Parse(a.Destination)
	switch {
	case err != nil || u.Host == "" || !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https"):
		return nil, cimi.Errorf(http.StatusBadRequest, "destination: expected an http or https URL")
	case u.User != nil:
		return nil, cimi.Errorf(http.StatusBadRequest, "destination: credentials in a URI are refused; give them as properties http.user and http.password")
	case len(p.opts.AllowSources) == 0:
		return nil, cimi.Errorf(http.StatusForbidden, "destination: %w: this cloud puts to no network", errSourceRefused)
	}
	d := &destination{url: a.Destination, creds: &importRequest{}}
	for key, v := range a.Properties {
		switch key {
		case "http.user":
			d.creds.user = v
		case "http.password":
			d.creds.password = v
		case "http.token":
			d.creds.token = v
		default:
			return nil, cimi.Errorf(http.StatusBadRequest, "property %.80q means nothing to an export", key)
		}
	}
	return d, nil
}

const putAttempts = 4

// put sends the package with its exact length, anew when that fails in a way
// that may pass. Redirects are not followed: they would cost the whole body.
func (p *Provider) put(ctx context.Context, d *destination, x host.Export, progress func(done, total int64)) error {
	client := *p.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	wait := time.Second
	for attempt := 1; ; attempt++ {
		err := p.putOnce(ctx, &client, d, x, progress)
		if err == nil || ctx.Err() != nil || attempt == putAttempts || !fetch.Temporary(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait *= 2
	}
}

func (p *Provider) putOnce(ctx context.Context, client *http.Client, d *destination, x host.Export, progress func(done, total int64)) error {
	body := &counted{r: io.NewSectionReader(x, 0, x.Size()), total: x.Size(), progress: progress}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, d.url, body)
	if err != nil {
		return err
	}
	req.ContentLength = x.Size()
	req.Header.Set("Content-Type", "application/ovf")
	if err := d.creds.authorize(req); err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		if body.err != nil {
			return body.err // reading our own disks, not sending
		}
		return fmt.Errorf("PUT %s: %w", fetch.Redact(d.url), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fetch.NewStatusError(resp)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return err
}

// counted tells how much of a body has gone, and why reading it failed.
type counted struct {
	r           io.Reader
	done, total int64
	progress    func(done, total int64)
	err         error
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err != nil && err != io.EOF {
		c.err = err
	}
	c.done += int64(n)
	c.progress(c.done, c.total)
	return n, err
}

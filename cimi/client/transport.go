package client

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// headerTimeout bounds the wait for the head of an answer.
const headerTimeout = 2 * time.Minute

// exchangeTimeout bounds one exchange of documents; Open has no such bound.
const exchangeTimeout = 5 * time.Minute

const maxRedirects = 5

// maxHead bounds the head of an answer, in bytes.
const maxHead = 1 << 20

func newHTTPClient(o Options) (*http.Client, error) {
	c, err := fetch.Connection{CA: o.CA, Pin: o.Pin, Insecure: o.Insecure, Proxy: o.Proxy, HandshakeTimeout: o.HandshakeTimeout}.Client()
	if err != nil {
		return nil, err
	}
	t := c.Transport.(*http.Transport)
	t.MaxIdleConnsPerHost = 16
	t.ResponseHeaderTimeout = headerTimeout
	t.MaxResponseHeaderBytes = maxHead
	return &http.Client{Transport: t, CheckRedirect: checkRedirect}, nil
}

// checkRedirect follows a few redirects, never to weaker transport, never
// with credentials to another origin, and never turning a change into a read.
func checkRedirect(req *http.Request, via []*http.Request) error {
	last := via[len(via)-1]
	refuse := func(why string) error {
		return &cimi.SecurityError{URL: shown(last.URL.String()), Message: "redirect to " + shown(req.URL.String()) + ": " + why}
	}
	switch {
	case len(via) > maxRedirects:
		return cimi.Errorf(http.StatusBadGateway, "more than %d redirects, perhaps in a circle", maxRedirects)
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return refuse("not http or https")
	case last.URL.Scheme == "https" && req.URL.Scheme == "http":
		return refuse("from https to http")
	case req.URL.User != nil:
		return refuse("credentials in the URL")
	case req.Method != via[0].Method:
		return http.ErrUseLastResponse
	}
	if !sameOrigin(req.URL, via[0].URL) {
		if via[0].Method != http.MethodGet && via[0].Method != http.MethodHead {
			return refuse("a change is not sent to another host")
		}
		req.Header.Del("Authorization")
		req.Header.Del("Referer") // the URL before it, whose query may be a signature
	}
	return nil
}

// secure makes https of an http URL of a cloud that is reached over https: one
// behind what ends TLS for it may not know, and names itself as it is asked. Another
// port is another server, but for those that neither URL names.
func (c *Client) secure(u *url.URL) {
	if c.entry.Scheme != "https" || u.Scheme != "http" || !strings.EqualFold(u.Hostname(), c.entry.Hostname()) {
		return
	}
	usual := (u.Port() == "" || u.Port() == "80") && (c.entry.Port() == "" || c.entry.Port() == "443")
	if usual || u.Port() == c.entry.Port() {
		u.Scheme, u.Host = "https", c.entry.Host
	}
}

// uncompress puts what an answer in gzip holds in its place: some send that
// whether or not it was asked for.
func uncompress(resp *http.Response) error {
	if !strings.EqualFold(strings.TrimSpace(resp.Header.Get("Content-Encoding")), "gzip") {
		return nil
	}
	b := bufio.NewReader(resp.Body)
	if _, err := b.Peek(1); err == io.EOF {
		return nil // no body
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{z, resp.Body}
	return nil
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(hostPort(a), hostPort(b))
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return u.Host + ":443"
	}
	return u.Host + ":80"
}

// authorize adds credentials to requests for the endpoint's own origin.
func (c *Client) authorize(req *http.Request) error {
	req.Header.Set("User-Agent", c.o.UserAgent)
	if !sameOrigin(req.URL, c.entry) {
		return nil
	}
	c.mu.Lock()
	l := c.login
	c.mu.Unlock()
	switch {
	case l.token != "":
		req.Header.Set("Authorization", "Bearer "+l.token)
	case l.user != "" || l.password != "":
		req.SetBasicAuth(l.user, l.password)
	}
	return nil
}

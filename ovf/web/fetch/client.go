package fetch

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxRedirects = 10

// NewClient is an HTTP client for long transfers: proxies from the
// environment, limits on connecting and on TLS, none on the whole, and bodies
// as they are stored (no transparent decompression).
func NewClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   20 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
	}}
}

// restrict is c with the redirects that this package follows: a few, to http
// and https only, not from https to http, and with nothing but what a ranged
// request needs when the host changes.
func restrict(c *http.Client) *http.Client {
	limited := *c
	limited.Timeout = 0
	limited.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0]
		switch {
		case len(via) > maxRedirects:
			return fmt.Errorf("more than %d redirects: %w", maxRedirects, ErrRefused)
		case req.URL.Scheme != "http" && req.URL.Scheme != "https":
			return fmt.Errorf("redirect to a %s URL: %w", req.URL.Scheme, ErrRefused)
		case via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme == "http":
			return fmt.Errorf("redirect from https to http: %w", ErrRefused)
		case req.URL.User != nil:
			return fmt.Errorf("redirect to a URL with credentials: %w", ErrRefused)
		}
		if !sameOrigin(req.URL, first.URL) {
			for name := range req.Header {
				switch name {
				case "Range", "If-Range", "Accept", "Accept-Encoding", "User-Agent":
				default:
					req.Header.Del(name)
				}
			}
		}
		return nil
	}
	return &limited
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host)
}

// parseURL takes an http or https URL without credentials.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: not a URL: %w", Redact(raw), ErrRefused)
	case u.User != nil:
		return nil, fmt.Errorf("%s: %w", Redact(raw), ErrUserInfo)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%s: scheme %q is not http or https: %w", Redact(raw), u.Scheme, ErrRefused)
	case u.Host == "":
		return nil, fmt.Errorf("%s: URL without a host: %w", Redact(raw), ErrRefused)
	}
	return u, nil
}

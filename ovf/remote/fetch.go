package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/members"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// fetch begins to fetch a file, or its next chunk; nil where there is no more
// of it.
func (g *Gathered) fetch(ctx context.Context, f *far) (*ovf.Member, error) {
	from, name := f.url, f.name
	if size := f.file.ChunkSize; size > 0 {
		if last := (f.file.Size - 1) / size; g.chunk > 0 && f.file.Size >= 0 && int64(g.chunk) > last {
			return nil, nil
		}
		from, name = manifest.ChunkName(from, g.chunk), manifest.ChunkName(name, g.chunk)
	} else if g.chunk > 0 {
		return nil, nil
	}
	in, err := fetch.Open(ctx, from, g.opts.Fetch)
	var status *fetch.StatusError
	if errors.As(err, &status) && (status.StatusCode == http.StatusNotFound || status.StatusCode == http.StatusGone) {
		if g.chunk > 0 && f.file.Size < 0 {
			return nil, nil // where nobody says how many there are, that was the last one
		}
		missing := &ovf.MissingFileError{Package: g.below.Name(), Href: g.opts.Fetch.Name(from), FileID: f.file.ID}
		for _, d := range g.below.Envelope().Disks() {
			if d.FileRef == f.file.ID {
				missing.Disks = append(missing.Disks, d.ID)
			}
		}
		return nil, missing
	}
	if err != nil {
		return nil, fmt.Errorf("%s: File %s: %w", g.below.Name(), f.file.ID, err)
	}
	g.chunk++
	body := in.Reader(ctx, 0, -1)
	g.body = both{body, in}
	// The manifest knows the file by its URL (7.1).
	g.current = g.checker.Reader(from, in.Size(), members.WithContext(ctx, body))
	return &ovf.Member{Name: name, Size: in.Size(), Reader: g.current}, nil
}

type both [2]io.Closer

func (b both) Close() error { return errors.Join(b[0].Close(), b[1].Close()) }

// allowed says whether a URL is one from which to fetch.
func (g *Gathered) allowed(u *url.URL) bool {
	return g.opts.Anywhere && !onTheLink(u.Hostname()) || g.ofOrigin(u)
}

func (g *Gathered) ofOrigin(u *url.URL) bool {
	return g.origin != nil && strings.EqualFold(u.Scheme, g.origin.Scheme) && strings.EqualFold(host(u), host(g.origin))
}

// host is a URL's host with its port, the default one too.
func host(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// onTheLink says whether a host is written as an address that no package has
// business with: of the link (where clouds tell machines their secrets),
// unspecified, or of many.
func onTheLink(hostname string) bool {
	a, err := netip.ParseAddr(strings.Trim(hostname, "[]"))
	return err == nil && forbidden(a)
}

func forbidden(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalMulticast() || a == awsV6
}

// awsV6 is where Amazon's cloud answers what it answers on 169.254.169.254.
var awsV6 = netip.MustParseAddr("fd00:ec2::254")

// guarded are the options of each fetch: its client asks no server that is not
// allowed, redirected or not, and connects to no address of the link.
func (g *Gathered) guarded() fetch.Options {
	o := g.opts.Fetch
	client := o.Client
	if client == nil {
		client = fetch.NewClient()
	}
	guarded := *client
	next := guarded.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	guarded.Transport = &gate{g: g, next: linkless(next)}
	o.Client = &guarded
	if authorize := o.Authorize; authorize != nil {
		o.Authorize = func(r *http.Request) error {
			if !g.ofOrigin(r.URL) {
				return nil
			}
			return authorize(r)
		}
	}
	return o
}

// gate lets requests pass to servers that are allowed.
type gate struct {
	g    *Gathered
	next http.RoundTripper
}

func (t *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.g.allowed(r.URL) {
		return nil, &RefusedError{Package: t.g.below.Name(), Href: t.g.opts.Fetch.Name(r.URL.String()), FileID: "(redirected)"}
	}
	return t.next.RoundTrip(r)
}

// linkless is a transport that connects to no address of the link, whatever
// name leads there. Where a proxy dials, that is the proxy's to refuse.
func linkless(next http.RoundTripper) http.RoundTripper {
	t, ok := next.(*http.Transport)
	if !ok {
		return next
	}
	t = t.Clone()
	dial := t.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if at, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil && forbidden(at.Addr()) {
			c.Close()
			return nil, fmt.Errorf("address %s: is one of the link: %w", at.Addr(), fetch.ErrRefused)
		}
		return c, nil
	}
	return t
}

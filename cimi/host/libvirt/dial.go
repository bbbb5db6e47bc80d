package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
)

// ErrUserInfo: a user name stood in the URI.
var ErrUserInfo = errors.New("user name or password in the URI; give them as CIMIMOVE_SOURCE_USER and CIMIMOVE_SOURCE_PASSWORD (or CIMIMOVE_DESTINATION_…)")

// dialTimeout bounds making one connection.
const dialTimeout = 20 * time.Second

// transport opens connections to the libvirtd that a URI names.
type transport interface {
	dial(ctx context.Context) (net.Conn, error)
	Close() error
}

// newTransport reads a URI as libvirt has them (libvirt.org/uri.html):
// driver[+transport]://[host][:port]/path?parameters. A host without a transport
// means TLS.
func newTransport(u *url.URL, opts Options) (transport, error) {
	if u.User != nil {
		return nil, ErrUserInfo
	}
	_, kind, _ := strings.Cut(u.Scheme, "+")
	if kind == "" && u.Host != "" {
		kind = "tls"
	}
	q := u.Query()
	switch kind {
	case "", "unix":
		if u.Host != "" {
			return nil, fmt.Errorf("a unix socket is of this machine, the URI names the host %s: %w", u.Host, host.ErrUnsupported)
		}
		return unixSocket(socketPath(u)), nil
	case "tls":
		return newTLS(u, opts)
	case "ssh", "libssh", "libssh2":
		return newSSH(u, opts, first(q.Get("socket"), "/var/run/libvirt/libvirt-sock"))
	}
	return nil, fmt.Errorf("transport %q: %w; there are unix, tls and ssh", kind, host.ErrUnsupported)
}

// socketPath is where libvirtd listens: the one of the system, or of this user's session.
func socketPath(u *url.URL) string {
	if s := u.Query().Get("socket"); s != "" {
		return s
	}
	if u.Path != "/session" {
		return "/var/run/libvirt/libvirt-sock"
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		return filepath.Join(d, "libvirt", "libvirt-sock")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "."
	}
	return filepath.Join(cache, "libvirt", "libvirt-sock")
}

type unixSocket string

func (s unixSocket) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "unix", string(s))
	if err != nil {
		return nil, fmt.Errorf("%w; does libvirtd run?", err)
	}
	return c, nil
}

func (unixSocket) Close() error { return nil }

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// localURI is what the libvirtd at the other end is asked to open: the URI
// without how to get there.
func localURI(u *url.URL) string {
	driver, _, _ := strings.Cut(u.Scheme, "+")
	if name := u.Query().Get("name"); name != "" {
		return name
	}
	return (&url.URL{Scheme: driver, Path: u.Path, RawPath: u.RawPath}).String() // no host: three slashes
}

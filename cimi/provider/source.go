package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/dir"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/remote"
	"github.com/cimimove/cimimove/ovf/web"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// newClient is the HTTP client for sources and destinations. Every address is
// judged when it is dialled, after resolution, so that neither a redirect nor
// a name that resolves anew reaches what is not allowed; no proxy stands
// between, which would dial for us.
func (p *Provider) newClient() *http.Client {
	c := fetch.NewClient()
	t, ok := c.Transport.(*http.Transport)
	if p.opts.Transport != nil {
		t, ok = p.opts.Transport.Clone(), true
	}
	if !ok {
		t = &http.Transport{}
	}
	t.Proxy = nil
	t.DisableCompression = true
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		return p.allowed(address)
	}}
	t.DialContext, t.DialTLSContext = dialer.DialContext, nil
	c.Transport = t
	return c
}

// allowed judges an address to be dialled.
func (p *Provider) allowed(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %s: %w", address, errSourceRefused)
	}
	for _, prefix := range p.opts.AllowSources {
		if prefix.Contains(ap.Addr().Unmap()) || prefix.Contains(ap.Addr()) {
			return nil
		}
	}
	return fmt.Errorf("address %s: %w: it is in no network that imports and exports may reach", ap.Addr(), errSourceRefused)
}

// openSource judges a source URI and gives what opens the package there.
func (p *Provider) openSource(source string, r *importRequest) (opener, error) {
	if source == "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "source: missing")
	}
	u, err := url.Parse(source)
	if err != nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "source: not a URI: %.200q", source)
	}
	if u.User != nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "source: credentials in a URI are refused; give them as properties http.user and http.password")
	}
	switch strings.ToLower(u.Scheme) {
	case "http", "https":
		if len(p.opts.AllowSources) == 0 {
			return nil, cimi.Errorf(http.StatusForbidden, "source: %w: this cloud fetches from no network", errSourceRefused)
		}
		opts := web.Options{Late: true, Fetch: fetch.Options{Client: p.client, Authorize: r.authorize, StallTimeout: p.opts.StallTimeout}}
		return func(ctx context.Context) (ovf.Package, error) {
			pkg, err := web.Open(ctx, source, opts)
			if err != nil {
				return nil, err
			}
			// What a descriptor names elsewhere is fetched from its own server only.
			return remote.Open(pkg, remote.Options{Origin: source, Fetch: opts.Fetch})
		}, nil
	case "file":
		path, err := p.allowedFile(u)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (ovf.Package, error) {
			pkg, err := openFile(ctx, path)
			if err != nil {
				return nil, err
			}
			return remote.Open(pkg, remote.Options{})
		}, nil
	}
	return nil, cimi.Errorf(http.StatusBadRequest, "source: scheme %.40q is none of http, https, file", u.Scheme)
}

// openFile opens a package by what the file is, whatever its name (mapping.md,
// "Import and export"): XML is a descriptor, anything else an OVA.
func openFile(ctx context.Context, path string) (ovf.Package, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return files.Open(ctx, path, files.OpenOptions{})
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	start := make([]byte, 512)
	n, err := io.ReadFull(f, start)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, errors.Join(err, f.Close())
	}
	switch named := strings.EqualFold(filepath.Ext(path), ".ovf"); {
	case web.LooksXML(start[:n]):
		if err := f.Close(); err != nil {
			return nil, err
		}
		return dir.Open(ctx, path, dir.Options{})
	case named:
		pkg, err := ova.Open(ctx, f, info.Size(), path, ova.Options{})
		if errors.Is(err, ova.ErrCompressed) {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			var stream ovf.Package
			if stream, err = ova.Read(ctx, f, path, ova.Options{}); err == nil {
				return stream, nil
			}
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return pkg, nil
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return files.Open(ctx, path, files.OpenOptions{})
}

// allowedFile is the path of a file: URI, links resolved, below an allowed folder.
func (p *Provider) allowedFile(u *url.URL) (string, error) {
	refused := cimi.Errorf(http.StatusForbidden, "source: %w: the file lies below no folder that imports may read", errSourceRefused)
	if u.Host != "" && u.Host != "localhost" || !filepath.IsAbs(u.Path) {
		return "", cimi.Errorf(http.StatusBadRequest, "source: expected file:///absolute/path")
	}
	path, err := filepath.EvalSymlinks(filepath.Clean(u.Path))
	if err != nil {
		return "", refused // what is not there is no different from what may not be seen
	}
	for _, dir := range p.opts.AllowDirs {
		dir, err := filepath.Abs(dir)
		if err != nil {
			continue
		}
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			continue
		}
		if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
			return path, nil
		}
	}
	return "", refused
}

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/host/vsphere"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// openLibvirt opens the libvirtd that e names.
func openLibvirt(ctx context.Context, e Endpoint, o Options, n Named) (cimi.Provider, error) {
	c, err := gather(ctx, o.Side, o, n)
	if err != nil {
		return nil, err
	}
	opts := libvirt.Options{User: c.User, Password: c.Password, Pin: first(o.Pin, n.TLSPin), Insecure: o.Insecure || n.Insecure, Stall: o.StallTimeout}
	if file := first(o.CAFile, n.CAFile); file != "" {
		if opts.CA, err = os.ReadFile(file); err != nil {
			return nil, &ConfigError{file, err}
		}
	}
	return overHypervisor(ctx, e, o, func(k *claim) (host.Host, error) {
		opts.Owner, opts.Heirs = k.Owner, k.Heirs
		return libvirt.Open(ctx, e.URL, opts)
	})
}

// openVSphere opens the vCenter that e names.
func openVSphere(ctx context.Context, e Endpoint, o Options, n Named) (cimi.Provider, error) {
	c, err := gather(ctx, o.Side, o, n)
	if err != nil {
		return nil, err
	}
	if c.User == "" {
		side := strings.ToUpper(string(o.Side))
		return nil, &cimi.SecurityError{Message: fmt.Sprintf("a vCenter asks for a user name and a password: set CIMIMOVE_%s_USER and CIMIMOVE_%[1]s_PASSWORD, or name the endpoint in the configuration file", side)}
	}
	opts := vsphere.Options{User: c.User, Password: c.Password, Retry: fetch.Options{StallTimeout: o.StallTimeout, OnRetry: o.OnRetry},
		Connection: fetch.Connection{Pin: first(o.Pin, n.TLSPin), Insecure: o.Insecure || n.Insecure, Proxy: first(o.Proxy, n.Proxy), HandshakeTimeout: o.HandshakeTimeout}}
	if file := first(o.CAFile, n.CAFile); file != "" {
		if opts.Connection.CA, err = os.ReadFile(file); err != nil {
			return nil, &ConfigError{file, err}
		}
	}
	return overHypervisor(ctx, e, o, func(k *claim) (host.Host, error) {
		opts.Owner, opts.Heirs = k.Owner, k.Heirs
		h, err := vsphere.Open(ctx, e.URL, opts)
		if errors.Is(err, host.ErrNotFound) {
			return nil, &ConfigError{e.Name, err} // what the URL names is not there
		}
		return h, err
	})
}

// overHypervisor opens a hypervisor and shows it as a cloud, whose own state
// lies in a place among those of this machine's processes.
func overHypervisor(ctx context.Context, e Endpoint, o Options, open func(*claim) (host.Host, error)) (cimi.Provider, error) {
	dir, err := stateDir(o)
	if err != nil {
		return nil, err
	}
	k, err := claimed(dir, e.URL)
	if err != nil {
		return nil, err
	}
	h, err := open(k)
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	p, err := overHost(ctx, h, e, o, k.Database)
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return &claiming{packageCloud: p.(packageCloud), k: k}, nil
}

// claiming gives the place back when the cloud is closed.
type claiming struct {
	packageCloud
	k *claim
}

func (c *claiming) Close() error { return errors.Join(c.packageCloud.Close(), c.k.Close()) }

// Unwrap gives the Provider itself, for what only one kind of it can do. It is
// not to be closed.
func (c *claiming) Unwrap() cimi.Provider { return c.packageCloud }

// stateDir is where state of this machine lies: as the journal's, beside which
// it is.
func stateDir(o Options) (string, error) {
	if o.StateDir != "" {
		return filepath.Abs(o.StateDir)
	}
	if d := o.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "cimimove"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "cimimove"), nil
}

// checkHypervisor refuses URIs with credentials; what else they may hold is the
// hypervisor's business.
func checkHypervisor(name, uri string) error {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return &NameError{redact(name), ErrNotURI}
	}
	if u.User != nil {
		return &NameError{redact(name), ErrUserInfo}
	}
	return nil
}

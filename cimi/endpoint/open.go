package endpoint

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Options of Open. The zero value opens without credentials and trusts the
// system's certificate authorities.
type Options struct {
	Side Side
	// ConfigFile names the configuration file; empty is the default one, which
	// need not exist.
	ConfigFile string
	// PasswordFile holds the password; its last line end does not count.
	PasswordFile string
	// Getenv reads the environment; nil is os.Getenv.
	Getenv func(string) string

	CAFile   string
	Pin      string
	Insecure bool
	Proxy    string
	// HandshakeTimeout bounds the making of a TLS connection; 0: the library's.
	HandshakeTimeout time.Duration
	// StallTimeout is how long a server may give nothing before it is given up.
	StallTimeout time.Duration
	// OnRetry is told of requests that failed and are made again; nil: nobody.
	OnRetry func(fetch.Attempt)
	// AllowSources and AllowDirs say what an import into an embedded cloud may
	// fetch from (provider.Options).
	AllowSources []netip.Prefix
	AllowDirs    []string
	// LeaveAbsent is for who only looks: the folder of a local cloud that is not
	// there yet is not made. What opens is an empty cloud, gone at Close.
	LeaveAbsent bool
	// StateDir holds what hypervisors have no place for; empty is where the
	// journal lies by default.
	StateDir string
}

// Opened is a cloud that is ready.
type Opened struct {
	cimi.Provider
	Endpoint
	// Credentials are those of a CIMI cloud that wants some.
	Credentials Credentials

	// passing is the folder of an empty cloud in place of one that is not there.
	passing string
}

// Close closes the cloud.
func (o *Opened) Close() error {
	err := o.Provider.Close()
	if o.passing != "" {
		err = errors.Join(err, os.RemoveAll(o.passing))
	}
	return err
}

// Open opens the cloud that a user names.
func Open(ctx context.Context, name string, o Options) (*Opened, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	var named Named
	target := name
	if strings.HasPrefix(name, "@") {
		file, required := o.ConfigFile, o.ConfigFile != ""
		if !required {
			file = DefaultConfigFile(o.Getenv)
		}
		c, err := LoadConfig(file, required)
		if err != nil {
			return nil, err
		}
		if named, err = c.Lookup(name); err != nil {
			return nil, err
		}
		target = named.URL
	}
	e, err := Parse(target)
	if err != nil {
		return nil, err
	}
	e.Name = name
	e.Disks = named.Disks
	e.Insecure = named.Insecure
	if e.Bandwidth, e.Transfers, err = named.limits(); err != nil {
		return nil, &NameError{name, err}
	}
	var p cimi.Provider
	var login Credentials
	var passing string
	switch e.Kind {
	case CIMI:
		if login, err = gather(ctx, o.Side, o, named); err == nil {
			p, err = openCIMI(ctx, e, o, named, login)
		}
	case Local:
		dir := e.Dir
		if o.LeaveAbsent {
			if passing, err = inPlaceOf(e.Dir); err != nil {
				return nil, &NameError{e.Name, err}
			}
			dir = first(passing, dir)
		}
		p, err = openLocal(ctx, e, dir, o)
	case Libvirt:
		p, err = openLibvirt(ctx, e, o, named)
	case VSphere:
		p, err = openVSphere(ctx, e, o, named)
	}
	if err != nil {
		if passing != "" {
			err = errors.Join(err, os.RemoveAll(passing))
		}
		return nil, &NameError{e.Name, err}
	}
	return &Opened{Provider: p, Endpoint: e, Credentials: login, passing: passing}, nil
}

// inPlaceOf makes an empty folder for the time that a cloud is looked at whose own
// is not there: beside it, so that space is counted where it would lie. It is empty
// where dir is there.
func inPlaceOf(dir string) (string, error) {
	// A link that leads nowhere is there: no folder can be made in its place.
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return "", nil // what else is wrong with it, opening tells
	}
	parent := filepath.Dir(dir)
	for parent != filepath.Dir(parent) {
		if _, err := os.Lstat(parent); err == nil {
			break
		}
		parent = filepath.Dir(parent)
	}
	passing, err := os.MkdirTemp(parent, ".cimimove-absent-*")
	var failed *os.PathError
	if errors.As(err, &failed) {
		failed.Path = dir // which could not be made either
	}
	return passing, err
}

func openCIMI(ctx context.Context, e Endpoint, o Options, n Named, c Credentials) (cimi.Provider, error) {
	opts := client.Options{User: c.User, Password: c.Password, Token: c.Token, Pin: first(o.Pin, n.TLSPin),
		Insecure: o.Insecure || n.Insecure, Proxy: first(o.Proxy, n.Proxy), HandshakeTimeout: o.HandshakeTimeout, Retry: fetch.Options{StallTimeout: o.StallTimeout, OnRetry: o.OnRetry}}
	if c != (Credentials{}) {
		opts.Renew = func(ctx context.Context) (user, password, token string, err error) {
			now, err := gather(ctx, o.Side, o, n)
			return now.User, now.Password, now.Token, err
		}
	}
	if file := first(o.CAFile, n.CAFile); file != "" {
		var err error
		if opts.CA, err = os.ReadFile(file); err != nil {
			return nil, &ConfigError{file, err}
		}
	}
	return client.New(ctx, e.URL, opts)
}

func openLocal(ctx context.Context, e Endpoint, dir string, o Options) (cimi.Provider, error) {
	h, err := local.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	database := filepath.Join(dir, "cimi.db")
	r, err := local.Run(ctx, h)
	if errors.Is(err, local.ErrNoEmulator) {
		return overHost(ctx, h, e, o, database) // start is not offered
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return overHost(ctx, r, e, o, database)
}

// overHost shows a host as a cloud, whose own state lies in database.
func overHost(ctx context.Context, h host.Host, e Endpoint, o Options, database string) (cimi.Provider, error) {
	p, err := provider.New(ctx, h, provider.Options{
		Database: database, Name: cloudName(e), Description: fmt.Sprintf("the cloud %s", e.Name),
		AllowSources: o.AllowSources, AllowDirs: o.AllowDirs, StallTimeout: o.StallTimeout,
	})
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return p, nil
}

// cloudName is what a cloud is called at its entry point.
func cloudName(e Endpoint) string {
	if e.Dir == "" {
		return e.Name
	}
	return filepath.Base(e.Dir)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// limits of a named endpoint.
func (n Named) limits() (bandwidth int64, transfers int, err error) {
	if n.Bandwidth != "" {
		b, err := humanize.ParseBytes(n.Bandwidth)
		if err != nil || b == 0 || b > math.MaxInt64 {
			return 0, 0, &ConfigError{"bandwidth", fmt.Errorf("%q is no size such as 50MiB", n.Bandwidth)}
		}
		bandwidth = int64(b)
	}
	if n.Disks < 0 {
		return 0, 0, &ConfigError{"disks", errors.New("is not negative")}
	}
	if n.Transfers < 0 {
		return 0, 0, &ConfigError{"transfers", errors.New("is not negative")}
	}
	return bandwidth, n.Transfers, nil
}

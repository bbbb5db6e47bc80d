package endpoint

import (
	"context"
	"errors"
	"sync"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/provider"
)

// Pool opens each cloud once, however many migrations use it: an embedded
// cloud can be open only once, and a connection is worth keeping. Its methods
// may be called concurrently.
type Pool struct {
	mu     sync.Mutex
	opened map[string]*Opened
}

// Open is Open, but for the Close of what it gives, which does nothing: the
// Pool closes.
func (p *Pool) Open(ctx context.Context, name string, o Options) (*Opened, error) {
	key := string(o.Side) + " " + name
	if e, err := Parse(name); err == nil && e.Kind == Local {
		key = e.Dir
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.opened[key]; e != nil {
		return &Opened{Provider: held(e.Provider), Endpoint: e.Endpoint, Credentials: e.Credentials}, nil
	}
	e, err := Open(ctx, name, o)
	if err != nil {
		return nil, err
	}
	if p.opened == nil {
		p.opened = map[string]*Opened{}
	}
	p.opened[key] = e
	return &Opened{Provider: held(e.Provider), Endpoint: e.Endpoint, Credentials: e.Credentials}, nil
}

// Close closes every cloud that was opened.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, e := range p.opened {
		errs = append(errs, e.Close())
	}
	p.opened = nil
	return errors.Join(errs...)
}

// held hides Close and keeps the ability to take packages.
func held(p cimi.Provider) cimi.Provider {
	if i, ok := p.(packageCloud); ok {
		return heldPackageCloud{i}
	}
	return heldCloud{p}
}

type packageCloud interface {
	cimi.Provider
	provider.PackageImporter
}

type (
	heldCloud        struct{ cimi.Provider }
	heldPackageCloud struct{ packageCloud }
)

func (heldCloud) Close() error        { return nil }
func (heldPackageCloud) Close() error { return nil }

// Unwrap gives the Provider itself, for what only one kind of it can do. It is
// not to be closed.
func (h heldCloud) Unwrap() cimi.Provider        { return h.Provider }
func (h heldPackageCloud) Unwrap() cimi.Provider { return h.packageCloud }

package evacuate

import (
	"context"
	"sync"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// clouds opens each endpoint once for all items.
type clouds struct {
	open migrate.Dialer
	// limits of endpoints, by the name they are dialed by.
	limits map[string]migrate.EndpointLimits
	mu     sync.Mutex
	all    map[string]*cloud
}

type cloud struct {
	mu sync.Mutex
	e  migrate.Endpoint
	ok bool
}

func newClouds(open migrate.Dialer, rb *runbook.Runbook) *clouds {
	c := &clouds{open: open, limits: map[string]migrate.EndpointLimits{}, all: map[string]*cloud{}}
	for _, e := range rb.Endpoints {
		if e.Limits.Bandwidth > 0 {
			c.limits[e.URL] = migrate.EndpointLimits{Bandwidth: int64(e.Limits.Bandwidth)}
		}
	}
	return c
}

// dial is a migrate.Dialer whose Providers are shared: who gets one does not
// close it. A cloud that could not be reached is tried again by the next.
func (c *clouds) dial(ctx context.Context, name string, side migrate.Side) (migrate.Endpoint, error) {
	key := string(side) + " " + name
	c.mu.Lock()
	one := c.all[key]
	if one == nil {
		one = &cloud{}
		c.all[key] = one
	}
	c.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	if !one.ok {
		// What is dialed outlives the item that asked first.
		e, err := c.open(context.WithoutCancel(ctx), name, side)
		if err != nil {
			return e, err
		}
		e.Shared = true
		if l, ok := c.limits[name]; ok {
			e.Limits.Bandwidth = l.Bandwidth
		}
		one.e, one.ok = e, true
	}
	return one.e, nil
}

func (c *clouds) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.all {
		if one.ok {
			one.e.Provider.Close()
		}
	}
	c.all = map[string]*cloud{}
}

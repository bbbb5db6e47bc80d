package provider

import (
	"context"
	"sync"

	"github.com/cimimove/cimimove/cimi/host"
)

// worldCache keeps the world up to date with the host.
type worldCache struct {
	reading sync.Mutex // one reads the host at a time
	mu      sync.RWMutex
	w       *world
	version int64
}

// look gives the host's world as it is now, locked until done is called: what
// is called meanwhile must not look again.
func (p *Provider) look(ctx context.Context) (w *world, done func(), err error) {
	if err := p.refresh(ctx); err != nil {
		return nil, nil, asError(err)
	}
	p.world.mu.RLock()
	return p.world.w, p.world.mu.RUnlock, nil
}

// refresh reads from the host what has changed: all of it from a host that
// does not tell, the Systems concerned from one that does.
func (p *Provider) refresh(ctx context.Context) error {
	c := &p.world
	versioned, _ := p.host.(host.Versioned)
	current := func() bool {
		c.mu.RLock()
		defer c.mu.RUnlock()
		return versioned != nil && c.w != nil && c.version == versioned.Version()
	}
	if current() {
		return nil
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	if current() {
		return nil
	}
	if tracker, ok := versioned.(host.Tracker); ok && c.w != nil {
		made, gone, now, ok, err := tracker.Changed(ctx, c.version)
		if err != nil {
			return err
		}
		if ok {
			p.apply(made, gone, now)
			return nil
		}
	}
	version := int64(0)
	if versioned != nil {
		version = versioned.Version() // before reading: a change while reading is read again next time
	}
	w := newWorld()
	for s, err := range p.host.Systems(ctx) {
		if err != nil {
			return err
		}
		w.change([]*host.System{s}, nil)
	}
	c.mu.Lock()
	old := c.w
	c.w, c.version = w, version
	c.mu.Unlock()
	if old != nil {
		for s := range w.all() {
			p.noticeChange(old.root[s.ID], s)
		}
	}
	return nil
}

// apply puts what has changed into the world.
func (p *Provider) apply(made []*host.System, gone []string, version int64) {
	c := &p.world
	c.mu.Lock()
	var was []*place
	for _, s := range made {
		if old := c.w.root[s.ID]; old != nil {
			was = append(was, &place{System: old.System})
		} else {
			was = append(was, nil)
		}
	}
	c.w.change(made, gone)
	c.version = version
	c.mu.Unlock()
	for i, s := range made {
		p.noticeChange(was[i], s)
	}
}

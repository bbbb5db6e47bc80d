package provider

import (
	"context"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// switchState starts or stops a Network with all that it consists of, a
// segment or service alone, and enables or disables an endpoint or interface
// (5.16). Where the host runs nothing of it the state is all that changes.
func (p *Provider) switchState(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	to := map[string]string{cimi.ActionStart: cimi.StateStarted, cimi.ActionStop: cimi.StateStopped,
		cimi.ActionEnable: cimi.StateEnabled, cimi.ActionDisable: cimi.StateDisabled}[a.Action]
	key, err := p.lockOf(ctx, s.id)
	if err != nil {
		return nil, err
	}
	defer p.changes.lock(key)()
	c := &change{}
	w := &walk{p: p, c: c, seen: map[string]bool{}}
	if err := w.put(ctx, s.id, to); err != nil {
		return nil, err
	}
	if s.kind == "networks" {
		if err := w.network(ctx, s.id, to); err != nil {
			return nil, err
		}
	}
	return p.accept(ctx, c, a.Action, s.id, "", nil)
}

// walk goes through a Network and brings all of it into a state.
type walk struct {
	p    *Provider
	c    *change
	seen map[string]bool
}

// network brings the segments, endpoints, services and subnetworks of a
// Network into a state (5.16.1.2).
func (w *walk) network(ctx context.Context, id, to string) error {
	able := cimi.StateEnabled
	if to == cimi.StateStopped {
		able = cimi.StateDisabled
	}
	each := func(collection string, do func(id string) error) error {
		c, err := w.p.List(ctx, collection, cimi.ListOptions{})
		if err != nil {
			return err
		}
		for _, r := range c.Items {
			if err := do(r.Base().ID); err != nil {
				return err
			}
		}
		return nil
	}
	if err := each(id+"/segments", func(segment string) error {
		if err := w.put(ctx, segment, to); err != nil {
			return err
		}
		return each(segment+"/endpoints", func(endpoint string) error { return w.put(ctx, endpoint, able) })
	}); err != nil {
		return err
	}
	if err := each(id+"/services", func(service string) error { return w.put(ctx, service, to) }); err != nil {
		return err
	}
	return each(id+"/subnetworks", func(inner string) error {
		if w.seen[inner] {
			return nil
		}
		if err := w.put(ctx, inner, to); err != nil {
			return err
		}
		return w.network(ctx, inner, to)
	})
}

// put brings one resource into a state.
func (w *walk) put(ctx context.Context, id, to string) error {
	if w.seen[id] {
		return nil
	}
	w.seen[id] = true
	r, err := w.p.read(ctx, id)
	if err != nil || r == nil || stateOf(r) == to {
		return err
	}
	w.c.stateEvent(w.p, id, r.Base().Name, r.TypeName(), stateOf(r), to)
	kind, _, _ := strings.Cut(id, "/")
	at, done, err := w.p.look(ctx)
	if err != nil {
		return err
	}
	h, held := at.find(kind, strings.TrimPrefix(id, kind+"/"))
	done()
	switch {
	case held && (kind == "interfaces" || kind == "endpoints"):
		return w.p.enableCard(ctx, h, to == cimi.StateEnabled)
	case held:
		over := cimi.New(r.TypeName())
		if old := w.p.overlays.get(id); old != nil {
			over = cimi.Clone(old.r)
		}
		setState(over, to)
		w.c.overlayQuietly(w.p, id, over)
		return nil
	}
	stored, err := w.p.db.get(ctx, id)
	if err != nil || stored == nil {
		return err
	}
	setState(stored, to)
	w.c.put(kind, stored)
	return nil
}

// enableCard enables or disables a network card: its interface and endpoint.
func (p *Provider) enableCard(ctx context.Context, h held, on bool) error {
	s, err := p.host.System(ctx, h.root.ID)
	if err != nil {
		return err
	}
	m := machineIn(s, h.machine.ID)
	if m == nil || h.card >= len(m.NICs) {
		return host.ErrNotFound
	}
	m.NICs[h.card].Disabled = !on
	return p.host.Update(ctx, s)
}

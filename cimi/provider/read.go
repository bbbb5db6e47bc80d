package provider

import (
	"bytes"
	"context"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// Get reads one resource.
func (p *Provider) Get(ctx context.Context, id string, opts cimi.ReadOptions) (cimi.Resource, error) {
	r, err := p.read(ctx, plainID(id))
	if err != nil {
		return nil, asError(err)
	}
	cimi.Public(r)
	if len(opts.Expand) > 0 {
		if err := cimi.Expand(ctx, r, opts.Expand, p.target); err != nil {
			return nil, asError(err)
		}
	}
	return cimi.Select(r, opts.Select), nil
}

func (p *Provider) read(ctx context.Context, id string) (cimi.Resource, error) {
	kind, key, ok := strings.Cut(id, "/")
	if !ok || strings.Contains(key, "/") {
		if id == "cloudEntryPoint" {
			return p.EntryPoint(ctx)
		}
		return nil, notFound(id)
	}
	if _, ok := storedItem(kind); ok {
		r, _, err := p.db.get(ctx, id)
		if err != nil || r == nil {
			return nil, orNotFound(err, id)
		}
		p.decorate(r)
		return r, nil
	}
	switch kind {
	case "jobs":
		if t := p.jobs.get(id); t != nil {
			return t.snapshot(), nil
		}
		return nil, notFound(id)
	case "resourceMetadata":
		if m := p.metadata(key); m != nil {
			return m, nil
		}
		return nil, notFound(id)
	}
	w, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	if r := p.show(w, kind, key); r != nil {
		return r, nil
	}
	if kind == "systems" {
		if s := p.pendingSystem(key); s != nil {
			return s, nil
		}
	}
	return nil, notFound(id)
}

func orNotFound(err error, id string) error {
	if err != nil {
		return err
	}
	return notFound(id)
}

// show is the view of what the host holds under kind/key, nil when it does not.
func (p *Provider) show(w *world, kind, key string) cimi.Resource {
	switch kind {
	case "systems":
		if s, ok := w.system[key]; ok {
			return p.showSystem(w, s)
		}
	case "machines":
		if m, ok := w.machine[key]; ok {
			return p.showMachine(w, m)
		}
	case "volumes":
		if d, ok := w.disk[key]; ok {
			return w.showVolume(d)
		}
	case "networks", "segments":
		if n, ok := w.network[key]; ok {
			if kind == "segments" {
				return w.showSegment(n)
			}
			return w.showNetwork(n)
		}
	case "interfaces", "endpoints":
		if machine, i, ok := cutCard(key); ok {
			if m, ok := w.machine[machine]; ok && i < len(m.NICs) {
				if kind == "interfaces" {
					return w.showInterface(m, i)
				}
				return w.showEndpoint(m, i)
			}
		}
	}
	return nil
}

// Open reads bytes: an export's package, a System's kept descriptor.
func (p *Provider) Open(ctx context.Context, href string) (cimi.Content, error) {
	href = plainID(href)
	if strings.HasPrefix(href, "exports/") {
		return p.exports.open(ctx, href)
	}
	if encoded, ok := cutReach(href); ok {
		return p.reach(ctx, encoded)
	}
	if id, ok := strings.CutSuffix(href, "/descriptor"); ok {
		if key, ok := strings.CutPrefix(id, "systems/"); ok {
			s, err := p.host.System(ctx, key)
			if err != nil {
				return nil, asError(err)
			}
			if len(s.Descriptor) == 0 {
				return nil, notFound(href)
			}
			return memory{bytes.NewReader(s.Descriptor)}, nil
		}
	}
	return nil, notFound(href)
}

// memory is Content held in memory.
type memory struct{ *bytes.Reader }

func (memory) Close() error    { return nil }
func (memory) Ranged() bool    { return true }
func (memory) Version() string { return "" }

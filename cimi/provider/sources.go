package provider

import (
	"context"
	"iter"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// sources are where the entries of a collection come from, and the type of its
// entries.
func (p *Provider) sources(ctx context.Context, w *world, id string) ([]source, string, error) {
	if k, ok := kindByID[id]; ok {
		if id == "disks" || id == "services" || id == "samples" || id == "events" {
			return nil, "", notFound(id) // found in the collections of their owners
		}
		if v := cimi.RequestVersion(ctx); v != 0 && !cimi.TypeIn(k.item, v) {
			return nil, "", notFound(id)
		}
		return p.topSources(ctx, w, k)
	}
	i := strings.LastIndexByte(id, '/')
	if i < 0 {
		return nil, "", notFound(id)
	}
	owner, attr := id[:i], id[i+1:]
	item, ok := memberItem(owner, attr)
	if !ok {
		return nil, "", notFound(id)
	}
	if there, err := p.there(ctx, w, owner); err != nil || !there {
		return nil, "", orNotFound(err, id)
	}
	if item == "Machine" && strings.HasPrefix(owner, "services/") && p.reliability(ctx, owner) {
		item = "RecoverableMachine"
	}
	kind, key, _ := strings.Cut(owner, "/")
	switch item {
	case "Event":
		return []source{p.eventSource(ctx, owner)}, item, nil
	case "Sample":
		return []source{p.sampleSource(ctx, owner)}, item, nil
	}
	sources := p.naturalSources(w, kind, key, attr)
	var creating []cimi.Resource
	for _, r := range p.passing.creatingIn(id) {
		if there, _ := p.there(ctx, w, r.Base().ID); !there {
			creating = append(creating, r)
		}
	}
	sources = append(sources, p.linkSource(ctx, w, id, item), sourceOf(creating))
	return sources, item, nil
}

// topSources are those of a collection of the entry point.
func (p *Provider) topSources(ctx context.Context, w *world, k kind) ([]source, string, error) {
	var out []source
	switch k.keep {
	case byTasks:
		return []source{p.jobs.source(ctx)}, k.item, nil
	case byLog:
		return p.logSources(ctx, w), k.item, nil
	}
	if k.id == "resourceMetadata" {
		out = append(out, sourceOf(p.allMetadata(cimi.RequestVersion(ctx))))
	}
	if k.held() {
		seq, n := w.top(k.id)
		out = append(out, heldSource(seq, n))
	}
	if k.stored() {
		src, err := p.storedSource(ctx, k.id)
		if err != nil {
			return nil, "", err
		}
		out = append(out, src)
	}
	var creating []cimi.Resource
	for _, r := range p.passing.creatingIn(k.id) {
		if _, held := w.find(k.id, strings.TrimPrefix(r.Base().ID, k.id+"/")); !held {
			creating = append(creating, r)
		}
	}
	return append(out, sourceOf(creating)), k.item, nil
}

func heldSource(seq iter.Seq[held], n int) source {
	return source{n: n, each: func(yield func(entry) bool) error {
		for h := range seq {
			if !yield(entry{held: h}) {
				break
			}
		}
		return nil
	}}
}

// storedSource are the resources of the store in a collection.
func (p *Provider) storedSource(ctx context.Context, collection string) (source, error) {
	n, err := p.db.count(ctx, "SELECT count(*) FROM resources WHERE collection = ?", collection)
	return sourceOfRows(n, err, func(limit, offset int) ([]cimi.Resource, error) {
		rs, err := p.db.list(ctx, collection, offset, limit)
		for _, r := range rs {
			p.decorate(r)
		}
		return rs, err
	}), err
}

// linkSource are the entries that links name, those with accessory attributes
// in the type that has them.
func (p *Provider) linkSource(ctx context.Context, w *world, collection, item string) source {
	links := p.links.of(collection)
	return source{n: len(links), each: func(yield func(entry) bool) error {
		for _, l := range links {
			r, err := p.readIn(ctx, w, l.member)
			if err != nil {
				return err
			}
			if r == nil {
				continue // going just now
			}
			if m, ok := r.(*cimi.Machine); ok && item == "RecoverableMachine" {
				rm := &cimi.RecoverableMachine{Machine: *m}
				if l.extra.Backup != "" {
					rm.BackupMachine = cimi.RefTo[cimi.Machine](l.extra.Backup)
				}
				r = rm
			}
			if !yield(entry{r: r}) {
				break
			}
		}
		return nil
	}}
}

// naturalSources are the entries that what the host holds tells by itself.
func (p *Provider) naturalSources(w *world, kind, key, attr string) []source {
	part := func(kind string, s, root *host.System) source {
		return heldSource(func(yield func(held) bool) { w.parts(kind, s, root, yield) }, -1)
	}
	one := func(hs ...held) source {
		return heldSource(func(yield func(held) bool) {
			for _, h := range hs {
				if !yield(h) {
					return
				}
			}
		}, len(hs))
	}
	switch kind {
	case "systems":
		s, ok := w.system[key]
		if !ok {
			return nil
		}
		out := []source{part(attr, s.System, s.root)}
		var associated []held
		for _, id := range s.Associated {
			k, key, _ := strings.Cut(id, "/")
			if h, ok := w.find(k, key); ok && k == attr {
				associated = append(associated, h)
			}
		}
		return append(out, one(associated...))
	case "machines":
		m, ok := w.machine[key]
		if !ok {
			return nil
		}
		switch attr {
		case "disks", "volumes":
			return []source{p.attachedSource(w, m, attr == "disks")}
		case "interfaces":
			var cards []held
			for i := range m.NICs {
				cards = append(cards, w.ofMachine("interfaces", m, i))
			}
			return []source{one(cards...)}
		}
	case "networks":
		if h, ok := w.find("segments", key); ok && attr == "segments" {
			return []source{one(h)}
		}
	case "segments":
		if n, ok := w.network[key]; ok && attr == "endpoints" {
			return []source{one(w.endpointsOf(n)...)}
		}
	case "interfaces":
		if m, card, ok := w.cardOf(kind, key); ok && attr == "endpoints" && (m.NICs[card].Network != "" || m.NICs[card].Endpoint != "" || m.NICs[card].MAC != "") {
			return []source{one(w.ofMachine("endpoints", m, card))}
		}
	}
	return nil
}

// attachedSource are the disks of a machine: its own storage, or Volumes with
// where they appear (T18).
func (p *Provider) attachedSource(w *world, m machineAt, local bool) source {
	return source{n: -1, each: func(yield func(entry) bool) error {
		for _, a := range m.Attachments {
			d, ok := w.disk[a.DiskID]
			if !ok || d.Local != local || isImage(d.root) {
				continue
			}
			e := entry{held: held{kind: "disks", root: d.root, in: d.in, disk: d.Disk}}
			if !local {
				e.kind = "volumes"
				e.r = p.showLocated(w, e.held, a.Location)
			}
			if !yield(e) {
				break
			}
		}
		return nil
	}}
}

// endpointsOf are the cards on a network, those of machines of other Systems
// among them.
func (w *world) endpointsOf(n networkAt) []held {
	var out []held
	on := func(m machineAt) {
		for i, nic := range m.NICs {
			if nic.Network == n.ID {
				out = append(out, w.ofMachine("endpoints", m, i))
			}
		}
	}
	for m := range n.root.AllMachines() {
		on(w.machine[m.ID])
	}
	for _, id := range w.visitors[n.ID] {
		if m := w.machine[id]; m.Machine != nil && m.root != n.root {
			on(m)
		}
	}
	return out
}

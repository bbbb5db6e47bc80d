package evacuate

import (
	"context"
	"strings"
	"sync"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate"
)

// indexed is a cloud whose Systems are listed once for the plan of many: asked
// for one by name, it answers from the list, with what finding a System needs.
// A cloud that looks through all its Systems for each name would make the plan
// of n Systems cost n².
type indexed struct {
	cimi.Provider
	name string

	once   sync.Once
	all    []cimi.Resource
	byName map[string][]cimi.Resource
	err    error

	mu    sync.Mutex
	entry *cimi.CloudEntryPoint
	whole map[page]*shared // what all plans ask for
}

// shared is a part of a collection that is read once.
type shared struct {
	mu sync.Mutex
	c  *cimi.Collection
}

// page is a part of a collection.
type page struct {
	collection  string
	first, last int
}

// index wraps the clouds of a plan, each once.
type index struct {
	mu  sync.Mutex
	all map[string]*indexed
}

func newIndex() *index { return &index{all: map[string]*indexed{}} }

// indexedImporter is one that takes packages in this process.
type indexedImporter struct {
	*indexed
	migrate.PackageImporter
}

func (x *index) of(e migrate.Endpoint) migrate.Endpoint {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.all[e.Name]
	if p == nil {
		p = &indexed{Provider: e.Provider, name: e.Name}
		x.all[e.Name] = p
	}
	if i, ok := e.Provider.(migrate.PackageImporter); ok {
		e.Provider = indexedImporter{p, i}
	} else {
		e.Provider = p
	}
	return e
}

// Unwrap gives the cloud itself.
func (p *indexed) Unwrap() cimi.Provider { return p.Provider }

// Version is that of the cloud, 0 where it does not say.
func (p *indexed) Version() cimi.Version {
	if v, ok := p.Provider.(interface{ Version() cimi.Version }); ok {
		return v.Version()
	}
	return 0
}

// EntryPoint is read once.
func (p *indexed) EntryPoint(ctx context.Context) (*cimi.CloudEntryPoint, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entry == nil {
		cep, err := p.Provider.EntryPoint(ctx)
		if err != nil {
			return nil, err
		}
		p.entry = cep
	}
	return p.entry, nil
}

// top tells whether every plan reads the same of a collection: one of the entry
// point's that say what the cloud is, or one System for what can be done with
// them all.
func (p *indexed) top(at page) bool {
	if p.entry == nil {
		return false
	}
	if at.last == 1 && at.collection == cimi.HrefOf(p.entry.Systems) {
		return true
	}
	for _, r := range []*cimi.Ref[cimi.Collection]{p.entry.Metadata, p.entry.Networks, p.entry.MachineConfigs, p.entry.VolumeConfigs, p.entry.Credentials} {
		if href := cimi.HrefOf(r); href != "" && href == at.collection {
			return true
		}
	}
	return false
}

// List answers for Systems, all or those of a name, from the index, and asks the
// cloud for everything else.
func (p *indexed) List(ctx context.Context, collection string, o cimi.ListOptions) (*cimi.Collection, error) {
	if len(o.Expand)+len(o.Select)+len(o.OrderBy) > 0 {
		return p.Provider.List(ctx, collection, o)
	}
	if len(o.Filter) == 0 {
		if at := (page{collection, o.First, o.Last}); o.First > 1 || o.Last == 1 || !p.has(ctx, collection) {
			return p.list(ctx, at, o)
		}
		return cimi.NewCollection(collection, "System", p.all...), nil
	}
	name, one := strings.CutPrefix(strings.Join(o.Filter, ""), "name='")
	name, quoted := strings.CutSuffix(name, "'")
	if !one || !quoted || len(o.Filter) != 1 || o.First > 1 || !p.has(ctx, collection) {
		return p.Provider.List(ctx, collection, o)
	}
	return cimi.NewCollection(collection, "System", p.byName[name]...), nil
}

// has tells whether the index knows a collection, which is that of the Systems.
func (p *indexed) has(ctx context.Context, collection string) bool {
	p.mu.Lock()
	is := p.entry != nil && collection == cimi.HrefOf(p.entry.Systems)
	p.mu.Unlock()
	if is {
		p.once.Do(func() { p.err = p.read(ctx) })
	}
	return is && p.err == nil
}

// list reads a part of a collection, once where every plan asks for the same.
func (p *indexed) list(ctx context.Context, at page, o cimi.ListOptions) (*cimi.Collection, error) {
	p.mu.Lock()
	if !p.top(at) {
		p.mu.Unlock()
		return p.Provider.List(ctx, at.collection, o)
	}
	if p.whole == nil {
		p.whole = map[page]*shared{}
	}
	s := p.whole[at]
	if s == nil {
		s = &shared{}
		p.whole[at] = s
	}
	p.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		c, err := p.Provider.List(ctx, at.collection, o)
		if err != nil {
			return nil, err
		}
		s.c = c
	}
	return s.c, nil
}

// read lists the Systems, and keeps of each what finding one needs.
func (p *indexed) read(ctx context.Context) error {
	cep, err := p.Provider.EntryPoint(ctx)
	if err != nil {
		return err
	}
	p.byName = map[string][]cimi.Resource{}
	for r, err := range cimi.All(ctx, p.Provider, cimi.HrefOf(cep.Systems), cimi.ListOptions{}) {
		if err != nil {
			return err
		}
		b := r.Base()
		s := &cimi.System{Common: cimi.Common{ID: b.ID, Name: b.Name}}
		p.all = append(p.all, s)
		p.byName[b.Name] = append(p.byName[b.Name], s)
	}
	return nil
}

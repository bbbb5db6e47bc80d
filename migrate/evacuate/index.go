package evacuate

import (
	"context"
	"strings"
	"sync"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate"
)

// indexed is a cloud whose Systems are listed once for the plan of many: asked
// for one by name, it answers from the list. A cloud that looks through all its
// Systems for each name would make the plan of n Systems cost n².
type indexed struct {
	cimi.Provider
	name string

	once sync.Once
	href string
	byOf map[string][]cimi.Resource
	err  error

	mu    sync.Mutex
	entry *cimi.CloudEntryPoint
	whole map[string]*cimi.Collection // what all plans ask for, by collection
}

// index wraps the remote clouds of a plan, each once. A cloud in this process
// is left alone: it may offer more than Provider, and answers at once.
type index struct {
	mu  sync.Mutex
	all map[string]*indexed
}

func newIndex() *index { return &index{all: map[string]*indexed{}} }

func (x *index) of(e migrate.Endpoint) migrate.Endpoint {
	if e.URL == "" {
		return e
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.all[e.Name]
	if p == nil {
		p = &indexed{Provider: e.Provider, name: e.Name}
		x.all[e.Name] = p
	}
	e.Provider = p
	return e
}

// Unwrap gives the cloud itself.
func (p *indexed) Unwrap() cimi.Provider { return p.Provider }

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

// top tells whether a collection is one of the entry point's that say what the
// cloud is, which every plan reads.
func (p *indexed) top(collection string) bool {
	if p.entry == nil {
		return false
	}
	for _, r := range []*cimi.Ref[cimi.Collection]{p.entry.Metadata, p.entry.Networks, p.entry.MachineConfigs, p.entry.VolumeConfigs, p.entry.Credentials} {
		if href := cimi.HrefOf(r); href != "" && href == collection {
			return true
		}
	}
	return false
}

// List answers for Systems of one name from the index, and asks the cloud for
// everything else.
func (p *indexed) List(ctx context.Context, collection string, o cimi.ListOptions) (*cimi.Collection, error) {
	name, one := strings.CutPrefix(strings.Join(o.Filter, ""), "name='")
	name, quoted := strings.CutSuffix(name, "'")
	if len(o.Filter) == 0 && o.First <= 1 && len(o.Expand) == 0 && len(o.Select) == 0 {
		return p.list(ctx, collection, o)
	}
	if !one || !quoted || len(o.Filter) != 1 || o.First > 1 {
		return p.Provider.List(ctx, collection, o)
	}
	p.once.Do(func() { p.err = p.read(ctx) })
	if p.err != nil || collection != p.href {
		return p.Provider.List(ctx, collection, o)
	}
	return cimi.NewCollection(collection, "System", p.byOf[name]...), nil
}

// list reads a collection, once where every plan asks for the same.
func (p *indexed) list(ctx context.Context, collection string, o cimi.ListOptions) (*cimi.Collection, error) {
	p.mu.Lock()
	shared := p.top(collection)
	c := p.whole[collection]
	p.mu.Unlock()
	if shared && c != nil {
		return c, nil
	}
	c, err := p.Provider.List(ctx, collection, o)
	if err != nil || !shared {
		return c, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.whole == nil {
		p.whole = map[string]*cimi.Collection{}
	}
	p.whole[collection] = c
	return c, nil
}

// read lists the Systems.
func (p *indexed) read(ctx context.Context) error {
	cep, err := p.Provider.EntryPoint(ctx)
	if err != nil {
		return err
	}
	all, err := migrate.ListSystems(ctx, migrate.Endpoint{Name: p.name, Provider: p.Provider}, "")
	if err != nil {
		return err
	}
	p.href, p.byOf = cimi.HrefOf(cep.Systems), map[string][]cimi.Resource{}
	for _, s := range all {
		p.byOf[s.Name] = append(p.byOf[s.Name], s)
	}
	return nil
}

package provider

import (
	"context"
	"math"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// List reads one page of a collection.
func (p *Provider) List(ctx context.Context, id string, opts cimi.ListOptions) (*cimi.Collection, error) {
	id = plainID(id)
	q, err := cimi.ParseQuery(opts)
	if err != nil {
		return nil, err
	}
	c, err := p.collect(ctx, id, q)
	if err != nil {
		return nil, asError(err)
	}
	if len(opts.Expand) > 0 {
		if err := cimi.Expand(ctx, c, opts.Expand, p.target); err != nil {
			return nil, asError(err)
		}
	}
	return cimi.Select(c, opts.Select).(*cimi.Collection), nil
}

// collect makes the page of a collection that a query asks for.
func (p *Provider) collect(ctx context.Context, id string, q *cimi.Query) (*cimi.Collection, error) {
	w, done, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	sources, item, err := p.sources(ctx, w, id)
	if err != nil {
		return nil, err
	}
	page, count, err := p.page(w, sources, q)
	if err != nil {
		return nil, err
	}
	c := cimi.NewCollection(id, item, page...)
	c.Count = cimi.Int(int64(count))
	c.Parent = ref(entryPoint)
	if i := strings.LastIndexByte(id, '/'); i >= 0 {
		c.Parent = ref(id[:i])
	}
	c.Operations = p.collectionOperations(w, id)
	return c, nil
}

// entry of a collection: what the host holds, or a resource.
type entry struct {
	held
	r cimi.Resource
}

func (p *Provider) full(w *world, e entry) cimi.Resource {
	if e.r != nil {
		return e.r
	}
	return p.show(w, e.held)
}

// source is a part of the entries of a collection, in their order.
type source struct {
	n int // how many; -1 when only going through tells
	// each yields all of them.
	each func(yield func(entry) bool) error
	// some reads those from from up to to, where that is cheaper than each; may be nil.
	some func(from, to int) ([]cimi.Resource, error)
}

// sourceOf is a source of resources in memory.
func sourceOf(rs []cimi.Resource) source {
	return source{n: len(rs), each: func(yield func(entry) bool) error {
		for _, r := range rs {
			if !yield(entry{r: r}) {
				return nil
			}
		}
		return nil
	}}
}

// sourceOfRows is a source of rows of the store, of which read gives some.
func sourceOfRows(n int, err error, read func(limit, offset int) ([]cimi.Resource, error)) source {
	some := func(from, to int) ([]cimi.Resource, error) {
		if err != nil {
			return nil, err
		}
		return read(to-from, from)
	}
	return source{n: n, some: some, each: func(yield func(entry) bool) error {
		rs, err := some(0, n)
		for _, r := range rs {
			if !yield(entry{r: r}) {
				break
			}
		}
		return err
	}}
}

// page makes what a query leaves of the sources, and counts.
func (p *Provider) page(w *world, sources []source, q *cimi.Query) (page []cimi.Resource, count int, err error) {
	if !q.Filtered() && !q.Ordered() {
		return p.plainPage(w, sources, q)
	}
	b := newBrief(q.Attributes())
	from, to := q.Range(math.MaxInt)
	var matching []entry
	var keys []cimi.OrderKey
	for _, s := range sources {
		if err := s.each(func(e entry) bool {
			r := e.r
			if r == nil {
				r = b.of(p, w, e.held)
			}
			if !q.Match(r) {
				return true
			}
			switch {
			case q.Ordered():
				keys = append(keys, q.Key(len(matching), r))
				matching = append(matching, e)
				if len(keys)/2-spare > to {
					keys, matching = foremost(q, keys, matching, to)
				}
			case count >= from && count < to:
				page = append(page, p.full(w, e))
			}
			count++
			return true
		}); err != nil {
			return nil, 0, err
		}
	}
	if q.Ordered() {
		from, to = q.Range(count) // no more than what was kept
		for _, k := range q.Sorted(keys)[from:to] {
			page = append(page, p.full(w, matching[k.Index]))
		}
	}
	return page, count, nil
}

// spare is how many entries, twice, are sorted together besides those wanted.
const spare = 512

// foremost keeps the first n of what is sorted so far: memory then grows with
// the page and not with the cloud. Equal ones stay in their order.
func foremost(q *cimi.Query, keys []cimi.OrderKey, matching []entry, n int) ([]cimi.OrderKey, []entry) {
	kept := make([]entry, n, cap(matching))
	for i := range q.Sorted(keys)[:n] {
		kept[i], keys[i].Index = matching[keys[i].Index], i
	}
	clear(keys[n:]) // their values
	return keys[:n], kept
}

// plainPage goes through no more than it must.
func (p *Provider) plainPage(w *world, sources []source, q *cimi.Query) (page []cimi.Resource, count int, err error) {
	for i, s := range sources {
		if s.n < 0 {
			n := 0
			if err := s.each(func(entry) bool { n++; return true }); err != nil {
				return nil, 0, err
			}
			sources[i].n = n
		}
		count += sources[i].n
	}
	from, to := q.Range(count)
	at := 0 // position of the source's first entry
	for _, s := range sources {
		lo, hi := max(from-at, 0), min(to-at, s.n)
		at += s.n
		if lo >= hi {
			continue
		}
		if s.some != nil {
			rs, err := s.some(lo, hi)
			if err != nil {
				return nil, 0, err
			}
			page = append(page, rs...)
			continue
		}
		i := 0
		if err := s.each(func(e entry) bool {
			if i >= lo {
				page = append(page, p.full(w, e))
			}
			i++
			return i < hi
		}); err != nil {
			return nil, 0, err
		}
	}
	return page, count, nil
}

// target reads what a reference leads to, for $expand.
func (p *Provider) target(ctx context.Context, href string) (cimi.Resource, error) {
	c, err := p.List(ctx, href, cimi.ListOptions{})
	if !cimi.IsNotFound(err) {
		return c, err
	}
	return p.Get(ctx, href, cimi.ReadOptions{})
}

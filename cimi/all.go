package cimi

import (
	"context"
	"iter"
)

// All iterates over every entry of a collection, page by page; opts.First and
// opts.Last bound the whole. A cloud that ignores paging (4.1.6) is noticed by
// its answer: entries that come twice end the iteration. An empty collection
// id gives nothing: the cloud does not offer that collection.
func All(ctx context.Context, p Provider, collection string, opts ListOptions) iter.Seq2[Resource, error] {
	return func(yield func(Resource, error) bool) {
		if collection == "" {
			return
		}
		first, last := max(opts.First, 1), opts.Last
		seen := map[string]bool{}
		for {
			page := opts
			if first > 1 {
				page.First = first
			}
			c, err := p.List(ctx, collection, page)
			if err != nil {
				yield(nil, err)
				return
			}
			fresh := 0
			for _, r := range c.Items {
				id := r.Base().ID
				if id != "" && seen[id] {
					continue
				}
				if id != "" {
					seen[id] = true
				}
				fresh++
				if !yield(r, nil) {
					return
				}
			}
			first += len(c.Items)
			if fresh == 0 || c.Count == nil || int64(first) > *c.Count || last > 0 && first > last {
				return
			}
		}
	}
}

package cimi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync/atomic"
)

// pageSize is how many entries of a collection are asked for at once.
const pageSize = 500

// maxPages bounds the requests for one collection.
const maxPages = 1 << 16

// MaxEntries bounds what All reads of one collection, and MaxRead how many bytes of
// documents beyond a KiB for each entry: one that goes on has no end, whatever it
// counts.
const (
	MaxEntries = 1 << 20
	MaxRead    = 256 << 20
)

// reading is how much All has read of a collection.
type reading struct{ bytes, entries atomic.Int64 }

type readingKey struct{}

// CountRead tells the All that lists with this context of n bytes that it keeps.
// A Provider that reads from a network calls it; the error ends the listing.
func CountRead(ctx context.Context, n int) error {
	r, _ := ctx.Value(readingKey{}).(*reading)
	if r == nil {
		return nil
	}
	entries := r.entries.Load()
	if r.bytes.Add(int64(n)) > MaxRead+entries<<10 {
		return Errorf(http.StatusBadGateway, "more than %d MiB for %d entries, and no end: %w", MaxRead>>20, entries, ErrTooLarge)
	}
	return nil
}

// All iterates over every entry of a collection, page by page; opts.First and
// opts.Last bound the whole. An empty collection id gives nothing: the cloud
// does not offer that collection. A cloud that ignores paging (4.1.6), or gives
// fewer entries at once than were asked for, or counts fewer than it gives, is
// noticed by its answer. One whose pages form a circle, or have no end, gives an *Error of status 502.
func All(ctx context.Context, p Provider, collection string, opts ListOptions) iter.Seq2[Resource, error] {
	return func(yield func(Resource, error) bool) {
		if collection == "" {
			return
		}
		first, last := max(opts.First, 1), opts.Last
		start, given := first, 0
		seen := map[string]bool{}
		read := &reading{}
		whole := false // what came last may be all that there is
		ctx := context.WithValue(ctx, readingKey{}, read)
		for pages := 0; ; pages++ {
			if pages == maxPages {
				yield(nil, Errorf(http.StatusBadGateway, "collection %s: more than %d pages, and no end", collection, maxPages))
				return
			}
			page := opts
			page.First, page.Last = first, first+pageSize-1
			if last > 0 {
				page.Last = min(page.Last, last)
			}
			c, err := p.List(ctx, collection, page)
			if status := StatusOf(err); whole && (status == http.StatusBadRequest || status == http.StatusNotFound || status == http.StatusRequestedRangeNotSatisfiable) {
				return // there is nothing behind the end, and it says so in its way
			}
			if errors.Is(err, ErrTooLarge) {
				err = fmt.Errorf("collection %s: %w", collection, err)
			}
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
				if fresh++; given+fresh > MaxEntries {
					yield(nil, Errorf(http.StatusBadGateway, "collection %s: more than %d entries, and no end", collection, MaxEntries))
					return
				}
				if !yield(r, nil) {
					return
				}
			}
			given += fresh
			read.entries.Add(int64(fresh))
			first += len(c.Items)
			if c.Count != nil && int64(given) > *c.Count {
				c.Count = nil // it counts fewer than have come
			}
			// A count that is just the page's may be one of the page, not of the
			// collection.
			whole = fresh > 0 && len(c.Items) == page.Last-page.First+1 && c.Count != nil && *c.Count == int64(len(c.Items))
			switch {
			case len(c.Items) == 0, last > 0 && first > last:
				return
			case c.Count != nil && int64(first) > *c.Count && !whole, c.Count == nil && len(c.Items) < pageSize:
				return
			case fresh == 0 && c.Count == nil:
				return // it ignores paging, and everything came already
			case fresh == 0:
				yield(nil, Errorf(http.StatusBadGateway, "collection %s: its pages form a circle: of %d entries it gives the same %d again",
					collection, *c.Count, given+start-1))
				return
			}
		}
	}
}

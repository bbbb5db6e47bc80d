package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// List reads one page of a collection. Where the cloud ignores a query
// parameter (4.1.6), the page is made from what it sends without it.
func (c *Client) List(ctx context.Context, collection string, opts cimi.ListOptions) (*cimi.Collection, error) {
	q, err := cimi.ParseQuery(opts)
	if err != nil {
		return nil, err
	}
	asked := opts
	if len(opts.Select) > 0 { // what is filtered and sorted by must be there to see whether it was
		asked.Select = cimi.Names(append(slices.Clone(opts.Select), q.Attributes()...))
	}
	col, err := c.page(ctx, collection, asked)
	if err != nil {
		return nil, err
	}
	switch {
	case slices.ContainsFunc(col.Items, func(r cimi.Resource) bool { return !q.Match(r) }):
		col, err = c.filterHere(ctx, collection, col, opts)
	case !inOrder(q, col.Items):
		col, err = c.pageHere(ctx, collection, col, opts)
	}
	if err != nil {
		return nil, err
	}
	if err := cimi.Expand(ctx, col, opts.Expand, c.target); err != nil {
		return nil, err
	}
	return cimi.Select(col, opts.Select).(*cimi.Collection), nil
}

// inOrder tells whether entries stand in the order that was asked for.
func inOrder(q *cimi.Query, items []cimi.Resource) bool {
	if !q.Ordered() {
		return true
	}
	keys := make([]cimi.OrderKey, len(items))
	for i, r := range items {
		keys[i] = q.Key(i, r)
	}
	for i, k := range q.Sorted(keys) {
		if k.Index != i {
			return false
		}
	}
	return true
}

// target reads what a reference leads to, for a cloud that ignores $expand.
func (c *Client) target(ctx context.Context, href string) (cimi.Resource, error) {
	return c.Get(ctx, href, cimi.ReadOptions{})
}

// filterHere makes the page of a cloud that may have ignored $filter: it has,
// when it counts as many entries with the filter as without.
func (c *Client) filterHere(ctx context.Context, collection string, filtered *cimi.Collection, opts cimi.ListOptions) (*cimi.Collection, error) {
	whole, err := c.page(ctx, collection, cimi.ListOptions{Last: 1})
	if err != nil {
		return nil, err
	}
	if cimi.IntValue(whole.Count) != cimi.IntValue(filtered.Count) {
		return filtered, nil
	}
	return c.pageHere(ctx, collection, filtered, opts)
}

// pageHere makes a page from all entries; what else there is to a collection is
// that of the one that came.
func (c *Client) pageHere(ctx context.Context, collection string, came *cimi.Collection, opts cimi.ListOptions) (*cimi.Collection, error) {
	var all []cimi.Resource
	for r, err := range cimi.All(ctx, plainPages{c}, collection, cimi.ListOptions{}) {
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	page, n, err := cimi.ApplyQuery(all, opts)
	if err != nil {
		return nil, err
	}
	came.Items, came.Count = page, cimi.Int(int64(n))
	return came, nil
}

// plainPages is the client as All needs it, without the check of filters.
type plainPages struct{ *Client }

func (p plainPages) List(ctx context.Context, collection string, opts cimi.ListOptions) (*cimi.Collection, error) {
	return p.page(ctx, collection, opts)
}

// page asks for one page. Where the cloud ignores $first and $last, it is cut
// from what came.
func (c *Client) page(ctx context.Context, collection string, opts cimi.ListOptions) (*cimi.Collection, error) {
	href, attribute, held := strings.Cut(c.resolve(collection), "#")
	if !held {
		href = withQuery(href, opts)
	}
	a, err := c.send(ctx, http.MethodGet, href, nil, nil, "Collection")
	if err != nil {
		return nil, err
	}
	col, ok := a.resource.(*cimi.Collection)
	if held && !ok && a.resource != nil { // the resource that has it by value came
		col = cimi.Held(a.resource, attribute)
		ok = col != nil
	}
	if !ok {
		return nil, a.unexpected("a collection")
	}
	if col.ID == "" && len(opts.Select) == 0 {
		col.ID = c.resolve(collection)
	}
	if col.Count == nil && len(opts.Select) == 0 {
		col.Count = cimi.Int(int64(len(col.Items)))
	}
	if err := c.unwrap(ctx, col); err != nil {
		return nil, err
	}
	first, last := max(opts.First, 1), opts.Last
	asked := last - first + 1
	if n := len(col.Items); (first > 1 || last > 0) && col.Count != nil && int64(n) == *col.Count && (first > 1 || last > 0 && n > asked) {
		from, to := min(first-1, n), n
		if last > 0 {
			to = max(from, min(last, n))
		}
		col.Items = col.Items[from:to]
		if n > 0 {
			_ = cimi.CountRead(ctx, -len(a.body)*(n-to+from)/n) // of what is not kept
		}
	}
	if len(opts.Select) == 0 {
		if err := c.readBare(ctx, col); err != nil {
			return nil, err
		}
	}
	return col, nil
}

// readBare reads the entries that are references and no more. One that is not
// there, or cannot be understood, stays as it is: it says what it is itself, when
// it is asked for.
func (c *Client) readBare(ctx context.Context, col *cimi.Collection) error {
	for i, r := range col.Items {
		if r.Base().ID == "" || !cimi.OnlyID(r) {
			continue
		}
		full, err := c.Get(ctx, r.Base().ID, cimi.ReadOptions{})
		var unread *cimi.DecodeError
		if cimi.IsNotFound(err) || cimi.IsUnauthorized(err) || errors.As(err, &unread) {
			continue
		}
		if err != nil {
			return err
		}
		if full = located(r, full); full.TypeName() == r.TypeName() {
			col.Items[i] = full
		}
	}
	return nil
}

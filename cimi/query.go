package cimi

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// Query is a parsed ListOptions: filters, order and range.
type Query struct {
	filters     []*Filter
	order       []orderKey
	first, last int
}

type orderKey struct {
	attr string
	desc bool
}

// ParseQuery parses the options of a list; an error is a 400 *Error.
func ParseQuery(opts ListOptions) (*Query, error) {
	q := &Query{first: opts.First, last: opts.Last}
	for _, s := range opts.Filter {
		f, err := ParseFilter(s)
		if err != nil {
			return nil, err
		}
		q.filters = append(q.filters, f)
	}
	for _, n := range Names(opts.OrderBy) {
		attr, dir, _ := strings.Cut(n, ":")
		if dir != "" && dir != "asc" && dir != "desc" {
			return nil, Errorf(400, "$orderby: expected asc or desc after %q, got %q", attr+":", dir)
		}
		q.order = append(q.order, orderKey{attr, dir == "desc"})
	}
	return q, nil
}

// Match tells whether a resource satisfies every filter (4.1.6.1).
func (q *Query) Match(r Resource) bool {
	return !slices.ContainsFunc(q.filters, func(f *Filter) bool { return !f.Match(r) })
}

// Apply filters, sorts and subsets (4.1.6.1, .6, .2). count is the number of
// resources after filtering, before subsetting. all is not changed.
func (q *Query) Apply(all []Resource) (page []Resource, count int) {
	page = all
	if len(q.filters) > 0 {
		page = nil
		for _, r := range all {
			if q.Match(r) {
				page = append(page, r)
			}
		}
	}
	if len(q.order) > 0 {
		page = slices.Clone(page)
		slices.SortStableFunc(page, q.compare)
	}
	count = len(page)
	from, to := q.Range(count)
	return page[from:to], count
}

// Range gives the half-open range of indexes that $first and $last leave of n entries.
func (q *Query) Range(n int) (from, to int) {
	to = n
	if q.last > 0 {
		to = min(q.last, n)
	}
	if q.first > 1 {
		from = min(q.first-1, n)
	}
	if to < from {
		to = from
	}
	return from, to
}

func (q *Query) compare(a, b Resource) int {
	for _, k := range q.order {
		c := compareValues(Value(a, k.attr), Value(b, k.attr))
		if k.desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// ApplyQuery filters, sorts and subsets for a Provider in process: the page and
// the count. $select is Select's part, $expand Expand's.
func ApplyQuery(all []Resource, opts ListOptions) (page []Resource, count int, err error) {
	q, err := ParseQuery(opts)
	if err != nil {
		return nil, 0, err
	}
	page, count = q.Apply(all)
	return page, count, nil
}

// compareValues orders two attribute values by type (4.1.6.6); absent ones come first.
func compareValues(a, b any) int {
	if a == nil || b == nil {
		return btoi(a != nil) - btoi(b != nil)
	}
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok {
			return btoi(x) - btoi(y)
		}
	case *Time:
		if y, ok := b.(*Time); ok && x.Text == "" && y.Text == "" {
			return x.Time.Compare(y.Time)
		}
	case json.Number:
		if y, ok := b.(json.Number); ok {
			m, _ := x.Float64()
			n, _ := y.Float64()
			return cmp.Compare(m, n)
		}
	}
	return strings.Compare(orderText(a), orderText(b))
}

func orderText(v any) string {
	switch v := v.(type) {
	case *Time:
		return v.String()
	case interface{ hrefp() *string }:
		return *v.hrefp()
	}
	s, _ := scalarText(v)
	return s
}

// FilterAttributes lists the attributes that the filters compare.
func (q *Query) FilterAttributes() []string {
	var out []string
	for _, f := range q.filters {
		out = append(out, f.Attributes()...)
	}
	return Names(out)
}

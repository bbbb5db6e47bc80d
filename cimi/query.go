package cimi

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
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
	matching := all
	if len(q.filters) > 0 {
		matching = nil
		for _, r := range all {
			if q.Match(r) {
				matching = append(matching, r)
			}
		}
	}
	count = len(matching)
	from, to := q.Range(count)
	if len(q.order) == 0 {
		return matching[from:to], count
	}
	keys := make([]OrderKey, count)
	for i, r := range matching {
		keys[i] = q.Key(i, r)
	}
	for _, k := range q.Sorted(keys)[from:to] {
		page = append(page, matching[k.Index])
	}
	return page, count
}

// OrderKey is what the place of an entry in the order depends on, so that many
// entries are sorted without holding them all.
type OrderKey struct {
	Index  int // of the entry among those sorted
	values []any
}

// Key is the key of an entry.
func (q *Query) Key(index int, r Resource) OrderKey {
	k := OrderKey{Index: index}
	for _, o := range q.order {
		k.values = append(k.values, orderValue(r, o.attr))
	}
	return k
}

// Sorted sorts keys in place; equal ones stay as they are.
func (q *Query) Sorted(keys []OrderKey) []OrderKey {
	slices.SortStableFunc(keys, func(a, b OrderKey) int {
		for i, o := range q.order {
			c := compareValues(a.values[i], b.values[i])
			if o.desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	return keys
}

// Ordered and Filtered tell whether the query sorts or filters at all.
func (q *Query) Ordered() bool  { return len(q.order) > 0 }
func (q *Query) Filtered() bool { return len(q.filters) > 0 }

// Attributes lists the attributes that decide: those that filters compare and
// those that are sorted by.
func (q *Query) Attributes() []string {
	out := q.FilterAttributes()
	for _, o := range q.order {
		out = append(out, o.attr)
	}
	return Names(out)
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

// orderValue is an attribute's value as it is sorted: strings in Normalization
// Form KD, durations by their length (4.1.6.6).
func orderValue(r Resource, attr string) any {
	v := Value(r, attr)
	s, ok := v.(string)
	if !ok {
		return v
	}
	if attr == "intervalDuration" {
		if d, ok := durationOf(s); ok {
			return d
		}
	}
	return norm.NFKD.String(s)
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
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return cmp.Compare(x, y)
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

package cimi

import (
	"reflect"
	"slices"
	"strings"
)

// Names splits the values of $select or $expand (4.1.6.3, 4.1.6.4): comma
// separated, perhaps repeated; duplicates and empty names are dropped.
func Names(values []string) []string {
	var out []string
	for _, v := range values {
		for n := range strings.SplitSeq(v, ",") {
			if n = strings.TrimSpace(n); n != "" && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

// Select gives a copy of a resource with only the named top-level attributes
// (4.1.6.3); no names, or "*", is the whole. For a Collection, names that are
// not its own select attributes of its entries; "machines/name" always does.
func Select(r Resource, names []string) Resource {
	names = Names(names)
	if len(names) == 0 || slices.Contains(names, "*") {
		return r
	}
	c, ok := r.(*Collection)
	if !ok {
		return selectFlat(r, names)
	}
	var own, inner []string
	whole := false
	for _, n := range names {
		group, attr, path := strings.Cut(n, "/")
		switch {
		case path && group == c.groupName():
			inner = append(inner, attr)
		case n == c.groupName():
			whole = true
		case isCollectionAttribute(n):
			own = append(own, n)
		default:
			inner = append(inner, n)
		}
	}
	out := selectFlat(c, own).(*Collection)
	out.Item = c.Item
	switch {
	case len(inner) > 0:
		for _, item := range c.Items {
			out.Items = append(out.Items, Select(item, inner))
		}
	case whole:
		out.Items = c.Items
	}
	return out
}

// isCollectionAttribute: a Collection has but few attributes of its own (5.7.1, 5.5.12).
func isCollectionAttribute(name string) bool {
	switch name {
	case "id", "updated", "parent", "count", "operations":
		return true
	}
	return false
}

func selectFlat(r Resource, names []string) Resource {
	out := New(r.TypeName())
	src, t := structOf(r)
	dst, _ := structOf(out)
	if u, ok := r.(*Unknown); ok {
		out.(*Unknown).URI = u.URI
	}
	for _, n := range names {
		if a := t.find(n); a != nil {
			a.value(dst).Set(a.value(src))
			continue
		}
		for _, x := range r.Base().Extra {
			if x.Name == n {
				out.Base().Extra = append(out.Base().Extra, x)
			}
		}
	}
	return out
}

// Update applies an update to a resource in place, as 4.2.1.3 says: writable
// attributes take the values of src, absent ones are removed, read-only ones
// and, with names, all others stay. An attribute of src that is not among
// names is an error (4.2.1.3.1). Extension attributes are replaced when
// extension allows their name.
func Update(dst, src Resource, names []string, extension func(name string) bool) error {
	names = Names(names)
	all := len(names) == 0 || slices.Contains(names, "*")
	dv, t := structOf(dst)
	sv, st := structOf(src)
	if t != st {
		return Errorf(400, "expected a %s, got a %s", dst.TypeName(), src.TypeName())
	}
	var stray []string
	for _, a := range t.attrs {
		listed := all || slices.Contains(names, a.Name)
		if !listed {
			if !a.empty(sv) && a.Name != "id" {
				stray = append(stray, a.Name)
			}
			continue
		}
	}
	for _, x := range src.Base().Extra {
		if !all && !slices.Contains(names, x.Name) {
			stray = append(stray, x.Name)
		}
	}
	if len(stray) > 0 {
		return Errorf(400, "attributes not named in $select: %s", strings.Join(stray, ", "))
	}
	for _, a := range t.attrs {
		if !a.ConsumerWritable || !all && !slices.Contains(names, a.Name) {
			continue
		}
		if a.WriteOnly && all && a.empty(sv) {
			continue // it was never shown, so its absence says nothing
		}
		if a.Name == "parent" && a.empty(sv) {
			continue
		}
		copyAttribute(a, a.value(dv), a.value(sv))
	}
	writable := func(n string) bool { return (all || slices.Contains(names, n)) && extension != nil && extension(n) }
	kept := slices.DeleteFunc(slices.Clone(dst.Base().Extra), func(x Extra) bool { return writable(x.Name) })
	for _, x := range src.Base().Extra {
		if writable(x.Name) {
			kept = append(kept, x)
		}
	}
	dst.Base().Extra = kept
	return nil
}

// Overlay gives a copy of a template with the attributes of over in place of
// its own, and without those that over erases (4.2.1.1). over may be nil.
func Overlay[R Resource](template, over R) R {
	out := Clone(template)
	if reflect.ValueOf(over).IsNil() {
		return out
	}
	ov, t := structOf(over)
	dv, _ := structOf(out)
	for _, a := range t.attrs {
		switch {
		case !a.empty(ov):
			copyAttribute(a, a.value(dv), a.value(ov))
		case slices.Contains(over.Base().Erased, a.Name):
			a.value(dv).SetZero()
		}
	}
	for _, x := range over.Base().Extra {
		kept := slices.DeleteFunc(out.Base().Extra, func(y Extra) bool { return y.Name == x.Name })
		out.Base().Extra = append(kept, x)
	}
	return out
}

package cimi

import (
	"reflect"
	"slices"
)

// Targets lists the hrefs of a resource's references, those within what it
// holds by value included; "#name" is none.
func Targets(r Resource) []string {
	var out []string
	visit(r, func(a *Attribute, v reflect.Value) {
		if a.kind != kindRef && a.kind != kindRefs {
			return
		}
		for _, ref := range refsIn(v) {
			if h := *ref.hrefp(); h != "" && h[0] != '#' && !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}, nil)
	return out
}

// Forget takes the references to what is gone out of a resource, in place,
// from arrays too (5.10.1); one that also holds attributes by value keeps
// those. It tells whether there were any.
func Forget(r Resource, gone func(href string) bool) (changed bool) {
	visit(r, func(a *Attribute, v reflect.Value) {
		switch a.kind {
		case kindRef:
			ref := v.Interface().(reference)
			if h := *ref.hrefp(); h == "" || !gone(h) {
				return
			}
			changed = true
			if ref.resource() != nil {
				*ref.hrefp() = ""
				return
			}
			v.SetZero()
		case kindRefs:
			kept := reflect.MakeSlice(v.Type(), 0, v.Len())
			for i := range v.Len() {
				ref := v.Index(i).Addr().Interface().(reference)
				if h := *ref.hrefp(); h != "" && gone(h) {
					changed = true
					if ref.resource() == nil {
						continue
					}
					*ref.hrefp() = ""
				}
				kept = reflect.Append(kept, v.Index(i))
			}
			if kept.Len() != v.Len() {
				v.Set(kept)
			}
		}
	}, nil)
	return changed
}

// Lay puts the attributes that over has in place of those of r, in place.
func Lay(r, over Resource) {
	dv, t := structOf(r)
	ov, ot := structOf(over)
	if t != ot {
		return
	}
	for _, a := range t.attrs {
		if !a.empty(ov) {
			copyAttribute(a, a.value(dv), a.value(ov))
		}
	}
	for _, x := range over.Base().Extra {
		r.Base().SetExtra(x.Name, x.Value)
	}
}

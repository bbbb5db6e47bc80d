package cimi

import (
	"maps"
	"reflect"
	"slices"
)

// Clone copies a resource deeply. Values of extension attributes are shared:
// they are never changed in place.
func Clone[R Resource](r R) R {
	v := reflect.ValueOf(r)
	n := reflect.New(v.Elem().Type())
	copyStruct(n.Elem(), v.Elem())
	return n.Interface().(R)
}

func copyStruct(dst, src reflect.Value) {
	dst.Set(src)
	t := tableOf(src.Type())
	for _, a := range t.attrs {
		copyAttribute(a, a.value(dst), a.value(src))
	}
	if x := extrasOf(dst); x != nil {
		x.Extra = slices.Clone(x.Extra)
	}
	if r, ok := dst.Addr().Interface().(Resource); ok {
		r.Base().Erased = slices.Clone(r.Base().Erased)
	}
	if c, ok := dst.Addr().Interface().(*Collection); ok {
		c.Items = slices.Clone(c.Items)
		for i := range c.Items {
			c.Items[i] = Clone(c.Items[i])
		}
	}
}

func copyAttribute(a *Attribute, dst, src reflect.Value) {
	if src.IsZero() {
		dst.SetZero()
		return
	}
	switch a.kind {
	case kindInt, kindBool, kindTime:
		p := reflect.New(src.Type().Elem())
		p.Elem().Set(src.Elem())
		dst.Set(p)
	case kindMap:
		dst.Set(reflect.ValueOf(maps.Clone(src.Interface().(map[string]string))))
	case kindRef:
		p := reflect.New(src.Type().Elem())
		copyRef(p.Elem(), src.Elem())
		dst.Set(p)
	case kindStruct:
		p := reflect.New(src.Type().Elem())
		copyStruct(p.Elem(), src.Elem())
		dst.Set(p)
	case kindRefs, kindStructs:
		s := reflect.MakeSlice(src.Type(), src.Len(), src.Len())
		for i := range src.Len() {
			if a.kind == kindRefs {
				copyRef(s.Index(i), src.Index(i))
			} else {
				copyStruct(s.Index(i), src.Index(i))
			}
		}
		dst.Set(s)
	default:
		dst.Set(src)
	}
}

func copyRef(dst, src reflect.Value) {
	dst.Set(src)
	if v := src.Addr().Interface().(reference).resource(); v != nil {
		n := dst.Addr().Interface().(reference).make()
		copyStruct(reflect.ValueOf(n).Elem(), reflect.ValueOf(v).Elem())
	}
}

// MapURIs replaces every URI of a resource, in place and in whatever it
// contains by value: ids, hrefs, locations. Fragments ("#name") are component
// references of a SystemTemplate (5.13.4) and stay; so do source and
// destination of an Action, which lead elsewhere.
func MapURIs(r Resource, f func(uri string) string) {
	visit(r, func(a *Attribute, v reflect.Value) {
		if a.kind == kindURI && !a.asIs {
			v.SetString(mapURI(v.String(), f))
		}
		if a.kind == kindRef || a.kind == kindRefs {
			for _, ref := range refsIn(v) {
				*ref.hrefp() = mapURI(*ref.hrefp(), f)
			}
		}
		if a.refs && !v.IsNil() {
			v.Set(reflect.ValueOf(mapHrefs(v.Interface(), f)))
		}
	}, nil)
}

// mapHrefs is a value of any type with the hrefs in it replaced; the value
// itself stays as it is, since copies of a resource share it.
func mapHrefs(v any, f func(string) string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			if s, ok := x.(string); ok && (k == "href" || k == "@href") {
				out[k] = mapURI(s, f)
			} else {
				out[k] = mapHrefs(x, f)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = mapHrefs(x, f)
		}
		return out
	}
	return v
}

func mapURI(s string, f func(string) string) string {
	if s == "" || s[0] == '#' {
		return s
	}
	return f(s)
}

// visit calls attr for each attribute with a value, and extra for each struct
// with extension attributes, depth first; both may be nil.
func visit(r Resource, attr func(*Attribute, reflect.Value), extra func(r Resource, e *Extensions)) {
	v, t := structOf(r)
	visitStruct(r, v, t, attr, extra)
	if c, ok := r.(*Collection); ok {
		for _, item := range c.Items {
			visit(item, attr, extra)
		}
	}
}

func visitStruct(r Resource, v reflect.Value, t *table, attr func(*Attribute, reflect.Value), extra func(Resource, *Extensions)) {
	for _, a := range t.attrs {
		if a.empty(v) {
			continue
		}
		f := a.value(v)
		switch a.kind {
		case kindRef, kindRefs:
			for _, ref := range refsIn(f) {
				if inner := ref.resource(); inner != nil {
					visit(inner, attr, extra)
				}
			}
		case kindStruct:
			visitStruct(nil, f.Elem(), tableOf(f.Type().Elem()), attr, extra)
		case kindStructs:
			for i := range f.Len() {
				item := f.Index(i)
				visitStruct(nil, item, tableOf(item.Type()), attr, extra)
			}
		}
		if attr != nil {
			attr(a, f)
		}
	}
	if x := extrasOf(v); x != nil && extra != nil && len(x.Extra) > 0 {
		extra(r, x)
	}
}

// Public removes from a resource, in place, what an answer never holds:
// write-only attributes (passwords) and marks of erased ones.
func Public(r Resource) {
	visit(r, func(a *Attribute, v reflect.Value) {
		if a.WriteOnly {
			v.SetZero()
		}
	}, nil)
	r.Base().Erased = nil
}

// UnknownAttributes lists the attributes of a request that neither the model
// nor allowed names; a Provider shall reject them (5.3). What an Unknown
// resource by value holds is not judged.
func UnknownAttributes(r Resource, allowed func(name string) bool) []string {
	return UnknownAttributesIn(r, V2, allowed)
}

// UnknownAttributesIn is UnknownAttributes in a version: what only another
// version has is unknown too.
func UnknownAttributesIn(r Resource, v Version, allowed func(name string) bool) []string {
	var out []string
	add := func(name string) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	visit(r, func(a *Attribute, _ reflect.Value) {
		if !a.In(v) && !(a.Common && v == V1) {
			add(a.Name)
		}
	}, func(owner Resource, e *Extensions) {
		if _, ok := owner.(*Unknown); ok {
			return
		}
		for _, x := range e.Extra {
			if !allowed(x.Name) {
				add(x.Name)
			}
		}
	})
	return out
}

// Value gives the value of an attribute by name: nil when it has none, else
// string, int64, bool, *Time, map[string]string, *Ref[T], a slice, or the
// value of an extension attribute.
func Value(r Resource, name string) any {
	v, t := structOf(r)
	a := t.find(name)
	if a == nil {
		return r.Base().ExtraValue(name)
	}
	if a.empty(v) {
		return nil
	}
	switch x := a.value(v).Interface().(type) {
	case *int64:
		return *x
	case *bool:
		return *x
	default:
		return x
	}
}

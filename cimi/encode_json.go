package cimi

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"slices"
)

// EncodeJSON writes a resource as JSON (5.4), indented, with its resourceURI.
// Write-only attributes are written: use Public for an answer.
func EncodeJSON(w io.Writer, r Resource) error { return EncodeJSONIn(w, r, V2) }

// EncodeJSONIn is EncodeJSON in a version: what the version does not have is left out.
func EncodeJSONIn(w io.Writer, r Resource, v Version) error {
	b, err := MarshalJSONIn(r, v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = out.WriteTo(w)
	return err
}

// MarshalJSON gives a resource as compact JSON with its resourceURI.
func MarshalJSON(r Resource) ([]byte, error) { return MarshalJSONIn(r, V2) }

// MarshalJSONIn is MarshalJSON in a version; 0 is what either has, for keeping.
func MarshalJSONIn(r Resource, v Version) ([]byte, error) {
	e := &jsonEncoder{v: v}
	e.resource(r, true)
	return e.buf.Bytes(), e.err
}

type jsonEncoder struct {
	v   Version
	buf bytes.Buffer
	err error
}

// object writes members one by one, with the commas.
type jsonObject struct {
	e *jsonEncoder
	n int
}

func (e *jsonEncoder) open() *jsonObject {
	e.buf.WriteByte('{')
	return &jsonObject{e: e}
}

func (o *jsonObject) key(k string) {
	if o.n++; o.n > 1 {
		o.e.buf.WriteByte(',')
	}
	o.e.any(k)
	o.e.buf.WriteByte(':')
}

func (o *jsonObject) close() { o.e.buf.WriteByte('}') }

func (e *jsonEncoder) any(v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		if e.err == nil {
			e.err = err
		}
		b.WriteString("null")
	}
	e.buf.Write(bytes.TrimRight(b.Bytes(), "\n"))
}

func (e *jsonEncoder) resource(r Resource, withURI bool) {
	o := e.open()
	if withURI && r.TypeName() != "" {
		o.key("resourceURI")
		e.any(resourceURI(r, e.v))
	}
	e.members(o, r)
	o.close()
}

// resourceURI is the type URI of a resource.
func resourceURI(r Resource, v Version) string {
	if u, ok := r.(*Unknown); ok && u.URI != "" {
		return v.uri(u.URI)
	}
	return v.TypeURI(r.TypeName())
}

func (e *jsonEncoder) members(o *jsonObject, r Resource) {
	v, t := structOf(r)
	c, _ := r.(*Collection)
	e.attributes(o, v, t, r.Base().Erased, func() {
		if c == nil || len(c.Items) == 0 {
			return
		}
		o.key(c.groupName())
		e.buf.WriteByte('[')
		for i, item := range c.Items {
			if i > 0 {
				e.buf.WriteByte(',')
			}
			e.resource(item, true)
		}
		e.buf.WriteByte(']')
	})
}

// attributes writes the members of a struct; before the last ones (operations) it calls entries.
func (e *jsonEncoder) attributes(o *jsonObject, v reflect.Value, t *table, erased []string, entries func()) {
	for _, a := range t.attrs {
		if a.last && entries != nil {
			entries()
			entries = nil
		}
		switch {
		case !a.In(e.v):
		case !a.empty(v) && a.inline1 && e.v == V1:
			e.refMembers(o, a.value(v).Interface().(reference))
		case !a.empty(v):
			o.key(a.NameIn(e.v))
			e.attribute(a, a.value(v))
		case slices.Contains(erased, a.Name):
			o.key(a.NameIn(e.v))
			if a.Name == "id" { // the Job of an error: 4.2.2 wants an empty path
				e.buf.WriteString(`""`)
			} else {
				e.buf.WriteString("null")
			}
		}
	}
	if entries != nil {
		entries()
	}
	if x := extrasOf(v); x != nil {
		seen := map[string]bool{}
		for _, extra := range x.sorted() {
			if t.byName[extra.Name] == nil && !seen[extra.Name] && extra.Name != "resourceURI" {
				seen[extra.Name] = true
				o.key(extra.Name)
				e.any(extra.Value)
			}
		}
	}
}

func (e *jsonEncoder) attribute(a *Attribute, f reflect.Value) {
	if a.std && e.v != V2 {
		e.any(e.v.uri(f.String()))
		return
	}
	switch a.kind {
	case kindString, kindURI, kindInt, kindBool, kindAny, kindMap, kindAnys, kindStrings:
		e.any(f.Interface())
	case kindTime:
		e.any(f.Interface().(*Time).String())
	case kindRef:
		e.ref(f.Interface().(reference))
	case kindRefs:
		e.array(f, func(i reflect.Value) { e.ref(i.Addr().Interface().(reference)) })
	case kindStructs:
		e.array(f, e.structure)
	case kindStruct:
		e.structure(f.Elem())
	case kindScopeMap:
		e.scopes(f.Interface().(map[string]Scope))
	case kindScopes:
		e.array(f, func(i reflect.Value) { e.scopes(i.Interface().(ValueScope)) })
	}
}

func (e *jsonEncoder) array(f reflect.Value, each func(reflect.Value)) {
	e.buf.WriteByte('[')
	for i := range f.Len() {
		if i > 0 {
			e.buf.WriteByte(',')
		}
		each(f.Index(i))
	}
	e.buf.WriteByte(']')
}

func (e *jsonEncoder) structure(v reflect.Value) {
	o := e.open()
	e.attributes(o, v, tableOf(v.Type()), nil, nil)
	o.close()
}

func (e *jsonEncoder) ref(r reference) {
	o := e.open()
	e.refMembers(o, r)
	o.close()
}

func (e *jsonEncoder) refMembers(o *jsonObject, r reference) {
	if *r.hrefp() != "" {
		o.key("href")
		e.any(*r.hrefp())
	}
	if v := r.resource(); v != nil {
		if u, ok := v.(*Unknown); ok && u.URI != "" {
			o.key("resourceURI")
			e.any(e.v.uri(u.URI))
		}
		e.members(o, v)
	}
}

func (e *jsonEncoder) scopes(m map[string]Scope) {
	o := e.open()
	for _, k := range sortedKeys(m) {
		o.key(k)
		s := m[k]
		e.structure(reflect.ValueOf(&s).Elem())
	}
	o.close()
}

package cimi

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// EncodeXML writes a resource as an XML document (5.4). Write-only attributes
// are written: use Public for an answer.
func EncodeXML(w io.Writer, r Resource) error { return EncodeXMLIn(w, r, V2) }

// EncodeXMLIn is EncodeXML in a version: what the version does not have is
// left out, and 1.x has arrays, properties, operations and entries of
// collections without the elements that group them in 2.0.
func EncodeXMLIn(w io.Writer, r Resource, v Version) error {
	b, err := MarshalXMLIn(r, v)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// MarshalXML gives a resource as an indented XML document.
func MarshalXML(r Resource) ([]byte, error) { return MarshalXMLIn(r, V2) }

// MarshalXMLIn is MarshalXML in a version.
func MarshalXMLIn(r Resource, v Version) ([]byte, error) {
	e := &xmlEncoder{v: v}
	e.buf.WriteString(xml.Header)
	if c, ok := r.(*Collection); ok {
		e.element("Collection", []string{"resourceURI", resourceURI(r, v), "xmlns", v.Namespace()}, func() { e.members(c) })
		return e.buf.Bytes(), e.err
	}
	attrs := []string{"xmlns", v.Namespace()}
	if u, ok := r.(*Unknown); ok && u.URI != "" && u.URI != TypeURI(u.Type) {
		attrs = append(attrs, "resourceURI", v.uri(u.URI))
	}
	name := r.TypeName()
	if !isXMLName(name) {
		return nil, fmt.Errorf("resource type %q cannot be an XML element", name)
	}
	e.element(name, attrs, func() { e.members(r) })
	return e.buf.Bytes(), e.err
}

type xmlEncoder struct {
	v     Version
	buf   bytes.Buffer
	depth int
	err   error
}

func (e *xmlEncoder) indent() { e.buf.WriteString(strings.Repeat("  ", e.depth)) }

func (e *xmlEncoder) escape(s string) { _ = xml.EscapeText(&e.buf, []byte(s)) }

func (e *xmlEncoder) start(name string, attrs []string) {
	e.indent()
	e.buf.WriteString("<" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		e.buf.WriteString(" " + attrs[i] + `="`)
		e.escape(attrs[i+1])
		e.buf.WriteByte('"')
	}
}

// element writes an element with children; without content it is closed at once.
func (e *xmlEncoder) element(name string, attrs []string, content func()) {
	e.start(name, attrs)
	e.buf.WriteString(">\n")
	mark := e.buf.Len()
	e.depth++
	if content != nil {
		content()
	}
	e.depth--
	if e.buf.Len() == mark {
		e.buf.Truncate(mark - 2)
		e.buf.WriteString("/>\n")
		return
	}
	e.indent()
	e.buf.WriteString("</" + name + ">\n")
}

// text writes an element with text. White space at its ends would not survive
// a reader that trims, so it is marked.
func (e *xmlEncoder) text(name string, attrs []string, s string) {
	if s != strings.TrimSpace(s) {
		attrs = append(slices.Clone(attrs), "xml:space", "preserve")
	}
	e.start(name, attrs)
	if s == "" {
		e.buf.WriteString("/>\n")
		return
	}
	e.buf.WriteByte('>')
	e.escape(s)
	e.buf.WriteString("</" + name + ">\n")
}

func (e *xmlEncoder) members(r Resource) {
	v, t := structOf(r)
	c, _ := r.(*Collection)
	e.attributes(r.TypeName(), v, t, r.Base().Erased, func() {
		if c == nil || len(c.Items) == 0 {
			return
		}
		e.group(c.groupName(), func() {
			for _, item := range c.Items {
				name := item.TypeName()
				if name == "" {
					name = c.Item
				}
				e.element(name, nil, func() { e.members(item) })
			}
		})
	})
}

// group writes content within an element of its own; 1.x has none.
func (e *xmlEncoder) group(name string, content func()) {
	if e.v == V1 {
		content()
		return
	}
	e.element(name, nil, content)
}

// attr: in this version the attribute is written with the start tag, as an XML
// attribute or as the text.
func (e *xmlEncoder) inAttr(a *Attribute) bool {
	return a.In(e.v) && (a.inAttr && !(a.element1 && e.v == V1) || a.attr1 && e.v == V1)
}

func (e *xmlEncoder) inText(a *Attribute) bool { return a.inText && !(a.element1 && e.v == V1) }

// inOrder are the attributes of a type as this version writes them.
func (e *xmlEncoder) inOrder(typeName string, t *table) []*Attribute {
	names, ok := order1[typeName]
	if e.v != V1 || !ok {
		return t.attrs
	}
	var out []*Attribute
	for _, n := range names {
		out = append(out, t.find(n))
	}
	return out
}

func (e *xmlEncoder) attributes(typeName string, v reflect.Value, t *table, erased []string, entries func()) {
	for _, a := range e.inOrder(typeName, t) {
		if a.last && entries != nil {
			entries()
			entries = nil
		}
		switch {
		case !a.In(e.v) || e.inAttr(a) || e.inText(a): // written with the start tag
		case a.inline1 && e.v == V1:
			if !a.empty(v) {
				if r := a.value(v).Interface().(reference).resource(); r != nil {
					e.members(r)
				}
			}
		case !a.empty(v):
			e.attribute(a, a.value(v))
		case slices.Contains(erased, a.Name):
			e.text(a.NameIn(e.v), nil, "")
		}
	}
	if entries != nil {
		entries()
	}
	if x := extrasOf(v); x != nil {
		for _, extra := range x.sorted() {
			e.extra(extra)
		}
	}
}

func (e *xmlEncoder) attribute(a *Attribute, f reflect.Value) {
	switch a.kind {
	case kindString, kindURI, kindInt, kindBool, kindTime:
		e.text(a.NameIn(e.v), nil, e.textOf(a, f))
	case kindAny:
		e.anything(a.Name, f.Interface())
	case kindStrings:
		e.group(a.Name, func() {
			for _, s := range f.Interface().([]string) {
				e.text(a.Item, nil, s)
			}
		})
	case kindStruct:
		e.structure(a.Name, f.Elem())
	case kindMap:
		e.group(a.Name, func() {
			m := f.Interface().(map[string]string)
			for _, k := range sortedKeys(m) {
				e.text(a.Item, []string{"key", k}, m[k])
			}
		})
	case kindRef:
		e.ref(a.Name, f.Interface().(reference))
	case kindRefs: // an array of references has no wrapper (5.5.11)
		for _, r := range refsIn(f) {
			e.ref(a.Item, r)
		}
	case kindStructs:
		e.group(a.Name, func() {
			for i := range f.Len() {
				e.structure(a.Item, f.Index(i))
			}
		})
	case kindAnys: // enumerations of a scope are repeated (5.5.14)
		for _, x := range f.Interface().([]any) {
			s, _ := scalarText(x)
			e.text(a.Item, nil, s)
		}
	case kindScopeMap:
		e.element(a.Name, nil, func() { e.scopes(f.Interface().(map[string]Scope)) })
	case kindScopes:
		e.element(a.Name, nil, func() {
			for i := range f.Len() {
				e.element(a.Item, nil, func() { e.scopes(f.Index(i).Interface().(ValueScope)) })
			}
		})
	}
}

// anything writes a value of type any (5.5.13): as text, or with the types of
// its parts where it has parts.
func (e *xmlEncoder) anything(name string, v any) {
	if s, ok := scalarText(v); ok {
		e.text(name, nil, s)
		return
	}
	e.typed(name, nil, v)
}

// textOf is the text of an attribute in this version.
func (e *xmlEncoder) textOf(a *Attribute, f reflect.Value) string {
	if a.std && e.v != V2 {
		return e.v.uri(f.String())
	}
	return textOf(a, f)
}

// textOf is the text of an attribute of a simple type.
func textOf(a *Attribute, f reflect.Value) string {
	switch a.kind {
	case kindString, kindURI:
		return f.String()
	case kindInt, kindBool:
		return fmt.Sprint(f.Elem().Interface())
	case kindTime:
		return f.Interface().(*Time).String()
	}
	s, ok := scalarText(f.Interface())
	if !ok {
		s = fmt.Sprint(f.Interface())
	}
	return s
}

func (e *xmlEncoder) ref(name string, r reference) {
	var attrs []string
	if h := *r.hrefp(); h != "" {
		attrs = []string{"href", h}
	}
	v := r.resource()
	if v == nil {
		e.element(name, attrs, nil)
		return
	}
	if u, ok := v.(*Unknown); ok && u.URI != "" {
		attrs = append(attrs, "resourceURI", e.v.uri(u.URI))
	}
	e.element(name, attrs, func() { e.members(v) })
}

// structure writes an item of an array: operations and the structures that
// 5.11 shows so as XML attributes, others as child elements (5.5.8).
func (e *xmlEncoder) structure(name string, v reflect.Value) {
	t := tableOf(v.Type())
	var attrs []string
	for _, a := range t.attrs {
		if e.inAttr(a) && !a.empty(v) {
			attrs = append(attrs, a.NameIn(e.v), e.textOf(a, a.value(v)))
		}
		if a.inline1 && e.v == V1 && !a.empty(v) {
			if h := *a.value(v).Interface().(reference).hrefp(); h != "" {
				attrs = append(attrs, "href", h)
			}
		}
	}
	for _, a := range t.attrs {
		if !e.inText(a) || a.empty(v) || len(extrasOf(v).Extra) > 0 {
			continue
		}
		if s, ok := scalarText(a.value(v).Interface()); ok {
			e.text(name, attrs, s)
			return
		}
	}
	e.element(name, attrs, func() {
		for _, a := range t.attrs {
			if e.inText(a) && !a.empty(v) {
				e.anything(a.Name, a.value(v).Interface())
			}
		}
		e.attributes("", v, t, nil, nil)
	})
}

func (e *xmlEncoder) scopes(m map[string]Scope) {
	for _, k := range sortedKeys(m) {
		s := m[k]
		e.structure(k, reflect.ValueOf(&s).Elem())
	}
}

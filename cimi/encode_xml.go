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
func EncodeXML(w io.Writer, r Resource) error {
	b, err := MarshalXML(r)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// MarshalXML gives a resource as an indented XML document.
func MarshalXML(r Resource) ([]byte, error) {
	e := &xmlEncoder{}
	e.buf.WriteString(xml.Header)
	if c, ok := r.(*Collection); ok {
		e.element("Collection", []string{"resourceURI", resourceURI(r), "xmlns", Namespace}, func() { e.members(c) })
		return e.buf.Bytes(), e.err
	}
	attrs := []string{"xmlns", Namespace}
	if u, ok := r.(*Unknown); ok && u.URI != "" && u.URI != TypeURI(u.Type) {
		attrs = append(attrs, "resourceURI", u.URI)
	}
	name := r.TypeName()
	if !isXMLName(name) {
		return nil, fmt.Errorf("resource type %q cannot be an XML element", name)
	}
	e.element(name, attrs, func() { e.members(r) })
	return e.buf.Bytes(), e.err
}

type xmlEncoder struct {
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
	e.attributes(v, t, r.Base().Erased, func() {
		if c == nil || len(c.Items) == 0 {
			return
		}
		e.element(c.groupName(), nil, func() {
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

func (e *xmlEncoder) attributes(v reflect.Value, t *table, erased []string, entries func()) {
	for _, a := range t.attrs {
		if a.last && entries != nil {
			entries()
			entries = nil
		}
		switch {
		case a.inAttr || a.inText: // written with the start tag
		case !a.empty(v):
			e.attribute(a, a.value(v))
		case slices.Contains(erased, a.Name):
			e.text(a.Name, nil, "")
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
		e.text(a.Name, nil, textOf(a, f))
	case kindAny:
		e.anything(a.Name, f.Interface())
	case kindStrings:
		e.element(a.Name, nil, func() {
			for _, s := range f.Interface().([]string) {
				e.text(a.Item, nil, s)
			}
		})
	case kindStruct:
		e.structure(a.Name, f.Elem())
	case kindMap:
		e.element(a.Name, nil, func() {
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
		e.element(a.Name, nil, func() {
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
		attrs = append(attrs, "resourceURI", u.URI)
	}
	e.element(name, attrs, func() { e.members(v) })
}

// structure writes an item of an array: operations and the structures that
// 5.11 shows so as XML attributes, others as child elements (5.5.8).
func (e *xmlEncoder) structure(name string, v reflect.Value) {
	t := tableOf(v.Type())
	var attrs []string
	for _, a := range t.attrs {
		if a.inAttr && !a.empty(v) {
			attrs = append(attrs, a.Name, textOf(a, a.value(v)))
		}
	}
	for _, a := range t.attrs {
		if !a.inText || a.empty(v) || len(extrasOf(v).Extra) > 0 {
			continue
		}
		if s, ok := scalarText(a.value(v).Interface()); ok {
			e.text(name, attrs, s)
			return
		}
	}
	e.element(name, attrs, func() {
		for _, a := range t.attrs {
			if a.inText && !a.empty(v) {
				e.anything(a.Name, a.value(v).Interface())
			}
		}
		e.attributes(v, t, nil, nil)
	})
}

func (e *xmlEncoder) scopes(m map[string]Scope) {
	for _, k := range sortedKeys(m) {
		s := m[k]
		e.structure(k, reflect.ValueOf(&s).Elem())
	}
}

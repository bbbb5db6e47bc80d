package cimi

import (
	"encoding/json"
	"slices"
	"strings"
)

// Extension attributes in XML. Those of this project's namespace, and those
// that came from JSON, say their type where it is not string, so that nothing
// changes on the way: <ovfFindings type="array"><item type="object"><id>….
// Elements of other namespaces are kept as they came: attributes under
// "@name", text beside them under "#text", repeated children as an array.

const (
	xmlTypeKey = "type"
	xmlItem    = "item"
	xmlEntry   = "entry" // for names that XML does not allow, with attribute key
)

func isXMLName(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x370 && c <= 0x37d || c >= 0xc0 && c <= 0x2ff && c != 0xd7 && c != 0xf7
		if !letter && (i == 0 || c != '-' && c != '.' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

func (e *xmlEncoder) extra(x Extra) {
	ns := x.Namespace
	if ns == "" {
		ns = ExtensionNamespace
	}
	attrs := []string{"xmlns", ns}
	if ns == Namespace {
		if attrs = nil; e.v == V1 { // the schema of 1.x wants extensions in another namespace
			ns, attrs = ExtensionNamespace, []string{"xmlns", ExtensionNamespace}
		}
	}
	if ns == ExtensionNamespace {
		e.typed(x.Name, attrs, x.Value)
		return
	}
	if arr, ok := x.Value.([]any); ok {
		for _, v := range arr {
			e.untyped(x.Name, attrs, v)
		}
		return
	}
	e.untyped(x.Name, attrs, x.Value)
}

func (e *xmlEncoder) typed(name string, attrs []string, v any) {
	attrs = slices.Clone(attrs)
	if !isXMLName(name) || name == xmlEntry {
		attrs = append(attrs, "key", name)
		name = xmlEntry
	}
	switch v := v.(type) {
	case map[string]any:
		e.element(name, append(attrs, xmlTypeKey, "object"), func() {
			for _, k := range sortedKeys(v) {
				e.typed(k, nil, v[k])
			}
		})
	case []any:
		e.element(name, append(attrs, xmlTypeKey, "array"), func() {
			for _, x := range v {
				e.typed(xmlItem, nil, x)
			}
		})
	case nil:
		e.text(name, append(attrs, xmlTypeKey, "null"), "")
	case bool:
		s, _ := scalarText(v)
		e.text(name, append(attrs, xmlTypeKey, "boolean"), s)
	case json.Number:
		e.text(name, append(attrs, xmlTypeKey, "number"), v.String())
	case string:
		e.text(name, attrs, v)
	default:
		e.typed(name, attrs, plain(v))
	}
}

func (e *xmlEncoder) untyped(name string, attrs []string, v any) {
	if !isXMLName(name) {
		e.typed(name, append(slices.Clone(attrs), "xmlns", ExtensionNamespace), v)
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		s, _ := scalarText(v)
		e.text(name, attrs, s)
		return
	}
	attrs = slices.Clone(attrs)
	for _, k := range sortedKeys(m) {
		if a, ok := strings.CutPrefix(k, "@"); ok && isXMLName(a) {
			s, _ := scalarText(m[k])
			attrs = append(attrs, a, s)
		}
	}
	text, _ := scalarText(m["#text"])
	children := func() {
		for _, k := range sortedKeys(m) {
			if strings.HasPrefix(k, "@") || k == "#text" {
				continue
			}
			if arr, ok := m[k].([]any); ok {
				for _, x := range arr {
					e.untyped(k, nil, x)
				}
				continue
			}
			e.untyped(k, nil, m[k])
		}
	}
	if text != "" {
		e.text(name, attrs, text)
		return
	}
	e.element(name, attrs, children)
}

// extraOf reads an element as an extension attribute.
func extraOf(el *element) Extra {
	ns := el.space
	if isCIMI(ns) || ns == "" {
		ns = Namespace
	}
	if ns == ExtensionNamespace {
		return Extra{Name: el.typedName(), Namespace: ns, Value: el.typedValue()}
	}
	return Extra{Name: el.local, Namespace: ns, Value: el.untypedValue()}
}

func (el *element) typedName() string {
	if el.local == xmlEntry && el.attr("key") != "" {
		return el.attr("key")
	}
	return el.local
}

func (el *element) typedValue() any {
	switch el.attr(xmlTypeKey) {
	case "object":
		m := make(map[string]any, len(el.children))
		for _, c := range el.children {
			m[c.typedName()] = c.typedValue()
		}
		return m
	case "array":
		arr := make([]any, 0, len(el.children))
		for _, c := range el.children {
			arr = append(arr, c.typedValue())
		}
		return arr
	case "null":
		return nil
	case "boolean":
		return el.value() == "true"
	case "number":
		n := json.Number(el.value())
		if b, err := json.Marshal(n); err == nil && string(b) == el.value() {
			return n
		}
		return el.value()
	}
	if len(el.children) > 0 {
		return el.untypedValue()
	}
	return el.value()
}

func (el *element) untypedValue() any {
	attrs := el.plainAttrs()
	if len(el.children) == 0 && len(attrs) == 0 {
		return el.value()
	}
	m := map[string]any{}
	for k, v := range attrs {
		m["@"+k] = v
	}
	if s := el.value(); s != "" && len(el.children) == 0 {
		m["#text"] = s
	}
	for _, c := range el.children {
		v := c.untypedValue()
		switch old := m[c.local].(type) {
		case nil:
			m[c.local] = v
		case []any:
			m[c.local] = append(old, v)
		default:
			m[c.local] = []any{old, v}
		}
	}
	return m
}

package cimi

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// DecodeXML reads a resource, its type taken from the root element.
func DecodeXML(b []byte) (Resource, error) { return DecodeXMLAs(b, "") }

// DecodeXMLAs reads a resource; the type is that of the root element where it
// is modelled, else the given one.
func DecodeXMLAs(b []byte, typeName string) (Resource, error) {
	return DecodeXMLWithin(b, typeName, Limits{})
}

// DecodeXMLWithin is DecodeXMLAs with limits of the caller's choice.
func DecodeXMLWithin(b []byte, typeName string, l Limits) (Resource, error) {
	root, err := parseXML(b, l)
	if err != nil {
		return nil, err
	}
	name := root.local
	uri := root.attr("resourceURI")
	switch {
	case strings.EqualFold(name, "collection"):
		if named := typeOfURI(uri); named != "" {
			typeName = named
		} else if typeName == "" {
			typeName = itemOf(root) + "Collection"
		}
	case Known(name):
		typeName = name
	case Known(upperFirst(name)):
		typeName = upperFirst(name)
	case typeName == "":
		typeName = name
	}
	r := New(typeName)
	if u, ok := r.(*Unknown); ok {
		switch {
		case uri != "":
			u.URI = uri
		case root.space != "":
			u.URI = strings.TrimSuffix(root.space, "/") + "/" + name
		}
	}
	return r, bindElement(r, root, "", true)
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// itemOf guesses the type of a collection's entries from the names of the entries.
func itemOf(el *element) string {
	for _, c := range el.children {
		if newKnown(c.local) != nil {
			return c.local
		}
		for _, cc := range c.children {
			if newKnown(cc.local) != nil {
				return cc.local
			}
		}
	}
	return ""
}

// bindElement reads the children of an element as the attributes of a resource.
func bindElement(r Resource, el *element, path string, root bool) error {
	v, t := structOf(r)
	base := r.Base()
	c, _ := r.(*Collection)
	more := extras{to: &base.Extensions}
	for _, child := range el.children {
		a, flat := lookup(t, child)
		if a == nil {
			if held := t.findHeld(child); held != nil {
				if err := addHeld(held, held.value(v), child, join(path, child.local)); err != nil {
					return err
				}
				continue
			}
			if c != nil && isCIMI(child.space) {
				if took, err := bindGroup(c, child, join(path, child.local)); took || err != nil {
					if err != nil {
						return err
					}
					continue
				}
			}
			more.add(extraOf(child))
			continue
		}
		if child.bare() && !flat {
			if a.kind == kindRef && a.ConsumerMandatory { // an empty template by value
				a.value(v).Set(reflect.New(a.fieldType.Elem()))
				continue
			}
			base.Erased = append(base.Erased, a.Name)
			continue
		}
		if err := bindXML(a, a.value(v), child, flat, join(path, child.local)); err != nil {
			return err
		}
	}
	return nil
}

// extras adds extension attributes to those of a resource or structure that is
// being read.
type extras struct {
	to *Extensions // nil: it has none
	at map[extraName]int
}

type extraName struct{ namespace, name string }

// add adds one; a repeated one becomes an array.
func (e *extras) add(x Extra) {
	if e.to == nil {
		return
	}
	if e.at == nil {
		e.at = map[extraName]int{}
		for i, old := range e.to.Extra {
			e.at[extraName{old.Namespace, old.Name}] = i
		}
	}
	name := extraName{x.Namespace, x.Name}
	i, repeated := e.at[name]
	if !repeated {
		e.at[name] = len(e.to.Extra)
		e.to.Extra = append(e.to.Extra, x)
		return
	}
	if arr, ok := e.to.Extra[i].Value.([]any); ok {
		e.to.Extra[i].Value = append(arr, x.Value)
	} else {
		e.to.Extra[i].Value = []any{e.to.Extra[i].Value, x.Value}
	}
}

// lookup finds the attribute of an element: by its name, or as an item
// without its wrapper.
func lookup(t *table, el *element) (a *Attribute, flat bool) {
	if !isCIMI(el.space) {
		return nil, false
	}
	if a := t.find(el.local); a != nil {
		return a, a.Item == a.Name
	}
	return t.findItem(el.local), true
}

// findHeld finds the collection whose entries are named so in XML that gives
// them without the collection: <disk> of disks.
func (t *table) findHeld(el *element) *Attribute {
	if !isCIMI(el.space) {
		return nil
	}
	for _, a := range t.attrs {
		if a.kind == kindRef && a.of != "" && singular(a.Name) == el.local {
			return a
		}
	}
	return nil
}

// addHeld adds such an entry to its collection.
func addHeld(a *Attribute, f reflect.Value, el *element, path string) error {
	if f.IsNil() {
		f.Set(reflect.ValueOf(RefBy(NewCollection("", a.of))))
	}
	ref := f.Interface().(*Ref[Collection])
	if ref.Value == nil {
		ref.Value = NewCollection("", a.of)
	}
	r := New(a.of)
	if err := bindElement(r, el, path, false); err != nil {
		return err
	}
	if r.Base().ID == "" {
		r.Base().ID = strings.TrimSpace(el.attr("href"))
	}
	ref.Value.Items = append(ref.Value.Items, r)
	ref.Value.Count = Int(int64(len(ref.Value.Items)))
	return nil
}

// bindGroup reads the entries of a collection from their grouping element, or
// one entry that stands without it.
func bindGroup(c *Collection, el *element, path string) (took bool, err error) {
	entry := func(el *element) error {
		name := el.local
		if name == c.Item || isEntryOf(name, c.Item) || newKnown(name) == nil && c.Item != "" {
			name = c.Item
		}
		r := New(name)
		if err := bindElement(r, el, path, false); err != nil {
			return err
		}
		if h := el.attr("href"); h != "" && r.Base().ID == "" {
			r.Base().ID = strings.TrimSpace(h)
		}
		c.Items = append(c.Items, r)
		return nil
	}
	reference := lowerFirst(c.Item)
	if newKnown(el.local) != nil || el.local == reference {
		return true, entry(el)
	}
	if isPointer(el.attr("resourceURI"), c.Item) {
		for _, child := range el.children {
			if child.local == reference {
				return true, entry(child)
			}
		}
	}
	isGroup := el.local == c.groupName()
	for _, child := range el.children {
		isGroup = isGroup || newKnown(child.local) != nil
	}
	if !isGroup {
		return false, nil
	}
	for _, child := range el.children {
		if err := entry(child); err != nil {
			return true, err
		}
	}
	return true, nil
}

func bindXML(a *Attribute, f reflect.Value, el *element, flat bool, path string) error {
	switch a.kind {
	case kindAny:
		f.Set(reflect.ValueOf(guess(el)))
		return nil
	case kindMap:
		items := el.children
		if flat {
			items = []*element{el}
		}
		m, _ := f.Interface().(map[string]string)
		if m == nil {
			m = map[string]string{}
		}
		for _, item := range items {
			k := item.attr("key")
			if k == "" {
				k = item.local
			}
			m[k] = item.value()
		}
		f.Set(reflect.ValueOf(m))
		return nil
	case kindRef:
		ref := reflect.New(f.Type().Elem())
		if err := bindXMLRef(ref.Interface().(reference), a, el, path); err != nil {
			return err
		}
		f.Set(ref)
		return nil
	case kindStruct:
		n := reflect.New(f.Type().Elem())
		if err := bindXMLStruct(n.Elem(), el, path); err != nil {
			return err
		}
		f.Set(n)
		return nil
	case kindRefs, kindStructs, kindScopes, kindStrings:
		return bindItems(a, f, el, flat, path)
	case kindAnys:
		f.Set(reflect.Append(f, reflect.ValueOf(guess(el))))
		return nil
	case kindScopeMap:
		m, err := xmlScopes(el, path)
		if err != nil {
			return err
		}
		f.Set(reflect.ValueOf(m))
		return nil
	}
	if len(el.children) > 0 {
		return decodeErrorf(path, "expected %s, got elements", a.Type)
	}
	text := el.value()
	if a.kind == kindURI && text == "" {
		text = el.attr("href") // a location, given as a reference
	}
	return setScalar(a, f, text, path)
}

// bindItems reads an array: from its wrapper, or item by item without one.
func bindItems(a *Attribute, f reflect.Value, el *element, flat bool, path string) error {
	items := []*element{el}
	if !flat && el.attr("href") == "" {
		wrapped := false
		for _, c := range el.children {
			wrapped = wrapped || c.local == a.Item
		}
		if wrapped || len(el.children) == 0 {
			items = el.children
		}
	}
	for _, item := range items {
		nv := reflect.New(f.Type().Elem()).Elem()
		var err error
		switch a.kind {
		case kindStrings:
			nv.SetString(item.value())
		case kindRefs:
			err = bindXMLRef(nv.Addr().Interface().(reference), a, item, path)
		case kindScopes:
			var m map[string]Scope
			m, err = xmlScopes(item, path)
			nv.Set(reflect.ValueOf(ValueScope(m)))
		default:
			err = bindXMLStruct(nv, item, path)
		}
		if err != nil {
			return err
		}
		f.Set(reflect.Append(f, nv))
	}
	return nil
}

// bindXMLStruct reads a structure: its attributes may be XML attributes or
// child elements (5.5.8), one may be its text.
func bindXMLStruct(v reflect.Value, el *element, path string) error {
	t := tableOf(v.Type())
	attrs := el.plainAttrs()
	more := extras{to: extrasOf(v)}
	if t.inline != nil {
		if in := t.inlineElement(el); in != nil {
			if err := bindXML(t.inline, t.inline.value(v), in, false, path); err != nil {
				return err
			}
		}
	}
	for _, k := range sortedKeys(attrs) {
		a := t.find(k)
		if a == nil {
			if t.isInline(k) {
				continue
			}
			more.add(Extra{Name: k, Namespace: Namespace, Value: attrs[k]})
			continue
		}
		if a.kind == kindAny {
			a.value(v).Set(reflect.ValueOf(guessText(attrs[k])))
		} else if err := setScalar(a, a.value(v), attrs[k], join(path, k)); err != nil {
			return err
		}
	}
	for _, a := range t.attrs {
		if a.inText && len(el.children) == 0 && el.value() != "" {
			a.value(v).Set(reflect.ValueOf(guess(el)))
		}
	}
	for _, child := range el.children {
		a, flat := lookup(t, child)
		if a == nil {
			if isCIMI(child.space) && t.inlineChild(child) {
				continue
			}
			more.add(extraOf(child))
			continue
		}
		if child.bare() && a.kind != kindAny && a.kind != kindString {
			continue
		}
		if err := bindXML(a, a.value(v), child, flat, join(path, child.local)); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) inlineChild(el *element) bool {
	if t.inline == nil || !isCIMI(el.space) {
		return false
	}
	a, _ := lookup(t.inlineType(), el)
	return a != nil
}

// inlineElement is the reference that a structure of 1.x holds in itself; nil when it does not.
func (t *table) inlineElement(el *element) *element {
	in := &element{space: el.space, local: t.inline.Name}
	for _, a := range el.attrs {
		if a.Name.Space == "" && a.Name.Local == "href" {
			in.attrs = append(in.attrs, a)
		}
	}
	for _, c := range el.children {
		if a, _ := lookup(t, c); a == nil && t.inlineChild(c) {
			in.children = append(in.children, c)
		}
	}
	if len(in.attrs)+len(in.children) == 0 {
		return nil
	}
	return in
}

func bindXMLRef(ref reference, a *Attribute, el *element, path string) error {
	*ref.hrefp() = strings.TrimSpace(el.attr("href"))
	if len(el.children) == 0 {
		if s := el.value(); s != "" && *ref.hrefp() == "" {
			*ref.hrefp() = s // <parent>uri</parent>, as 5.5.12 shows it
		}
		return nil
	}
	r := ref.make()
	if c, ok := r.(*Collection); ok {
		c.Item = a.of
	}
	if u, ok := r.(*Unknown); ok {
		u.URI = el.attr("resourceURI")
		u.Type = typeOfURI(u.URI)
	}
	return bindElement(r, el, path, false)
}

func xmlScopes(el *element, path string) (map[string]Scope, error) {
	m := make(map[string]Scope, len(el.children))
	for _, child := range el.children {
		var s Scope
		values := 0
		for _, c := range child.children {
			if c.local == "value" {
				values++
			}
		}
		rest := &element{space: child.space, local: child.local, attrs: child.attrs}
		for _, c := range child.children {
			if values > 1 && c.local == "value" {
				s.Values = append(s.Values, guess(c))
				continue
			}
			rest.children = append(rest.children, c)
		}
		if err := bindXMLStruct(reflect.ValueOf(&s).Elem(), rest, join(path, child.local)); err != nil {
			return nil, err
		}
		m[child.local] = s
	}
	return m, nil
}

// guess gives a value of type any the type its text looks like: XML does not tell.
func guess(el *element) any {
	switch el.attr(xmlTypeKey) {
	case "object", "array":
		return el.typedValue()
	}
	if len(el.children) > 0 {
		return el.untypedValue()
	}
	return guessText(el.value())
}

func guessText(s string) any {
	switch s {
	case "true":
		return true
	case "false":
		return false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(n, 10) == s {
		return json.Number(s)
	}
	return s
}

package cimi

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Attribute describes one attribute of a resource type or structure. It comes
// from the tag of a struct field:
//
//	cimi:"name,option,…"
//
//	uri         a URI: relative ones are resolved against baseURI (5.5.10)
//	asis        a URI that is not one of the cloud's own: never made relative or absolute
//	ro          mutable, but not by a consumer (5.3)
//	fixed       never changes after creation
//	wo          write-only: never in an answer
//	mandatory, cmandatory   providerMandatory, consumerMandatory
//	item=N      element name of an array's items or a map's entries in XML
//	of=T        type of the entries of a collection
//	alias=N     another name that is understood
//	since=2, until=1        versions that have it
//	attr, text  in XML an attribute, or the text, of its structure
//	element1    in XML of 1.x a child element, whatever attr and text say
//	attr1       in XML of 1.x an attribute
//	inline1     in 1.x the reference's href and attributes stand in the structure itself
//	name1=N     its name in 1.x
//	std         a URI that may be the standard's own, in the namespace of the version
//	last        stands after all others
//	refs        of any type, with references in it (5.5.6)
//	measure=M   what an integer counts (see Measure)
type Attribute struct {
	Name    string
	Aliases []string
	// Type is the data type in the words of 5.5: string, URI, integer, boolean,
	// dateTime, ref, map, structure, collection, any, valueScope; an array
	// ends in [].
	Type string
	// Item is the name of an array's items, or the type of a collection's entries.
	Item string

	ProviderMandatory bool
	ConsumerMandatory bool
	Mutable           bool
	ConsumerWritable  bool
	WriteOnly         bool
	// Since and Until are the major versions that have the attribute; 0 is unbounded.
	Since, Until int
	// Common: one of 5.7.1.
	Common bool

	kind      kind
	fieldType reflect.Type
	index     []int
	of        string
	asIs      bool
	inAttr    bool
	inText    bool
	last      bool
	refs      bool

	measure Measure

	std      bool
	element1 bool
	attr1    bool
	inline1  bool
	name1    string
}

type kind int

const (
	kindString kind = iota
	kindURI
	kindInt
	kindBool
	kindTime
	kindAny
	kindMap      // map[string]string
	kindScopeMap // map[string]Scope
	kindRef      // *Ref[T]
	kindRefs     // []Ref[T]
	kindStructs  // []struct
	kindAnys     // []any
	kindScopes   // []ValueScope
	kindStrings  // []string
	kindStruct   // *struct
)

var kindNames = map[kind]string{
	kindString: "string", kindURI: "URI", kindInt: "integer", kindBool: "boolean", kindTime: "dateTime",
	kindAny: "any", kindMap: "map", kindScopeMap: "valueScope", kindRef: "ref", kindRefs: "ref[]",
	kindStructs: "structure[]", kindAnys: "any[]", kindScopes: "valueScope[]", kindStrings: "string[]", kindStruct: "structure",
}

// Attributes lists the attributes of a type in the order in which they are
// serialised: common ones first, operations last. It has those of both
// versions; see Attribute.In. The caller must not change them.
func Attributes(typeName string) []*Attribute {
	r := New(typeName)
	return tableOf(reflect.TypeOf(r).Elem()).attrs
}

// In tells whether a version of the standard has the attribute; 0 is either.
func (a *Attribute) In(v Version) bool {
	return v == 0 || (a.Since == 0 || a.Since <= int(v)) && (a.Until == 0 || int(v) <= a.Until)
}

// NameIn is the attribute's name in a version.
func (a *Attribute) NameIn(v Version) string {
	if v == V1 && a.name1 != "" {
		return a.name1
	}
	return a.Name
}

// AttributeNamed finds an attribute of a type by name or alias; nil when there is none.
func AttributeNamed(typeName, name string) *Attribute {
	return tableOf(reflect.TypeOf(New(typeName)).Elem()).find(name)
}

// table is the attribute table of one struct type.
type table struct {
	attrs  []*Attribute
	byName map[string]*Attribute
	inline *Attribute // the one with inline1
}

func (t *table) find(name string) *Attribute { return t.byName[name] }

// findItem finds the array or map whose items have this name, for XML that
// leaves out the wrapper.
func (t *table) findItem(name string) *Attribute {
	for _, a := range t.attrs {
		if a.Item == name && a.of == "" {
			return a
		}
	}
	return nil
}

// tables caches what is derived from types alone.
var tables sync.Map // reflect.Type -> *table

func tableOf(t reflect.Type) *table {
	if v, ok := tables.Load(t); ok {
		return v.(*table)
	}
	tb := &table{byName: map[string]*Attribute{}}
	tb.collect(t, nil)
	slices.SortStableFunc(tb.attrs, func(a, b *Attribute) int { return btoi(a.last) - btoi(b.last) })
	v, _ := tables.LoadOrStore(t, tb)
	return v.(*table)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (t *table) collect(st reflect.Type, index []int) {
	for i := range st.NumField() {
		f := st.Field(i)
		path := append(slices.Clone(index), i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			t.collect(f.Type, path)
			continue
		}
		tag, ok := f.Tag.Lookup("cimi")
		if !ok {
			continue
		}
		a := parseTag(tag, f.Type)
		a.index = path
		a.Common = st == reflect.TypeFor[Common]()
		if old := t.byName[a.Name]; old != nil {
			t.attrs = slices.DeleteFunc(t.attrs, func(b *Attribute) bool { return b == old })
		}
		t.attrs = append(t.attrs, a)
		if a.inline1 {
			t.inline = a
		}
		for _, n := range append([]string{a.Name}, a.Aliases...) {
			t.byName[n] = a
		}
	}
}

func parseTag(tag string, ft reflect.Type) *Attribute {
	parts := strings.Split(tag, ",")
	a := &Attribute{Name: parts[0], Mutable: true, ConsumerWritable: true}
	uri := false
	for _, p := range parts[1:] {
		key, val, _ := strings.Cut(p, "=")
		switch key {
		case "uri":
			uri = true
		case "asis":
			a.asIs = true
		case "ro":
			a.ConsumerWritable = false
		case "fixed":
			a.Mutable, a.ConsumerWritable = false, false
		case "wo":
			a.WriteOnly = true
		case "mandatory":
			a.ProviderMandatory = true
		case "cmandatory":
			a.ConsumerMandatory = true
		case "item":
			a.Item = val
		case "of":
			a.of, a.Item = val, val
		case "alias":
			a.Aliases = append(a.Aliases, val)
		case "since":
			fmt.Sscan(val, &a.Since)
		case "until":
			fmt.Sscan(val, &a.Until)
		case "attr":
			a.inAttr = true
		case "text":
			a.inText = true
		case "last":
			a.last = true
		case "refs":
			a.refs = true
		case "attr1":
			a.attr1 = true
		case "std":
			a.std = true
		case "element1":
			a.element1 = true
		case "inline1":
			a.inline1 = true
		case "name1":
			a.name1 = val
			a.Aliases = append(a.Aliases, val)
		case "measure":
			a.measure = Measure(val)
		default:
			panic("cimi: unknown option " + p + " in tag " + tag)
		}
	}
	a.kind, a.fieldType = kindOf(ft), ft
	if uri {
		a.kind = kindURI
	}
	a.Type = kindNames[a.kind]
	if a.of != "" {
		a.Type = "collection"
	}
	if a.Item == "" && a.kind == kindMap {
		a.Item = singular(a.Name)
	}
	return a
}

func singular(s string) string {
	if t, ok := strings.CutSuffix(s, "ies"); ok {
		return t + "y"
	}
	return strings.TrimSuffix(s, "s")
}

func kindOf(t reflect.Type) kind {
	switch t {
	case reflect.TypeFor[string]():
		return kindString
	case reflect.TypeFor[*int64]():
		return kindInt
	case reflect.TypeFor[*bool]():
		return kindBool
	case reflect.TypeFor[*Time]():
		return kindTime
	case reflect.TypeFor[any]():
		return kindAny
	case reflect.TypeFor[map[string]string]():
		return kindMap
	case reflect.TypeFor[map[string]Scope]():
		return kindScopeMap
	case reflect.TypeFor[[]string]():
		return kindStrings
	case reflect.TypeFor[[]any]():
		return kindAnys
	case reflect.TypeFor[[]ValueScope]():
		return kindScopes
	}
	isRef := func(t reflect.Type) bool { return t.Implements(reflect.TypeFor[reference]()) }
	switch {
	case t.Kind() == reflect.Pointer && isRef(t):
		return kindRef
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		return kindStruct
	case t.Kind() == reflect.Slice && isRef(reflect.PointerTo(t.Elem())):
		return kindRefs
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return kindStructs
	}
	panic("cimi: no data type of 5.5 for " + t.String())
}

// value gives the field of an attribute.
func (a *Attribute) value(v reflect.Value) reflect.Value { return v.FieldByIndex(a.index) }

// empty tells whether an attribute has no value and is left out (5.5.15).
func (a *Attribute) empty(v reflect.Value) bool {
	f := a.value(v)
	switch f.Kind() {
	case reflect.Map, reflect.Slice:
		return f.Len() == 0
	}
	return f.IsZero()
}

// structOf is the struct behind a resource, and its table.
func structOf(r Resource) (reflect.Value, *table) {
	v := reflect.ValueOf(r).Elem()
	return v, tableOf(v.Type())
}

// extrasOf is the Extensions of a struct; nil when it has none.
func extrasOf(v reflect.Value) *Extensions {
	if e, ok := v.Addr().Interface().(interface{ extensions() *Extensions }); ok {
		return e.extensions()
	}
	return nil
}

// refsIn gives the references in a field of kind kindRef or kindRefs.
func refsIn(f reflect.Value) []reference {
	if f.Kind() == reflect.Pointer {
		if f.IsNil() {
			return nil
		}
		return []reference{f.Interface().(reference)}
	}
	var out []reference
	for i := range f.Len() {
		out = append(out, f.Index(i).Addr().Interface().(reference))
	}
	return out
}

package cimi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
)

// DecodeJSON reads a resource, its type taken from resourceURI. Without one
// the result is an *Unknown: use DecodeJSONAs where the type is known.
func DecodeJSON(b []byte) (Resource, error) { return DecodeJSONAs(b, "") }

// DecodeJSONAs reads a resource whose type is the given one unless its
// resourceURI names another modelled type.
func DecodeJSONAs(b []byte, typeName string) (Resource, error) {
	return DecodeJSONWithin(b, typeName, Limits{})
}

// DecodeJSONWithin is DecodeJSONAs with limits of the caller's choice.
func DecodeJSONWithin(b []byte, typeName string, l Limits) (Resource, error) {
	v, err := parseJSON(b, l)
	if err != nil {
		return nil, err
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return nil, decodeErrorf("", "expected a JSON object")
	}
	return resourceOfObject(obj, typeName, "")
}

// parseJSON parses one document within the limits; numbers stay json.Number.
func parseJSON(b []byte, l Limits) (any, error) {
	l = l.orDefault()
	if len(b) > l.Bytes {
		return nil, ErrTooLarge
	}
	if err := checkJSONLimits(b, l); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		var syn *json.SyntaxError
		if errors.As(err, &syn) {
			return nil, decodeErrorf("", "not JSON: %s at byte %d", err, syn.Offset)
		}
		return nil, decodeErrorf("", "not JSON: %s at byte %d", err, len(b))
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, decodeErrorf("", "not JSON: more than one value, at byte %d", d.InputOffset())
	}
	return v, nil
}

// checkJSONLimits counts depth and values without building anything.
func checkJSONLimits(b []byte, l Limits) error {
	depth, nodes := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > l.Depth {
				return ErrTooLarge
			}
		case '}', ']':
			depth--
		case ',':
			if nodes++; nodes > l.Nodes {
				return ErrTooLarge
			}
		}
	}
	return nil
}

func resourceOfObject(obj map[string]any, typeName, path string) (Resource, error) {
	uri, _ := obj["resourceURI"].(string)
	if named := typeOfURI(uri); named != "" && (typeName == "" || Known(named) && !isEntryOf(named, typeName)) {
		typeName = named
	}
	r := New(typeName)
	if u, ok := r.(*Unknown); ok && uri != "" {
		u.URI = uri
	}
	return r, bindObject(r, obj, path)
}

// isEntryOf: an entry of an enhanced collection may call itself by the plain type.
func isEntryOf(named, want string) bool {
	return want == "locatedVolume" && named == "Volume" || want == "RecoverableMachine" && named == "Machine"
}

func bindObject(r Resource, obj map[string]any, path string) error {
	v, t := structOf(r)
	c, _ := r.(*Collection)
	base := r.Base()
	if c != nil && c.Item == "" {
		c.Item = itemOfGroup(obj)
	}
	for _, key := range sortedKeys(obj) {
		val := obj[key]
		if key == "resourceURI" {
			continue
		}
		a := t.find(key)
		if a == nil {
			if c != nil && isEntries(c, obj, key) {
				if err := bindEntries(c, val, join(path, key)); err != nil {
					return err
				}
				continue
			}
			base.Extra = append(base.Extra, Extra{Name: key, Value: val})
			continue
		}
		if val == nil {
			base.Erased = append(base.Erased, a.Name)
			continue
		}
		if err := bindJSON(a, a.value(v), val, join(path, key)); err != nil {
			return err
		}
	}
	return nil
}

// itemOfGroup is the type of a collection's entries by the name of their array;
// "" where no type has one of that name.
func itemOfGroup(obj map[string]any) string {
	for _, item := range append(TypeNames(), TypeNames1()...) {
		if _, ok := obj[GroupName(item)].([]any); ok {
			return item
		}
	}
	return ""
}

// isEntries finds the array of entries: by its name, else, where there is none
// of that name, any array of objects that have an id or href.
func isEntries(c *Collection, obj map[string]any, key string) bool {
	if named, ok := obj[c.groupName()].([]any); ok {
		return key == c.groupName() && named != nil
	}
	arr, ok := obj[key].([]any)
	if !ok || len(arr) == 0 || slices.Contains(ExtensionAttributes(), key) {
		return false
	}
	for _, x := range arr {
		entry, ok := x.(map[string]any)
		if !ok || entry["id"] == nil && entry["href"] == nil {
			return false
		}
	}
	return true
}

func bindEntries(c *Collection, val any, path string) error {
	for _, x := range val.([]any) {
		obj, ok := x.(map[string]any)
		if !ok {
			return decodeErrorf(path, "expected an object for each entry")
		}
		if uri, _ := obj["resourceURI"].(string); isPointer(uri, c.Item) {
			if target, ok := obj[lowerFirst(c.Item)].(map[string]any); ok {
				obj = target
			}
		}
		r, err := resourceOfObject(obj, c.Item, path)
		if err != nil {
			return err
		}
		entryHref(r)
		c.Items = append(c.Items, r)
	}
	return nil
}

// bindHeld reads a collection that stands as an array of its entries in the
// resource it belongs to.
func bindHeld(a *Attribute, f reflect.Value, entries []any, path string) error {
	c := NewCollection("", a.of)
	if err := bindEntries(c, entries, path); err != nil {
		return err
	}
	c.Count = Int(int64(len(c.Items)))
	f.Set(reflect.ValueOf(RefBy(c)))
	return nil
}

// isPointer: an entry of this type is not the resource but holds a reference to
// it, as all did in the drafts.
func isPointer(uri, item string) bool { return item != "" && typeOfURI(uri) == item+"CollectionEntry" }

// entryHref: entries given as bare references have href instead of id.
func entryHref(r Resource) {
	b := r.Base()
	if h := b.ExtraString("href"); h != "" && b.ID == "" {
		b.ID = strings.TrimSpace(h)
		b.SetExtra("href", nil)
	}
}

func bindJSON(a *Attribute, f reflect.Value, val any, path string) error {
	switch a.kind {
	case kindAny:
		f.Set(reflect.ValueOf(&val).Elem())
		return nil
	case kindMap:
		return bindMap(f, val, path)
	case kindRef:
		if entries, ok := val.([]any); ok && a.of != "" {
			return bindHeld(a, f, entries, path)
		}
		ref := reflect.New(f.Type().Elem())
		if err := bindRef(ref.Interface().(reference), a, val, path); err != nil {
			return err
		}
		f.Set(ref)
		return nil
	case kindRefs, kindStructs, kindAnys, kindScopes, kindStrings:
		return bindArray(a, f, val, path)
	case kindStruct:
		obj, ok := val.(map[string]any)
		if !ok {
			return decodeErrorf(path, "expected an object, got %s", jsonType(val))
		}
		n := reflect.New(f.Type().Elem())
		if err := bindStruct(n.Elem(), obj, path); err != nil {
			return err
		}
		f.Set(n)
		return nil
	case kindScopeMap:
		m, err := scopesOf(val, path)
		if err != nil {
			return err
		}
		f.Set(reflect.ValueOf(m))
		return nil
	}
	if obj, ok := val.(map[string]any); ok && a.kind == kindURI && len(obj) == 1 && obj["href"] != nil {
		val = obj["href"] // a location, given as a reference
	}
	s, ok := scalarText(val)
	if !ok {
		return decodeErrorf(path, "expected %s, got %s", a.Type, jsonType(val))
	}
	return setScalar(a, f, s, path)
}

func jsonType(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	}
	return "a scalar"
}

func bindMap(f reflect.Value, val any, path string) error {
	obj, ok := val.(map[string]any)
	if !ok {
		if arr, isArr := val.([]any); isArr && len(arr) == 0 {
			return nil
		}
		return decodeErrorf(path, "expected an object of names and strings")
	}
	m := make(map[string]string, len(obj))
	for k, x := range obj {
		s, ok := scalarText(x)
		if !ok {
			b, err := json.Marshal(x)
			if err != nil {
				return decodeErrorf(join(path, k), "expected a string")
			}
			s = string(b)
		}
		m[k] = s
	}
	if len(m) > 0 {
		f.Set(reflect.ValueOf(m))
	}
	return nil
}

func bindArray(a *Attribute, f reflect.Value, val any, path string) error {
	arr, ok := val.([]any)
	if !ok {
		arr = []any{val} // an array of one, written without its brackets
	}
	out := reflect.MakeSlice(f.Type(), len(arr), len(arr))
	for i, x := range arr {
		item := out.Index(i)
		var err error
		switch a.kind {
		case kindAnys:
			item.Set(reflect.ValueOf(&x).Elem())
		case kindStrings:
			s, ok := scalarText(x)
			if !ok {
				return decodeErrorf(path, "expected an array of strings")
			}
			item.SetString(s)
		case kindRefs:
			err = bindRef(item.Addr().Interface().(reference), a, x, path)
		case kindScopes:
			var m map[string]Scope
			m, err = scopesOf(x, path)
			item.Set(reflect.ValueOf(ValueScope(m)))
		default:
			obj, ok := x.(map[string]any)
			if !ok {
				return decodeErrorf(path, "expected an array of objects")
			}
			err = bindStruct(item, obj, path)
		}
		if err != nil {
			return err
		}
	}
	if len(arr) > 0 {
		f.Set(out)
	}
	return nil
}

func bindStruct(v reflect.Value, obj map[string]any, path string) error {
	t := tableOf(v.Type())
	if t.inline != nil && obj[t.inline.Name] == nil {
		if err := bindInline(v, t, obj, path); err != nil {
			return err
		}
	}
	for _, key := range sortedKeys(obj) {
		a := t.find(key)
		if a == nil {
			if t.isInline(key) {
				continue
			}
			if x := extrasOf(v); x != nil {
				x.Extra = append(x.Extra, Extra{Name: key, Value: obj[key]})
			}
			continue
		}
		if obj[key] == nil && a.kind != kindAny {
			continue
		}
		if err := bindJSON(a, a.value(v), obj[key], join(path, key)); err != nil {
			return err
		}
	}
	return nil
}

// isInline: 1.x puts the attributes of a reference into the structure that holds it.
func (t *table) isInline(name string) bool {
	return t.inline != nil && (name == "href" || t.inlineType().find(name) != nil)
}

func (t *table) inlineType() *table {
	f, _ := t.inline.fieldType.Elem().FieldByName("Value")
	return tableOf(f.Type.Elem())
}

// bindInline reads the reference of a structure of 1.x from the structure itself.
func bindInline(v reflect.Value, t *table, obj map[string]any, path string) error {
	in := map[string]any{}
	for k, x := range obj {
		if t.find(k) == nil && t.isInline(k) {
			in[k] = x
		}
	}
	if len(in) == 0 {
		return nil
	}
	return bindJSON(t.inline, t.inline.value(v), in, path)
}

// bindRef reads a reference: an object with href, attributes by value, or
// both; a bare string is taken for the href.
func bindRef(ref reference, a *Attribute, val any, path string) error {
	if s, ok := val.(string); ok {
		*ref.hrefp() = strings.TrimSpace(s)
		return nil
	}
	obj, ok := val.(map[string]any)
	if !ok {
		return decodeErrorf(path, "expected a reference, an object with href")
	}
	rest := make(map[string]any, len(obj))
	for k, x := range obj {
		switch k {
		case "href":
			s, ok := scalarText(x)
			if !ok {
				return decodeErrorf(join(path, k), "expected a URI")
			}
			*ref.hrefp() = strings.TrimSpace(s)
		default:
			rest[k] = x
		}
	}
	if len(rest) == 0 {
		return nil
	}
	r := ref.make()
	if c, ok := r.(*Collection); ok {
		c.Item = a.of
	}
	if u, ok := r.(*Unknown); ok {
		u.URI, _ = rest["resourceURI"].(string)
		u.Type = typeOfURI(u.URI)
	}
	return bindObject(r, rest, path)
}

func scopesOf(val any, path string) (map[string]Scope, error) {
	obj, ok := val.(map[string]any)
	if !ok {
		return nil, decodeErrorf(path, "expected an object of scopes")
	}
	m := make(map[string]Scope, len(obj))
	for k, x := range obj {
		o, ok := x.(map[string]any)
		if !ok {
			return nil, decodeErrorf(join(path, k), "expected a scope, an object")
		}
		var s Scope
		if err := bindStruct(reflect.ValueOf(&s).Elem(), o, join(path, k)); err != nil {
			return nil, err
		}
		m[k] = s
	}
	return m, nil
}

package cimi

// NameHeld gives an href, in place, to each collection that a resource holds by
// value without one: the collection's own id or, where it has none, the id of the
// resource with the attribute's name as its fragment; see Held.
func NameHeld(r Resource) {
	if c, ok := r.(*Collection); ok {
		for _, item := range c.Items {
			NameHeld(item)
		}
		return
	}
	v, t := structOf(r)
	for _, a := range t.attrs {
		if a.of == "" || a.empty(v) {
			continue
		}
		ref := a.value(v).Interface().(*Ref[Collection])
		switch {
		case ref.Href != "" || ref.Value == nil:
		case ref.Value.ID != "":
			ref.Href = ref.Value.ID
		case r.Base().ID != "":
			ref.Href = r.Base().ID + "#" + a.Name
		}
	}
}

// Held is the collection that a resource holds by value as the attribute named;
// nil where it holds none.
func Held(r Resource, name string) *Collection {
	if ref, ok := Value(r, name).(*Ref[Collection]); ok && ref != nil {
		return ref.Value
	}
	return nil
}

// OnlyID tells whether a resource has no attribute but its id: an entry that was
// given as a reference.
func OnlyID(r Resource) bool {
	v, t := structOf(r)
	for _, a := range t.attrs {
		if a.Name != "id" && !a.empty(v) {
			return false
		}
	}
	return len(r.Base().Extra) == 0 && len(r.Base().Erased) == 0
}

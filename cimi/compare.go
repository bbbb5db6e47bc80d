package cimi

import "reflect"

// SameValue tells whether two values of an attribute, as Value gives them, are
// the same: dates by the moment, all else by what it holds.
func SameValue(a, b any) bool {
	if x, ok := a.(*Time); ok {
		y, ok := b.(*Time)
		return ok && x.Text == y.Text && x.Time.Equal(y.Time)
	}
	return reflect.DeepEqual(a, b)
}

// CopyAttribute gives dst the value that src has of an attribute; both are of
// one type.
func CopyAttribute(dst, src Resource, name string) {
	dv, t := structOf(dst)
	sv, st := structOf(src)
	if a := t.find(name); a != nil && t == st {
		copyAttribute(a, a.value(dv), a.value(sv))
	}
}

// Empty tells whether a resource has no attribute with a value.
func Empty(r Resource) bool {
	v, t := structOf(r)
	for _, a := range t.attrs {
		if !a.empty(v) {
			return false
		}
	}
	return len(r.Base().Extra) == 0
}

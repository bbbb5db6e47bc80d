package cimi

import (
	"context"
	"slices"
)

// Expand includes the targets of the named references by value (4.1.6.4), in
// place; "*" names all. Of a Collection it expands the references of the
// entries. get reads a target, a collection's included; a target that is not
// there stays a bare reference.
func Expand(ctx context.Context, r Resource, names []string, get func(ctx context.Context, href string) (Resource, error)) error {
	names = Names(names)
	if len(names) == 0 {
		return nil
	}
	if c, ok := r.(*Collection); ok {
		for _, item := range c.Items {
			if err := Expand(ctx, item, names, get); err != nil {
				return err
			}
		}
		return nil
	}
	v, t := structOf(r)
	for _, a := range t.attrs {
		if a.kind != kindRef && a.kind != kindRefs || a.empty(v) {
			continue
		}
		if !slices.Contains(names, "*") && !slices.Contains(names, a.Name) {
			continue
		}
		for _, ref := range refsIn(a.value(v)) {
			if err := expandRef(ctx, ref, get); err != nil {
				return err
			}
		}
	}
	return nil
}

func expandRef(ctx context.Context, ref reference, get func(ctx context.Context, href string) (Resource, error)) error {
	href := *ref.hrefp()
	if href == "" || href[0] == '#' || ref.resource() != nil {
		return nil
	}
	target, err := get(ctx, href)
	if IsNotFound(err) || IsUnauthorized(err) {
		return nil
	}
	if err != nil {
		return err
	}
	ref.set(target)
	return nil
}

package provider

import (
	"context"
	"net/http"

	"github.com/cimimove/cimimove/cimi"
)

// resolve gives the template, configuration or other resource that a request
// refers to: by reference, by value, or by reference with overrides (4.2.1.1).
// name is the attribute, for errors; where there is no reference at all the
// result is empty. What is given by value never becomes a resource.
func resolve[T any, R interface {
	*T
	cimi.Resource
}](ctx context.Context, p *Provider, name string, ref *cimi.Ref[T]) (R, error) {
	if ref == nil {
		return R(new(T)), nil
	}
	href := plainID(ref.Href)
	if href == "" {
		if ref.Value == nil {
			return R(new(T)), nil
		}
		return cimi.Clone(R(ref.Value)), nil
	}
	r, err := p.read(ctx, href)
	if err != nil && !cimi.IsNotFound(err) {
		return nil, err
	}
	if r == nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "%s: %s: no such resource", name, href)
	}
	found, ok := r.(R)
	if !ok {
		return nil, cimi.Errorf(http.StatusBadRequest, "%s: expected a %s, %s is a %s", name, R(new(T)).TypeName(), href, r.TypeName())
	}
	if ref.Value != nil {
		found = cimi.Overlay(found, R(ref.Value))
	}
	return found, nil
}

// template is resolve for what a request must have.
func template[T any, R interface {
	*T
	cimi.Resource
}](ctx context.Context, p *Provider, name string, ref *cimi.Ref[T]) (R, error) {
	if ref == nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "%s: missing", name)
	}
	return resolve[T, R](ctx, p, name, ref)
}

// named gives a new resource what the request says of it, and what of that it
// does not say from the template where the template is no resource of its own:
// a name that a consumer gave a template is the template's (5.13.4).
func named(to *cimi.Common, from cimi.Resource) {
	f := from.Base()
	to.Name, to.Description, to.Properties = f.Name, f.Description, f.Properties
}

// Package bare shows a cloud as public ones are: without import and export of
// packages (DSP0263 makes both optional) and without anything that only this
// project has. It is for tests.
package bare

import (
	"context"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// Provider is a cloud without import and export: it has neither the operations
// nor the attributes of this project. It hides what the embedded one has.
type Provider struct {
	cimi.Provider
	// NoSystems: it makes Machines, Volumes and Networks only.
	NoSystems bool
	// NoValues: it takes no templates and configurations by value (5.11.1).
	NoValues bool
}

var packageActions = []string{cimi.ActionImport, cimi.ActionExport}

func (b Provider) hide(r cimi.Resource) cimi.Resource {
	r = cimi.Clone(r)
	c := r.Base()
	c.Operations = slices.DeleteFunc(c.Operations, func(o cimi.Operation) bool {
		return slices.Contains(packageActions, o.Rel) || o.Rel == cimi.RelReach
	})
	c.Extra = nil
	switch r := r.(type) {
	case *cimi.ResourceMetadata:
		r.Attributes = slices.DeleteFunc(r.Attributes, func(a cimi.AttributeMetadata) bool { return a.Namespace == cimi.ExtensionNamespace })
		r.Actions = slices.DeleteFunc(r.Actions, func(a cimi.ActionMetadata) bool { return slices.Contains(packageActions, a.URI) })
		if b.NoValues {
			r.Capabilities = slices.DeleteFunc(r.Capabilities, func(c cimi.Capability) bool { return strings.HasSuffix(c.Name, "ByValue") })
		}
	case *cimi.Collection:
		for i := range r.Items {
			r.Items[i] = b.hide(r.Items[i])
		}
	}
	return r
}

func (b Provider) gone(id string) error {
	if b.NoSystems && strings.HasPrefix(strings.Trim(id, "/"), "system") {
		return cimi.Errorf(404, "%s: no such resource", id)
	}
	return nil
}

func (b Provider) EntryPoint(ctx context.Context) (*cimi.CloudEntryPoint, error) {
	cep, err := b.Provider.EntryPoint(ctx)
	if err != nil {
		return nil, err
	}
	cep = b.hide(cep).(*cimi.CloudEntryPoint)
	if b.NoSystems {
		cep.Systems, cep.SystemTemplates = nil, nil
	}
	return cep, nil
}

func (b Provider) Get(ctx context.Context, id string, o cimi.ReadOptions) (cimi.Resource, error) {
	if err := b.gone(id); err != nil {
		return nil, err
	}
	r, err := b.Provider.Get(ctx, id, o)
	if err != nil {
		return nil, err
	}
	return b.hide(r), nil
}

func (b Provider) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	if err := b.gone(id); err != nil {
		return nil, err
	}
	c, err := b.Provider.List(ctx, id, o)
	if err != nil {
		return nil, err
	}
	return b.hide(c).(*cimi.Collection), nil
}

func (b Provider) Create(ctx context.Context, id string, r cimi.Resource) (*cimi.Accepted, error) {
	if err := b.gone(id); err != nil {
		return nil, err
	}
	return b.Provider.Create(ctx, id, r)
}

func (b Provider) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if err := b.gone(id); err != nil {
		return nil, err
	}
	if slices.Contains(packageActions, a.Action) {
		return nil, cimi.Errorf(405, "%s is not offered", a.Action)
	}
	return b.Provider.Invoke(ctx, id, a)
}

// Open gives bytes of images, and nothing that only this project has.
func (b Provider) Open(ctx context.Context, href string) (cimi.Content, error) {
	if !strings.Contains(href, "Images/") {
		return nil, cimi.Errorf(404, "%s: no such resource", href)
	}
	return b.Provider.Open(ctx, href)
}

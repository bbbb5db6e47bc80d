package provider

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

func ourExtension(name string) bool { return slices.Contains(cimi.ExtensionAttributes(), name) }

// decorate adds what a stored resource shows besides what is stored.
func (p *Provider) decorate(r cimi.Resource) {
	b := r.Base()
	b.ResourceMetadata = cimi.RefTo[cimi.ResourceMetadata]("resourceMetadata/" + r.TypeName())
	b.Operations = []cimi.Operation{operation(cimi.RelEdit, b.ID), operation(cimi.RelDelete, b.ID)}
}

// Create adds to a collection (4.2.1.1).
func (p *Provider) Create(ctx context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
	collection = plainID(collection)
	if unknown := cimi.UnknownAttributes(r, ourExtension); len(unknown) > 0 {
		return nil, cimi.Errorf(http.StatusBadRequest, "unknown attributes: %s", strings.Join(unknown, ", "))
	}
	item, ok := storedItem(collection)
	if !ok {
		return p.createHeld(ctx, collection, r)
	}
	if c, ok := r.(*cimi.CredentialCreate); ok && item == "Credential" {
		var err error
		if r, err = p.credentialOf(ctx, c); err != nil {
			return nil, err
		}
	}
	if r.TypeName() != item {
		return nil, cimi.Errorf(http.StatusBadRequest, "%s takes a %s, the request holds a %s", collection, item, r.TypeName())
	}
	r = cimi.Clone(r)
	p.adopt(collection, r)
	if err := p.db.put(ctx, collection, r); err != nil {
		return nil, asError(err)
	}
	shown := cimi.Clone(r)
	cimi.Public(shown)
	p.decorate(shown)
	return &cimi.Accepted{Done: true, Location: r.Base().ID, Resource: shown}, nil
}

// adopt gives a resource what the Provider decides of it.
func (p *Provider) adopt(collection string, r cimi.Resource) {
	b := r.Base()
	b.ID, b.Parent = collection+"/"+host.NewID(), ref(collection)
	b.Created = cimi.TimeOf(time.Now())
	b.Updated, b.Operations, b.Erased = b.Created, nil, nil
	switch x := r.(type) {
	case *cimi.VolumeImage:
		x.State = cimi.StateAvailable
	case *cimi.MachineImage:
		x.State = cimi.StateAvailable
		if x.Type == "" {
			x.Type = "IMAGE"
		}
	}
}

// credentialOf makes a Credential from a template, by reference, by value, or
// by reference with overrides.
func (p *Provider) credentialOf(ctx context.Context, c *cimi.CredentialCreate) (cimi.Resource, error) {
	if c.CredentialTemplate == nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "credentialTemplate: missing")
	}
	template := &cimi.CredentialTemplate{}
	if href := plainID(c.CredentialTemplate.Href); href != "" {
		r, _, err := p.db.get(ctx, href)
		if err != nil {
			return nil, asError(err)
		}
		found, ok := r.(*cimi.CredentialTemplate)
		if !ok {
			return nil, cimi.Errorf(http.StatusBadRequest, "credentialTemplate: %s: no such template", href)
		}
		template = found
	}
	if c.CredentialTemplate.Value != nil {
		template = cimi.Overlay(template, c.CredentialTemplate.Value)
	}
	r := &cimi.Credential{UserName: template.UserName, Password: template.Password, Key: template.Key, Parameters: template.Parameters}
	r.Name, r.Description, r.Properties = c.Name, c.Description, c.Properties
	return r, nil
}

func (p *Provider) updateStored(ctx context.Context, collection, id string, r cimi.Resource, opts cimi.UpdateOptions) (*cimi.Accepted, error) {
	defer p.changes.lock(id)()
	current, _, err := p.db.get(ctx, id)
	if err != nil || current == nil {
		return nil, asError(orNotFound(err, id))
	}
	if opts.IfMatch != "" {
		shown := cimi.Clone(current)
		cimi.Public(shown)
		p.decorate(shown)
		if cimi.ETag(shown) != opts.IfMatch {
			return nil, cimi.Errorf(http.StatusPreconditionFailed, "%s has changed", id)
		}
	}
	if err := cimi.Update(current, r, opts.Select, func(name string) bool { return ourExtension(name) && name != cimi.OVFID }); err != nil {
		return nil, err
	}
	current.Base().Updated = cimi.TimeOf(time.Now())
	if err := p.db.put(ctx, collection, current); err != nil {
		return nil, asError(err)
	}
	cimi.Public(current)
	p.decorate(current)
	return &cimi.Accepted{Done: true, Resource: current}, nil
}

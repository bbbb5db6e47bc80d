package provider

import (
	"context"
	"errors"
	"net/http"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// importTemplate is the import action of the SystemTemplates (5.13.5.1): the
// templates of a package, by value in one SystemTemplate that carries the
// descriptor. Disk content is not kept: a template describes.
func (p *Provider) importTemplate(ctx context.Context, open opener, r *importRequest) (*cimi.Accepted, error) {
	t := &cimi.SystemTemplate{}
	p.adopt("systemTemplates", t)
	job, err := p.jobs.start(ctx, cimi.ActionImport, "systemTemplates", func(ctx context.Context, job *task) (err error) {
		pkg, err := open(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, pkg.Close()) }()
		made, findings, err := systemtemplate.FromEnvelope(pkg.Envelope(), systemtemplate.Options{
			Configuration: r.options.Configuration, Properties: r.options.Properties, Supports: p.host.Capabilities().VirtualSystemTypes})
		if err != nil {
			return host.Explain(ctx, pkg, err)
		}
		for _, f := range findings {
			job.find(f)
		}
		made.ID, made.Parent, made.Created, made.Updated = t.ID, t.Parent, t.Created, t.Updated
		if r.options.Name != "" {
			made.Name = r.options.Name
		}
		if err := p.db.put(ctx, "systemTemplates", made); err != nil {
			return err
		}
		job.affect("", made.ID)
		return nil
	})
	if err != nil {
		return nil, asError(err)
	}
	return &cimi.Accepted{Job: job.job.ID, Location: t.ID}, nil
}

// createHeld adds to a collection of what the host holds: a System from a
// SystemTemplate, all of it by value, whose disks are blank.
func (p *Provider) createHeld(ctx context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
	if collection != "systems" {
		if _, _, err := p.entries(ctx, collection); err != nil {
			return nil, asError(err)
		}
		return nil, cimi.Errorf(http.StatusMethodNotAllowed, "%s: resources come with their System: import a package, or create a System", collection)
	}
	c, ok := r.(*cimi.SystemCreate)
	if !ok || c.SystemTemplate == nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "systems takes a SystemCreate with a systemTemplate, the request holds a %s", r.TypeName())
	}
	template := &cimi.SystemTemplate{}
	if href := plainID(c.SystemTemplate.Href); href != "" {
		found, _, err := p.db.get(ctx, href)
		if err != nil {
			return nil, asError(err)
		}
		if template, ok = found.(*cimi.SystemTemplate); !ok {
			return nil, cimi.Errorf(http.StatusBadRequest, "systemTemplate: %s: no such template", href)
		}
	}
	if c.SystemTemplate.Value != nil {
		template = cimi.Overlay(template, c.SystemTemplate.Value)
	}
	// Edits of the template, and templates that never had a descriptor, are
	// written into one; what that loses, the Job tells.
	env, findings, err := systemtemplate.ToEnvelope(template, systemtemplate.Options{Supports: p.host.Capabilities().VirtualSystemTypes})
	if err != nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "systemTemplate: %w", err)
	}
	for _, d := range env.Disks() {
		if !d.Blank() {
			return nil, cimi.Errorf(http.StatusBadRequest, "the template's disk %s has content, which a template does not carry: import its package", d.ID)
		}
	}
	req, err := parseImport(&cimi.Action{})
	if err != nil {
		return nil, err
	}
	req.options.Name = c.Name
	req.options.Configuration = template.ExtraString(cimi.OVFConfiguration)
	pkg := &bare{env: env, findings: findings}
	return p.importSystem(ctx, func(context.Context) (ovf.Package, error) { return pkg, nil }, req)
}

package provider

import (
	"context"
	"database/sql"
	"errors"
	"net/http"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// importTemplate is the import action of the SystemTemplates (5.13.5.1, Annex
// A): a SystemTemplate that carries the descriptor, and the templates of its
// machines, volumes and networks, which it refers to. A host that makes Systems
// keeps the package too, so that the template can be used.
func (p *Provider) importTemplate(ctx context.Context, open opener, r *importRequest) (*cimi.Accepted, error) {
	open = r.rearrange(open)
	t := &cimi.SystemTemplate{}
	adopt("systemTemplates", "systemTemplates", t)
	job, err := p.jobs.start(ctx, cimi.ActionImport, "systemTemplates", func(ctx context.Context, job *task) (err error) {
		pkg, err := open(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, pkg.Close()) }()
		opts := systemtemplate.Options{Configuration: r.options.Configuration, Properties: r.options.Properties,
			Supports: p.host.Capabilities().VirtualSystemTypes}
		if p.maker() != nil {
			opts.ImportImage = t.ID + "/package"
		}
		made, findings, err := systemtemplate.FromEnvelope(pkg.Envelope(), opts)
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
		pl := p.newPlan()
		var noted []string
		if p.maker() != nil {
			if noted, err = p.keepPackage(ctx, pkg, made, r, job); err != nil {
				return err
			}
		}
		splitTemplate(&pl.c, made)
		pl.c.put("systemTemplates", made)
		pl.made = append(pl.made, made)
		job.affect("", made.ID)
		if err := pl.settle(ctx, noted); err != nil {
			return errors.Join(err, p.unmake(context.WithoutCancel(ctx), noted, noted))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &cimi.Accepted{Job: job.job.ID, Location: t.ID}, nil
}

// keepPackage has the host keep the package that a template comes from.
func (p *Provider) keepPackage(ctx context.Context, pkg ovf.Package, t *cimi.SystemTemplate, r *importRequest, job *task) (noted []string, err error) {
	opts := r.options
	opts.ID, opts.Holder, opts.Of = host.NewID(), host.HoldsTemplate, t.ID
	opts.Finding = func(ovf.Finding) {} // the template's own tell it
	if err := job.splitByDisk(pkg); err != nil {
		return nil, err
	}
	opts.Progress = func(d host.DiskProgress) { job.progress(d.Disk, d.Done, d.Total) }
	if err := p.db.change(func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO making(id) VALUES (?)", opts.ID)
		return err
	}); err != nil {
		return nil, err
	}
	if _, err := p.host.Import(ctx, pkg, opts); err != nil {
		return nil, errors.Join(err, p.unmake(context.WithoutCancel(ctx), nil, []string{opts.ID}))
	}
	return []string{opts.ID}, nil
}

// packageOf is the System of the host that keeps the package of a template; nil
// where none does.
func (p *Provider) packageOf(ctx context.Context, template string) (*host.System, error) {
	w, done, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	for s := range w.all() {
		if s.Holder == host.HoldsTemplate && s.Of == template {
			return s, nil
		}
	}
	return nil, nil
}

// dropPackage removes the package of a template that is gone; what resists is
// swept at the next start.
func (p *Provider) dropPackage(template string) {
	ctx := context.Background()
	if s, err := p.packageOf(ctx, template); err == nil && s != nil {
		_ = p.host.Delete(ctx, s.ID)
	}
}

// splitTemplate makes the templates that a SystemTemplate holds by value
// resources of their own, which go with it, and refers to them. What refers to
// other components ("#name") cannot stand there, and overrides it in the
// descriptor (5.13.4); nested SystemTemplates stay, so that their names reach
// outward.
func splitTemplate(c *change, t *cimi.SystemTemplate) {
	child := func(kind string, r cimi.Resource, name string) string {
		adopt(kind, t.ID, r)
		if r.Base().Name == "" {
			r.Base().Name = name
		}
		c.put(kind, r)
		return r.Base().ID
	}
	volume := func(v *cimi.Ref[cimi.VolumeTemplate], name string) {
		if v != nil && v.Href == "" && v.Value != nil {
			*v = cimi.Ref[cimi.VolumeTemplate]{Href: child("volumeTemplates", v.Value, name)}
		}
	}
	for i := range t.ComponentDescriptors {
		d := &t.ComponentDescriptors[i]
		volume(d.VolumeTemplate, d.Name)
		if n := d.NetworkTemplate; n != nil && n.Href == "" && n.Value != nil {
			over := &cimi.NetworkTemplate{SegmentTemplates: n.Value.SegmentTemplates} // their endpoints are components
			n.Value.SegmentTemplates = nil
			*n = cimi.Ref[cimi.NetworkTemplate]{Href: child("networkTemplates", n.Value, d.Name), Value: over}
		}
		m := d.MachineTemplate
		if m == nil || m.Href != "" || m.Value == nil {
			continue
		}
		if cfg := m.Value.MachineConfig; cfg != nil && cfg.Href == "" && cfg.Value != nil {
			*cfg = cimi.Ref[cimi.MachineConfiguration]{Href: child("machineConfigs", cfg.Value, d.Name)}
		}
		for k := range m.Value.VolumeTemplates {
			volume(m.Value.VolumeTemplates[k].VolumeTemplate, d.Name)
		}
		over := &cimi.MachineTemplate{Volumes: m.Value.Volumes, InterfaceTemplates: m.Value.InterfaceTemplates}
		m.Value.Volumes, m.Value.InterfaceTemplates = nil, nil
		if cimi.Empty(over) {
			over = nil
		}
		*m = cimi.Ref[cimi.MachineTemplate]{Href: child("machineTemplates", m.Value, d.Name), Value: over}
	}
}

// whole gives a copy of a SystemTemplate with all it refers to by value, as
// OVF needs it.
func (p *Provider) whole(ctx context.Context, t *cimi.SystemTemplate) (*cimi.SystemTemplate, error) {
	components := 0
	return p.wholeWithin(ctx, templatePath{plainID(t.ID)}, t, &components)
}

// wholeWithin is whole of what stands at the end of path; components counts
// what all of it has together.
func (p *Provider) wholeWithin(ctx context.Context, path templatePath, t *cimi.SystemTemplate, components *int) (*cimi.SystemTemplate, error) {
	if *components += len(t.ComponentDescriptors); *components > maxComponents {
		return nil, cimi.Errorf(http.StatusBadRequest, "systemTemplate: more than %d components", maxComponents)
	}
	t = cimi.Clone(t)
	for i := range t.ComponentDescriptors {
		d := &t.ComponentDescriptors[i]
		if d.SystemTemplate != nil {
			within, err := path.enter(d.SystemTemplate)
			if err != nil {
				return nil, err
			}
			inner, err := resolve(ctx, p, "systemTemplate", d.SystemTemplate)
			if err == nil {
				inner, err = p.wholeWithin(ctx, within, inner, components)
			}
			if err != nil {
				return nil, err
			}
			d.SystemTemplate = byValue(d.SystemTemplate, inner)
		}
		if err := p.wholeVolume(ctx, &d.VolumeTemplate); err != nil {
			return nil, err
		}
		if d.NetworkTemplate != nil {
			n, err := resolve(ctx, p, "networkTemplate", d.NetworkTemplate)
			if err != nil {
				return nil, err
			}
			d.NetworkTemplate = byValue(d.NetworkTemplate, n)
		}
		if d.MachineTemplate == nil {
			continue
		}
		m, err := resolve(ctx, p, "machineTemplate", d.MachineTemplate)
		if err != nil {
			return nil, err
		}
		if m.MachineConfig != nil {
			cfg, err := resolve(ctx, p, "machineConfig", m.MachineConfig)
			if err != nil {
				return nil, err
			}
			m.MachineConfig = byValue(m.MachineConfig, cfg)
		}
		for k := range m.VolumeTemplates {
			if err := p.wholeVolume(ctx, &m.VolumeTemplates[k].VolumeTemplate); err != nil {
				return nil, err
			}
		}
		d.MachineTemplate = byValue(d.MachineTemplate, m)
	}
	return t, nil
}

func (p *Provider) wholeVolume(ctx context.Context, v **cimi.Ref[cimi.VolumeTemplate]) error {
	if *v == nil {
		return nil
	}
	t, err := resolve(ctx, p, "volumeTemplate", *v)
	if err != nil {
		return err
	}
	*v = byValue(*v, t)
	return nil
}

// byValue makes a reference by value. What was a resource of its own loses what
// a resource is shown with; a name that it got as one is not its template's.
func byValue[T any, R interface {
	*T
	cimi.Resource
}](was *cimi.Ref[T], v R) *cimi.Ref[T] {
	v = cimi.Clone(v)
	if was.Href != "" {
		b := v.Base()
		b.ID, b.Created, b.Updated, b.Parent, b.ResourceMetadata, b.Operations = "", nil, nil, nil, nil, nil
		b.Name, b.Description = "", ""
	}
	return cimi.RefBy((*T)(v))
}

// createFromDescriptor makes a System from a template that carries a
// descriptor, or on a host that takes packages only: by import, the disks with
// the content that the template's package has, or blank.
func (p *Provider) createFromDescriptor(ctx context.Context, r *cimi.SystemCreate, t *cimi.SystemTemplate) (*cimi.Accepted, error) {
	whole, err := p.whole(ctx, t)
	if err != nil {
		return nil, err
	}
	// Edits of the template, and templates that never had a descriptor, are
	// written into one; what that loses, the Job tells.
	env, findings, err := systemtemplate.ToEnvelope(whole, systemtemplate.Options{Supports: p.host.Capabilities().VirtualSystemTypes})
	if err != nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "systemTemplate: %w", err)
	}
	var kept *host.System
	if t.ID != "" {
		if kept, err = p.packageOf(ctx, t.ID); err != nil {
			return nil, err
		}
	}
	for _, d := range env.Disks() {
		if !d.Blank() && kept == nil {
			return nil, cimi.Errorf(http.StatusBadRequest, "the template's disk %s has content, which the template does not carry: import its package", d.ID)
		}
	}
	req, err := parseImport(&cimi.Action{})
	if err != nil {
		return nil, err
	}
	req.options.Name = r.Name
	req.options.Configuration = t.ExtraString(cimi.OVFConfiguration)
	req.properties, req.description, req.added = r.Properties, r.Description, true
	open := func(context.Context) (ovf.Package, error) { return &bare{env: env, findings: findings}, nil }
	if kept != nil {
		open = func(ctx context.Context) (ovf.Package, error) { return p.reopen(ctx, kept.ID, env) }
	}
	return p.importSystem(ctx, open, req)
}

// openTemplateDescriptor opens what a template keeps of its package: the
// descriptor, or all of it.
func (p *Provider) openTemplateContent(ctx context.Context, template, what, href string) (cimi.Content, error) {
	s, err := p.packageOf(ctx, template)
	if err != nil || s == nil {
		return nil, orNotFound(err, href)
	}
	if what == "descriptor" {
		return p.openDescriptor(ctx, s.ID, href)
	}
	x, err := p.host.Export(ctx, s.ID, host.ExportOptions{})
	if err != nil {
		return nil, err
	}
	return exportContent{x}, nil
}

// exportTemplate is the export action of a SystemTemplate (5.13.4.1).
func (p *Provider) exportTemplate(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Format != "" && a.Format != "application/ovf" {
		return nil, cimi.Errorf(http.StatusBadRequest, "format: expected application/ovf, got %.80q", a.Format)
	}
	t := s.r.(*cimi.SystemTemplate)
	whole, err := p.whole(ctx, t)
	if err != nil {
		return nil, err
	}
	env, findings, err := systemtemplate.ToEnvelope(whole, systemtemplate.Options{})
	if err != nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "systemTemplate: %w", err)
	}
	kept, err := p.packageOf(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	for _, d := range env.Disks() {
		if !d.Blank() && kept == nil {
			return nil, cimi.Errorf(http.StatusConflict, "the content of disk %s is not here: a package of this template cannot be made", d.ID)
		}
	}
	key := ""
	if kept != nil {
		key = kept.ID
	}
	return p.exportPackage(ctx, a, s.id, key, func(ctx context.Context, job *task) (host.Export, error) {
		for _, f := range findings {
			job.find(f)
		}
		return p.packTemplate(ctx, key, env)
	})
}

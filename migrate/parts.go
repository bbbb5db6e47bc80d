package migrate

import (
	"context"
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/recipe"
	"github.com/cimimove/cimimove/ovf"
)

// assembleParts makes networks, volumes and machines one by one, where the
// destination makes no Systems. Begun again, it goes on with what is missing.
func (t *transfer) assembleParts(ctx context.Context) error {
	if err := t.offer(ctx); err != nil {
		return err
	}
	defer t.closeServer()
	resumed := t.begun(StepImport)
	images, err := t.targetImages(ctx)
	if err != nil {
		return t.assembleFailed(ctx, err)
	}
	in := importNotes{Attempt: t.notes.Attempt, Name: t.Name}
	if err := t.begin(ctx, StepImport, in, importUndo{DeleteSystemOf: t.id}); err != nil {
		return err
	}
	cep, err := t.dst.Provider.EntryPoint(ctx)
	if err != nil {
		return t.assembleFailed(ctx, err)
	}
	ids := map[string]string{}
	for _, d := range recipe.Parts(t.Assembly.recipe(t.Shape, t.Name, t.MAC, func(disk string) string { return images[disk] })) {
		if href := cimi.HrefOf(d.Network); href != "" {
			ids[d.Name] = href
			continue
		}
		recipe.ResolveIn(&d, func(name string) string { return ids[name] })
		id, err := t.makePart(ctx, cep, d)
		if err != nil {
			return t.assembleFailed(ctx, err)
		}
		ids[d.Name] = id
	}
	if !resumed {
		if err := t.ignored(t.server); err != nil {
			return t.assembleFailed(ctx, err)
		}
	}
	return t.end(ctx, StepImport, journal.Ended, in)
}

// partKey is what the journal calls a part.
func partKey(typeName, name string) string { return strings.ToLower(typeName) + " " + name }

// makePart makes one network, volume or machine.
func (t *transfer) makePart(ctx context.Context, cep *cimi.CloudEntryPoint, d cimi.ComponentDescriptor) (string, error) {
	common := cimi.Common{Description: d.Description, Properties: d.Properties}
	x := making{count: t.passed, made: made{Side: Destination, Name: d.Name}}
	var err error
	switch {
	case d.NetworkTemplate != nil:
		x.key, x.Collection = partKey("Network", d.Name), cimi.HrefOf(cep.Networks)
		create := &cimi.NetworkCreate{Common: common, NetworkTemplate: d.NetworkTemplate}
		create.NetworkTemplate, err = referred(ctx, t, "NetworkTemplate", d.Name, cep.NetworkTemplates, d.NetworkTemplate)
		x.body = create
	case d.VolumeTemplate != nil:
		x.key, x.Collection = partKey("Volume", d.Name), cimi.HrefOf(cep.Volumes)
		create := &cimi.VolumeCreate{Common: common}
		if v := d.VolumeTemplate.Value; v != nil && v.VolumeConfig != nil && v.VolumeConfig.Href == "" {
			v.VolumeConfig, err = referred(ctx, t, "VolumeConfiguration", d.Name, cep.VolumeConfigs, v.VolumeConfig)
		}
		if err == nil {
			create.VolumeTemplate, err = referred(ctx, t, "VolumeTemplate", d.Name, cep.VolumeTemplates, d.VolumeTemplate)
		}
		x.body = create
	case d.MachineTemplate != nil:
		x.key, x.Collection = partKey("Machine", d.Name), cimi.HrefOf(cep.Machines)
		create := &cimi.MachineCreate{Common: common}
		create.MachineTemplate, err = referred(ctx, t, "MachineTemplate", d.Name, cep.MachineTemplates, d.MachineTemplate)
		x.body = create
	default:
		return "", fmt.Errorf("%s: a %s is no part that can be made by itself", d.Name, d.Type)
	}
	if err != nil {
		return "", err
	}
	m, err := t.make(ctx, x)
	return m.ID, err
}

// referred gives a template by value, or, where the destination does not take
// it so, makes it a resource first and refers to that (5.11.1).
func referred[T any, R interface {
	*T
	cimi.Resource
}](ctx context.Context, t *transfer, typeName, part string, collection *cimi.Ref[cimi.Collection], ref *cimi.Ref[T]) (*cimi.Ref[T], error) {
	if !t.Assembly.ByReference[typeName] || ref.Value == nil {
		return ref, nil
	}
	key := strings.ToLower(typeName) + " " + part
	m, err := t.make(ctx, making{key: key, body: R(ref.Value),
		made: made{Side: Destination, Collection: cimi.HrefOf(collection), Name: t.temporaryName(part), Temporary: true}})
	if err != nil {
		return nil, err
	}
	return cimi.RefTo[T](m.ID), nil
}

// partsShape reads the configuration of what was made part by part.
func (r *run) partsShape(ctx context.Context) (*Shape, error) {
	shape, p := &Shape{Name: r.Name}, r.dst.Provider
	get := func(typeName, id, name string) (cimi.Resource, error) {
		m, ok := r.wasMade(partKey(typeName, r.Assembly.label(id, name)))
		if !ok {
			return nil, nil
		}
		return p.Get(ctx, m.ID, cimi.ReadOptions{})
	}
	for _, n := range r.Shape.Networks {
		res, err := get("Network", n.ID, n.Name)
		if err != nil {
			return shape, err
		}
		if x, ok := res.(*cimi.Network); ok {
			shape.Networks = append(shape.Networks, networkShape(x))
		}
	}
	for _, d := range r.Shape.Disks {
		if d.Kept {
			continue // it came with its machine
		}
		res, err := get("Volume", d.ID, d.Name)
		if err != nil {
			return shape, err
		}
		if x, ok := res.(*cimi.Volume); ok {
			shape.Disks = append(shape.Disks, diskShape(x))
		}
	}
	for _, m := range r.Shape.Machines {
		res, err := get("Machine", m.ID, m.Name)
		if err != nil {
			return shape, err
		}
		if x, ok := res.(*cimi.Machine); ok {
			if err := shape.addMachine(ctx, p, x, ""); err != nil {
				return shape, err
			}
		}
	}
	return shape, shape.wire(ctx, p)
}

// partIDs are the machines that were made part by part.
func (r *run) partIDs() []string {
	var out []string
	for _, m := range r.Shape.Machines {
		if x, ok := r.wasMade(partKey("Machine", r.Assembly.label(m.ID, m.Name))); ok {
			out = append(out, x.ID)
		}
	}
	return out
}

// startParts starts the machines that were made part by part.
func (r *run) startParts(ctx context.Context) error {
	ids := r.partIDs()
	for _, id := range ids {
		err := startAt(ctx, r.dst.Provider, id)
		switch {
		case cimi.IsConflict(err): // it runs
		case cimi.IsUnsupported(err):
			r.findings = append(r.findings, ovf.Finding{ID: RuleStart, Severity: ovf.Warning, Object: id, Message: "the destination offers no start of it"})
		case err != nil:
			return at(StepStart, Destination, r.Name, err)
		}
	}
	return r.end(ctx, StepStart, journal.Ended, startNotes{Started: ids})
}

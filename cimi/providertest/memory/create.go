package memory

import (
	"context"
	"net/http"

	"github.com/cimimove/cimimove/cimi"
)

// Create adds to a collection.
func (p *Provider) Create(_ context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	item, ok := p.items[collection]
	if !ok {
		return nil, notFound(collection)
	}
	n, err := p.realize(r)
	if err != nil {
		return nil, err
	}
	if n.TypeName() != item || item == "Job" || item == "ResourceMetadata" {
		return nil, cimi.Errorf(http.StatusBadRequest, "a %s cannot be added to %s", r.TypeName(), collection)
	}
	id := p.add(collection, n)
	if m, ok := n.(*cimi.Machine); ok {
		p.addDisks(m)
	}
	out := cimi.Clone(n)
	cimi.Public(out)
	return &cimi.Accepted{Job: p.job("add", collection, collection, id), Done: true, Location: id, Resource: out}, nil
}

// addDisks makes the collection of a new Machine's disks.
func (p *Provider) addDisks(m *cimi.Machine) {
	disks := m.ID + "/disks"
	p.items[disks] = "Disk"
	for _, d := range m.Disks.Value.Items {
		d.Base().Parent = cimi.RefTo[cimi.Unknown](m.ID)
		p.add(disks, d)
	}
	m.Disks = cimi.RefTo[cimi.Collection](disks)
}

// templateOf gives the template of a …Create request: by reference, with
// overrides, or by value (4.2.1.1).
func templateOf[T any, R interface {
	*T
	cimi.Resource
}](p *Provider, ref *cimi.Ref[T]) (R, error) {
	if ref == nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "the template is missing")
	}
	if ref.Href == "" {
		if ref.Value == nil {
			return R(new(T)), nil
		}
		return R(ref.Value), nil
	}
	t, ok := p.resources[ref.Href].(R)
	if !ok {
		return nil, cimi.Errorf(http.StatusBadRequest, "template %s: no such %s", ref.Href, R(new(T)).TypeName())
	}
	if ref.Value == nil {
		return t, nil
	}
	return cimi.Overlay(t, R(ref.Value)), nil
}

// realize makes the resource that a request asks for.
func (p *Provider) realize(r cimi.Resource) (cimi.Resource, error) {
	common := cimi.Common{Name: r.Base().Name, Description: r.Base().Description, Properties: r.Base().Properties}
	switch r := r.(type) {
	case *cimi.MachineCreate:
		t, err := templateOf(p, r.MachineTemplate)
		if err != nil {
			return nil, err
		}
		cfg, err := templateOf(p, t.MachineConfig)
		if err != nil {
			return nil, cimi.Errorf(http.StatusBadRequest, "machineConfig: %w", err)
		}
		m := &cimi.Machine{Common: common, State: cimi.StateStopped, CPU: cfg.CPU, Memory: cfg.Memory, CPUArch: cfg.CPUArch, CPUSpeed: cfg.CPUSpeed}
		m.Disks = cimi.RefBy(cimi.NewCollection("", "Disk"))
		for _, d := range cfg.Disks {
			m.Disks.Value.Items = append(m.Disks.Value.Items, &cimi.Disk{Capacity: d.Capacity, InitialLocation: d.InitialLocation})
		}
		if t.InitialState != "" {
			m.State = t.InitialState
		}
		return m, nil
	case *cimi.VolumeCreate:
		t, err := templateOf(p, r.VolumeTemplate)
		if err != nil {
			return nil, err
		}
		cfg, err := templateOf(p, t.VolumeConfig)
		if err != nil {
			return nil, cimi.Errorf(http.StatusBadRequest, "volumeConfig: %w", err)
		}
		return &cimi.Volume{Common: common, State: cimi.StateAvailable, Type: cfg.Type, Capacity: cfg.Capacity}, nil
	case *cimi.CredentialCreate:
		t, err := templateOf(p, r.CredentialTemplate)
		if err != nil {
			return nil, err
		}
		return &cimi.Credential{Common: common, UserName: t.UserName, Password: t.Password}, nil
	case *cimi.SystemCreate:
		if _, err := templateOf(p, r.SystemTemplate); err != nil {
			return nil, err
		}
		return &cimi.System{Common: common, State: cimi.StateMixed}, nil
	case *cimi.NetworkCreate:
		return &cimi.Network{Common: common, State: cimi.StateStopped}, nil
	}
	n := cimi.Clone(r)
	n.Base().Operations, n.Base().Erased = nil, nil
	return n, nil
}

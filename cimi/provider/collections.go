package provider

import (
	"context"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// stored are the collections whose resources the Provider keeps itself, with
// the type of their items.
var stored = []struct{ id, item string }{
	{"systemTemplates", "SystemTemplate"},
	{"machineTemplates", "MachineTemplate"},
	{"machineConfigs", "MachineConfiguration"},
	{"machineImages", "MachineImage"},
	{"credentials", "Credential"},
	{"credentialTemplates", "CredentialTemplate"},
	{"volumeTemplates", "VolumeTemplate"},
	{"volumeConfigs", "VolumeConfiguration"},
	{"volumeImages", "VolumeImage"},
	{"networkTemplates", "NetworkTemplate"},
	{"segmentTemplates", "ProtocolSegmentTemplate"},
	{"endpointTemplates", "ProtocolEndpointTemplate"},
	{"interfaceTemplates", "NetworkInterfaceTemplate"},
}

func storedItem(collection string) (item string, ok bool) {
	for _, s := range stored {
		if s.id == collection {
			return s.item, true
		}
	}
	return "", false
}

// EntryPoint is the catalogue of the collections offered (5.12).
func (p *Provider) EntryPoint(ctx context.Context) (*cimi.CloudEntryPoint, error) {
	r := &cimi.CloudEntryPoint{BaseURI: "/",
		Metadata: collection("resourceMetadata"), Systems: collection("systems"), SystemTemplates: collection("systemTemplates"),
		Machines: collection("machines"), MachineTemplates: collection("machineTemplates"), MachineConfigs: collection("machineConfigs"),
		MachineImages: collection("machineImages"), Credentials: collection("credentials"), CredentialTemplates: collection("credentialTemplates"),
		Volumes: collection("volumes"), VolumeTemplates: collection("volumeTemplates"), VolumeConfigs: collection("volumeConfigs"),
		VolumeImages: collection("volumeImages"), Networks: collection("networks"), NetworkTemplates: collection("networkTemplates"),
		Segments: collection("segments"), SegmentTemplates: collection("segmentTemplates"),
		Endpoints: collection("endpoints"), EndpointTemplates: collection("endpointTemplates"),
		Interfaces: collection("interfaces"), InterfaceTemplates: collection("interfaceTemplates"),
		Jobs: collection("jobs")}
	r.ID, r.Name, r.Description = "cloudEntryPoint", p.opts.Name, p.opts.Description
	if r.Name == "" {
		r.Name = "cimimove"
	}
	if free := p.host.Capabilities().FreeBytes; free != nil {
		// A host that cannot tell now is no reason to have no entry point.
		if n, err := free(ctx); err == nil && n >= 0 {
			r.SetExtra(cimi.FreeCapacity, roundDown(n/1000))
		}
	}
	return r, nil
}

// List reads one page of a collection.
func (p *Provider) List(ctx context.Context, id string, opts cimi.ListOptions) (*cimi.Collection, error) {
	id = plainID(id)
	all, item, err := p.entries(ctx, id)
	if err != nil {
		return nil, asError(err)
	}
	page, count, err := cimi.ApplyQuery(all, opts)
	if err != nil {
		return nil, err
	}
	c := cimi.NewCollection(id, item, page...)
	c.Count = cimi.Int(int64(count))
	c.Parent = ref("cloudEntryPoint")
	if i := strings.LastIndexByte(id, '/'); i >= 0 {
		c.Parent = ref(id[:i])
	}
	c.Operations = p.collectionOperations(id)
	if len(opts.Expand) > 0 {
		for i := range c.Items {
			c.Items[i] = cimi.Clone(c.Items[i])
		}
		if err := cimi.Expand(ctx, c, opts.Expand, p.target); err != nil {
			return nil, asError(err)
		}
	}
	return cimi.Select(c, opts.Select).(*cimi.Collection), nil
}

func (p *Provider) collectionOperations(id string) []cimi.Operation {
	switch id {
	case "systems":
		return []cimi.Operation{operation(cimi.RelAdd, id), operation(cimi.ActionImport, id), operation(cimi.RelReach, reachID)}
	case "systemTemplates":
		return []cimi.Operation{operation(cimi.RelAdd, id), operation(cimi.ActionImport, id)}
	}
	if _, ok := storedItem(id); ok {
		return []cimi.Operation{operation(cimi.RelAdd, id)}
	}
	return nil
}

// target reads what a reference leads to, for $expand.
func (p *Provider) target(ctx context.Context, href string) (cimi.Resource, error) {
	c, err := p.List(ctx, href, cimi.ListOptions{})
	if !cimi.IsNotFound(err) {
		return c, err
	}
	return p.Get(ctx, href, cimi.ReadOptions{})
}

func plainID(id string) string { return strings.Trim(id, "/") }

func notFound(id string) *cimi.Error { return cimi.Errorf(404, "%s: no such resource", id) }

// entries are all resources of a collection, and the type of its items.
func (p *Provider) entries(ctx context.Context, id string) ([]cimi.Resource, string, error) {
	if item, ok := storedItem(id); ok {
		all, err := p.db.list(ctx, id)
		for _, r := range all {
			p.decorate(r)
		}
		return all, item, err
	}
	switch id {
	case "jobs":
		return p.jobs.list(), "Job", nil
	case "resourceMetadata":
		return p.allMetadata(), "ResourceMetadata", nil
	}
	w, err := p.look(ctx)
	if err != nil {
		return nil, "", err
	}
	parts := strings.Split(id, "/")
	switch {
	case len(parts) == 1:
		return p.topLevel(w, id)
	case len(parts) == 3:
		return p.members(w, parts[0], parts[1], parts[2])
	}
	return nil, "", notFound(id)
}

func (p *Provider) topLevel(w *world, id string) (out []cimi.Resource, item string, err error) {
	item, ok := map[string]string{"systems": "System", "machines": "Machine", "volumes": "Volume", "networks": "Network",
		"segments": "ProtocolSegment", "endpoints": "ProtocolEndpoint", "interfaces": "NetworkInterface"}[id]
	if !ok {
		return nil, "", notFound(id)
	}
	for _, root := range w.systems {
		if id == "systems" {
			out = append(out, p.showSystem(w, w.system[root.ID]))
			continue
		}
		for s := range root.All() {
			out = append(out, p.parts(w, w.system[s.ID], id)...)
		}
	}
	if id == "systems" {
		for _, s := range p.arriving(w) {
			out = append(out, s)
		}
	}
	return out, item, nil
}

// parts are the resources of one kind that a System holds itself.
func (p *Provider) parts(w *world, s systemAt, kind string) (out []cimi.Resource) {
	switch kind {
	case "systems":
		for _, k := range s.Systems {
			out = append(out, p.showSystem(w, w.system[k.ID]))
		}
	case "machines":
		for _, m := range s.Machines {
			out = append(out, p.showMachine(w, w.machine[m.ID]))
		}
	case "volumes":
		for _, d := range s.Disks {
			out = append(out, w.showVolume(w.disk[d.ID]))
		}
	case "networks":
		for _, n := range s.Networks {
			out = append(out, w.showNetwork(w.network[n.ID]))
		}
	case "segments":
		for _, n := range s.Networks {
			out = append(out, w.showSegment(w.network[n.ID]))
		}
	case "interfaces", "endpoints":
		for _, m := range s.Machines {
			for i := range m.NICs {
				if kind == "interfaces" {
					out = append(out, w.showInterface(w.machine[m.ID], i))
				} else {
					out = append(out, w.showEndpoint(w.machine[m.ID], i))
				}
			}
		}
	}
	return out
}

// members are the entries of a collection of one resource: kind/id/name.
func (p *Provider) members(w *world, kind, id, name string) (out []cimi.Resource, item string, err error) {
	whole := kind + "/" + id + "/" + name
	switch kind {
	case "systems":
		item, ok := map[string]string{"systems": "System", "machines": "Machine", "volumes": "Volume", "networks": "Network", "credentials": "Credential"}[name]
		s, held := w.system[id]
		if !ok || !held && p.pendingSystem(id) == nil {
			return nil, "", notFound(whole)
		}
		if held {
			out = p.parts(w, s, name)
		}
		return out, item, nil
	case "machines":
		m, ok := w.machine[id]
		if !ok {
			return nil, "", notFound(whole)
		}
		switch name {
		case "disks":
			return nil, "Disk", nil
		case "snapshots":
			return nil, "MachineImage", nil
		case "volumes":
			for _, a := range m.Attachments {
				if _, ok := w.disk[a.DiskID]; ok {
					out = append(out, w.showLocated(a))
				}
			}
			return out, "locatedVolume", nil
		case "interfaces":
			for i := range m.NICs {
				out = append(out, w.showInterface(m, i))
			}
			return out, "NetworkInterface", nil
		}
	case "volumes":
		if _, ok := w.disk[id]; ok && name == "images" {
			return nil, "VolumeImage", nil
		}
	case "networks":
		if n, ok := w.network[id]; ok {
			switch name {
			case "segments":
				return []cimi.Resource{w.showSegment(n)}, "ProtocolSegment", nil
			case "subnetworks":
				return nil, "Network", nil
			case "services":
				return nil, "NetworkService", nil
			}
		}
	case "segments":
		if n, ok := w.network[id]; ok && name == "endpoints" {
			for m := range n.root.AllMachines() {
				for i, nic := range m.NICs {
					if nic.Network == id {
						out = append(out, w.showEndpoint(w.machine[m.ID], i))
					}
				}
			}
			return out, "ProtocolEndpoint", nil
		}
	case "interfaces":
		if machine, i, ok := cutCard(id); ok && name == "endpoints" {
			if m, ok := w.machine[machine]; ok && i < len(m.NICs) {
				return []cimi.Resource{w.showEndpoint(m, i)}, "ProtocolEndpoint", nil
			}
		}
	}
	return nil, "", notFound(whole)
}

// roundDown keeps three digits, so that what is read often changes seldom.
func roundDown(n int64) int64 {
	unit := int64(1)
	for n/unit >= 1000 {
		unit *= 10
	}
	return n / unit * unit
}

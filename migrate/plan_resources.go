package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// mayResources tells whether a System can be taken apart at the source and made
// of its parts at the destination, neither of which needs to know packages.
func (w *ways) mayResources(ctx context.Context) (ok bool, why string) {
	cep, err := w.opts.Source.Provider.EntryPoint(ctx)
	if err != nil {
		return false, err.Error()
	}
	dst := w.target.entry
	switch {
	case cimi.HrefOf(cep.VolumeImages) == "" && len(w.shape.Disks) > 0:
		return false, "the source offers no images of Volumes"
	case cimi.HrefOf(dst.VolumeImages) == "" && len(w.shape.Disks) > 0:
		return false, "the destination offers no images of Volumes"
	case cimi.HrefOf(dst.Machines) == "" && cimi.HrefOf(dst.Systems) == "":
		return false, "the destination offers neither Systems nor Machines"
	case cimi.HrefOf(dst.Systems) == "" && cimi.HrefOf(dst.Volumes) == "" && len(w.shape.Disks) > 0:
		return false, "the destination offers neither Systems nor Volumes"
	}
	listen, reach, err := relayAddress(w.opts.Relay, w.opts.Destination)
	if err != nil {
		return false, fmt.Sprintf("%v: --relay-listen and --relay-url say where the destination reaches us", err)
	}
	if err := w.probeRelay(ctx, listen, reach); err != nil {
		if w.inProcess {
			return false, fmt.Sprintf("the destination is in this process and does not fetch from it (%v): --via resources lets it", err)
		}
		return false, fmt.Sprintf("the destination does not reach us: %v: --relay-listen and --relay-url say where it does", err)
	}
	why = "images of its disks, networks, volumes and machines are read and made one by one"
	if w.opts.Via == ViaAuto {
		missing := w.noImport
		if !w.exports {
			missing = "the source offers no export of it"
		}
		why = cmp.Or(missing, "no way with packages is open") + ", so " + why
	}
	return true, why
}

// versionOf is the dialect that a cloud speaks: what it says itself, else what
// its entry point has collections of.
func versionOf(p cimi.Provider, cep *cimi.CloudEntryPoint) cimi.Version {
	if v, ok := p.(interface{ Version() cimi.Version }); ok {
		if v := v.Version(); v != 0 {
			return v
		}
	}
	switch {
	case cep == nil:
		return 0
	case cep.Segments == nil && cep.Endpoints == nil && cep.Interfaces == nil:
		return cimi.V1
	}
	return cimi.V2
}

// planAssembly decides how the parts are made at the destination, and says what
// is lost on the way.
func (p *Plan) planAssembly(ctx context.Context, s *cimi.System) error {
	if p.Via != ViaResources {
		return nil
	}
	if err := p.outside(ctx); err != nil {
		return at(StepDiscover, Source, s.Name, err)
	}
	t := p.target
	a := &assembly{Version: versionOf(p.opts.Destination.Provider, t.entry), Extensions: t.extension("MachineTemplate", cimi.OVFStartup),
		ByReference: map[string]bool{}}
	a.MACs = a.Version != cimi.V1
	p.assembly = a
	a.name(p.shape)
	for _, c := range []struct{ typ, of, capability string }{
		{"MachineTemplate", "Machine", "MachineTemplateByValue"}, {"MachineConfiguration", "Machine", "MachineConfigByValue"},
		{"VolumeTemplate", "Volume", "VolumeTemplateByValue"}, {"VolumeConfiguration", "Volume", "VolumeConfigByValue"},
		{"NetworkTemplate", "Network", "NetworkTemplateByValue"},
	} {
		if t.lacks(c.of, c.capability) {
			a.ByReference[c.typ] = true
		}
	}
	a.Whole = cimi.HrefOf(t.entry.Systems) != "" && !t.lacks("System", "SystemComponentTemplateByValue") && !a.ByReference["VolumeConfiguration"]
	if a.Whole {
		c, err := p.opts.Destination.Provider.List(ctx, cimi.HrefOf(t.entry.Systems), cimi.ListOptions{First: 1, Last: 1})
		if err != nil {
			return at(StepPlan, Destination, p.opts.Destination.Name, err)
		}
		a.Whole = c.Operation(cimi.RelAdd) != nil || len(c.Operations) == 0
	}
	if !a.Whole {
		p.find(RuleNoSystems, ovf.Warning, p.opts.Destination.Name, "makes no Systems, so machines, volumes and networks are made by themselves, without one around them", "")
		if err := p.planPartNames(ctx); err != nil {
			return err
		}
	}
	if err := p.planStorage(ctx); err != nil {
		return err
	}
	if err := p.planTargets(ctx); err != nil {
		return err
	}
	p.assemblyLosses(s)
	return p.networkLosses(ctx, s)
}

// networkLosses finds what only 1.x has of networks.
func (p *Plan) networkLosses(ctx context.Context, s *cimi.System) error {
	for _, c := range []struct{ kind, href string }{
		{"address", cimi.HrefOf(s.Addresses)}, {"network port", cimi.HrefOf(s.NetworkPorts)}, {"forwarding group", cimi.HrefOf(s.ForwardingGroups)},
	} {
		all, err := listIfThere(ctx, p.opts.Source.Provider, c.href)
		if err != nil {
			return at(StepDiscover, Source, s.Name, err)
		}
		for _, r := range all {
			p.find(systemtemplate.NetworkUnmapped, ovf.Warning, strings.TrimSpace(c.kind+" "+r.Base().Name), "does not move: create it at the destination", "")
		}
	}
	return nil
}

// lacks tells whether a cloud that describes a type does not say that it is
// capable of something (5.11.1). One that describes nothing is tried.
func (t target) lacks(typeName, capability string) bool {
	m := t.metadata[typeName]
	if m == nil || len(m.Capabilities) == 0 {
		return false
	}
	v := m.Capability(capability)
	return v == nil || strings.EqualFold(fmt.Sprint(v), "false")
}

// capable tells whether a cloud says that it is capable of something.
func (t target) capable(typeName, capability string) bool {
	m := t.metadata[typeName]
	return m != nil && len(m.Capabilities) > 0 && !t.lacks(typeName, capability)
}

// outside adds disks that a machine uses and that are none of the System's
// Volumes.
func (p *Plan) outside(ctx context.Context) error {
	src := p.opts.Source.Provider
	for _, m := range p.shape.Machines {
		for _, id := range m.Attached {
			if slices.ContainsFunc(p.shape.Disks, func(d DiskShape) bool { return d.ID == id }) {
				continue
			}
			r, err := src.Get(ctx, id, cimi.ReadOptions{})
			if err != nil {
				return err
			}
			v, ok := r.(*cimi.Volume)
			if !ok {
				return fmt.Errorf("%s: expected a Volume, the cloud answered a %s", id, r.TypeName())
			}
			p.addDisk(diskShape(v))
		}
	}
	return p.planOwn(ctx)
}

// planPartNames decides about what has the names of the parts, where there are
// no Systems.
func (p *Plan) planPartNames(ctx context.Context) error {
	dst := p.opts.Destination
	taken := map[string]bool{}
	for _, href := range []string{cimi.HrefOf(p.target.entry.Machines), cimi.HrefOf(p.target.entry.Volumes)} {
		all, err := listIfThere(ctx, dst.Provider, href)
		if err != nil {
			return at(StepPlan, Destination, dst.Name, err)
		}
		for _, r := range all {
			taken[r.Base().Name] = true
		}
	}
	for n := 2; ; n++ {
		p.labelParts()
		var there []string
		for _, x := range p.partNames() {
			if taken[x] {
				there = append(there, x)
			}
		}
		switch {
		case len(there) == 0:
			return nil
		case p.opts.IfExists == ExistsRename:
			p.Name = fmt.Sprintf("%s-%d", cmp.Or(p.opts.Name, p.System), n)
			continue
		case p.opts.IfExists == ExistsSkip:
			p.Skip, p.before = true, []string{strings.Join(there, ", ")}
			p.find(RuleExists, ovf.Info, p.Name, "its parts are there already; nothing is done", "")
		default:
			p.find(RuleExists, ovf.Error, p.Name, "there are machines or volumes of these names already: "+strings.Join(there, ", "),
				"--name NAME gives others, --if-exists skip or rename decides")
		}
		return nil
	}
}

func (p *Plan) partNames() []string {
	var out []string
	for _, m := range p.shape.Machines {
		out = append(out, p.assembly.Names[m.ID])
	}
	for _, d := range p.shape.Disks {
		if !d.Kept {
			out = append(out, p.assembly.Names[d.ID])
		}
	}
	return out
}

// labelParts names parts that have no System around them: as they are called,
// a lone machine by the System's new name, several with that before their own.
func (p *Plan) labelParts() {
	p.assembly.name(p.shape)
	if p.Name == p.System {
		return
	}
	for id, label := range p.assembly.Names {
		p.assembly.Names[id] = p.Name + "-" + label
	}
	if len(p.shape.Machines) == 1 {
		p.assembly.Names[p.shape.Machines[0].ID] = p.Name
	}
}

// planStorage finds the VolumeConfigurations that --storage names.
func (p *Plan) planStorage(ctx context.Context) error {
	if len(p.opts.Storage) == 0 {
		return nil
	}
	dst := p.opts.Destination
	all, err := listIfThere(ctx, dst.Provider, cimi.HrefOf(p.target.entry.VolumeConfigs))
	if err != nil {
		return at(StepPlan, Destination, dst.Name, err)
	}
	var names []string
	for _, r := range all {
		names = append(names, r.Base().Name)
	}
	p.assembly.Storage = map[string]string{}
	for _, d := range p.shape.Disks {
		place := lookup(p.opts.Storage, p.assembly.Keys[d.ID])
		if place == "" || d.Kept { // no Volume, so of no VolumeConfiguration
			continue
		}
		i := slices.IndexFunc(all, func(r cimi.Resource) bool { return r.Base().Name == place || r.Base().ID == place })
		if i < 0 {
			p.find(RuleStorage, ovf.Error, "disk "+d.Name, fmt.Sprintf("the destination has no volume configuration %s", place), candidates(names))
			continue
		}
		p.assembly.Storage[d.ID] = all[i].Base().ID
	}
	return nil
}

// planTargets finds the networks that --net names.
func (p *Plan) planTargets(ctx context.Context) error {
	dst := p.opts.Destination
	if len(p.opts.Nets) == 0 {
		return nil
	}
	all, err := listIfThere(ctx, dst.Provider, cimi.HrefOf(p.target.entry.Networks))
	if err != nil {
		return at(StepPlan, Destination, dst.Name, err)
	}
	p.assembly.Networks = map[string]string{}
	for i, n := range p.shape.Networks {
		if p.Networks[i].New {
			continue
		}
		to := p.Networks[i].Target
		for _, r := range all {
			if b := r.Base(); b.Name == to || b.ID == to {
				p.assembly.Networks[n.ID] = b.ID
				break
			}
		}
	}
	return nil
}

// assemblyLosses says what is lost when a System is made of its parts.
func (p *Plan) assemblyLosses(s *cimi.System) {
	lose := func(rule, object, message string) { p.find(rule, ovf.Warning, object, message, "") }
	for _, m := range p.shape.Machines {
		if m.StartOrder != "" && !p.assembly.Extensions && p.env == nil {
			lose(systemtemplate.StartOrder, "machine "+m.Name, "its place in the order of start is kept as a property only")
		}
		for i, c := range m.Cards {
			object := fmt.Sprintf("machine %s, network interface %d", m.Name, i+1)
			if c.MAC != "" && p.opts.MAC == "keep" && !p.assembly.MACs {
				lose(systemtemplate.MACUnmapped, object, "1.x cannot be told MAC addresses, so "+c.MAC+" is not kept")
			}
			if c.Network == "" {
				lose(systemtemplate.NetworkUnmapped, object, "is connected to no network of the System, and to none at the destination")
			}
		}
	}
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for k := range p.opts.Properties {
			if !yield(k) {
				return
			}
		}
	}) {
		p.find(RuleProperty, ovf.Error, "property "+key, "resource by resource no OVF properties are delivered", "--via relay, where both clouds know packages")
	}
	if p.env == nil && s.ExtraValue(cimi.OVFProperties) != nil {
		lose(systemtemplate.PropertyValues, s.Name, "values of OVF properties do not move")
	}
	for id, label := range p.assembly.Names {
		if name := p.shape.nameOf(id); name != label && name != "" && p.assembly.Whole {
			p.find(systemtemplate.Renamed, ovf.Info, name, fmt.Sprintf("is called %s at the destination: names are unique in a System", label), "")
		}
	}
}

// nameOf is the name of the part with an id.
func (s *Shape) nameOf(id string) string {
	for _, m := range s.Machines {
		if m.ID == id {
			return m.Name
		}
	}
	for _, d := range s.Disks {
		if d.ID == id {
			return d.Name
		}
	}
	for _, n := range s.Networks {
		if n.ID == id {
			return n.Name
		}
	}
	return ""
}

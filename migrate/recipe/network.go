package recipe

import (
	"slices"

	"github.com/cimimove/cimimove/cimi"
)

// Networks connects to networks that are there instead of making them: there
// gives the one for a Network by its name, empty for one that is to be made.
// In 2.0 they become components that belong to nobody (5.13.4); 1.x has no way
// to say so, and only the cards refer to them.
func Networks(t *cimi.SystemTemplate, v cimi.Version, there func(network string) string) {
	EndpointsByValue(t, func(network string) bool { return there(network) != "" })
	drop(t, func(d cimi.ComponentDescriptor) bool { return v == cimi.V1 && is(d, "Network") && there(d.Name) != "" })
	for i, d := range t.ComponentDescriptors {
		if href := there(d.Name); is(d, "Network") && href != "" {
			t.ComponentDescriptors[i] = cimi.ComponentDescriptor{Name: d.Name, Type: d.Type, Network: cimi.RefTo[cimi.Network](href)}
		}
	}
	Resolve(t, func(name string) string { return there(name) })
}

// EndpointsByValue has the cards say themselves which of certain networks they
// are connected to: an endpoint by value whose parent is the network takes the
// place of the endpoint's own descriptor.
func EndpointsByValue(t *cimi.SystemTemplate, concerned func(network string) bool) {
	byName := map[string]*cimi.ProtocolEndpoint{}
	each(t, func(d *cimi.ComponentDescriptor) {
		if d.NetworkTemplate == nil || d.NetworkTemplate.Value == nil || !concerned(d.Name) {
			return
		}
		for _, s := range d.NetworkTemplate.Value.SegmentTemplates {
			if s.Value == nil {
				continue
			}
			for _, e := range s.Value.Endpoints {
				if name, ok := symbol(e.Href); ok {
					byName[name] = &cimi.ProtocolEndpoint{Common: cimi.Common{Parent: cimi.RefTo[cimi.Unknown](reference(d.Name))}, Protocol: "Ethernet"}
				}
			}
			s.Value.Endpoints = nil
		}
	})
	for _, d := range t.ComponentDescriptors {
		e, ok := byName[d.Name]
		if !ok || !is(d, "ProtocolEndpoint") || d.ProtocolEndpointTemplate == nil || d.ProtocolEndpointTemplate.Value == nil {
			continue
		}
		et := d.ProtocolEndpointTemplate.Value
		e.Address, e.Origin, e.State, e.Parameters = et.Address, et.Origin, et.InitialState, et.Parameters
	}
	drop(t, func(d cimi.ComponentDescriptor) bool { return is(d, "ProtocolEndpoint") && byName[d.Name] != nil })
	eachMachine(t, func(_ string, m *cimi.MachineTemplate) {
		for _, i := range m.InterfaceTemplates {
			if i.Value == nil {
				continue
			}
			for k, ref := range i.Value.Endpoints {
				if name, ok := symbol(ref.Href); ok && byName[name] != nil {
					i.Value.Endpoints[k] = *cimi.RefBy(byName[name])
				}
			}
		}
	})
}

// Version1 says in the network model of 1.x what it can say: cards name their
// network; addresses of cards, segments and endpoints are not there.
func Version1(t *cimi.SystemTemplate) {
	EndpointsByValue(t, func(string) bool { return true })
	each(t, func(d *cimi.ComponentDescriptor) {
		if d.NetworkTemplate != nil && d.NetworkTemplate.Value != nil {
			d.NetworkTemplate.Value.SegmentTemplates = nil
		}
	})
	eachMachine(t, func(_ string, m *cimi.MachineTemplate) {
		for _, i := range m.InterfaceTemplates {
			if i.Value == nil {
				continue
			}
			card := cimi.TemplateInterface{State: "Active", MTU: i.Value.MTU}
			if i.Value.InitialState == cimi.StateDisabled {
				card.State = "Passive"
			}
			for _, e := range i.Value.Endpoints {
				if e.Value != nil {
					card.Network = cimi.RefTo[cimi.Network](cimi.HrefOf(e.Value.Parent))
				}
			}
			m.NetworkInterfaces = append(m.NetworkInterfaces, card)
		}
		m.InterfaceTemplates = nil
	})
}

// Resolve puts ids in the place of "#name", for the names that it knows.
func Resolve(t *cimi.SystemTemplate, id func(name string) string) {
	each(t, func(d *cimi.ComponentDescriptor) { ResolveIn(d, id) })
}

// ResolveIn is Resolve for one descriptor.
func ResolveIn(d *cimi.ComponentDescriptor, id func(name string) string) {
	known := func(href string) (string, bool) {
		name, ok := symbol(href)
		if !ok {
			return "", false
		}
		to := id(name)
		return to, to != ""
	}
	if d.MachineTemplate == nil || d.MachineTemplate.Value == nil {
		return
	}
	m := d.MachineTemplate.Value
	for i := range m.Volumes {
		if to, ok := known(cimi.HrefOf(m.Volumes[i].Volume)); ok {
			m.Volumes[i].Volume = cimi.RefTo[cimi.Volume](to)
		}
	}
	for i := range m.NetworkInterfaces {
		if to, ok := known(cimi.HrefOf(m.NetworkInterfaces[i].Network)); ok {
			m.NetworkInterfaces[i].Network = cimi.RefTo[cimi.Network](to)
		}
	}
	for _, n := range m.InterfaceTemplates {
		if n.Value == nil {
			continue
		}
		for _, e := range n.Value.Endpoints {
			if e.Value == nil {
				continue
			}
			if to, ok := known(cimi.HrefOf(e.Value.Parent)); ok {
				e.Value.Parent = cimi.RefTo[cimi.Unknown](to)
			}
		}
	}
}

// order is that in which parts are made: what others refer to comes first.
var order = []string{"Network", "Volume", "Machine"}

// Parts are the Networks, Volumes and Machines of a recipe, each to be made by
// itself, in an order in which what a part refers to comes before it. Volumes
// of Machines are parts of their own; nested Systems dissolve. Afterwards the
// recipe is used up.
func Parts(t *cimi.SystemTemplate) []cimi.ComponentDescriptor {
	EndpointsByValue(t, func(string) bool { return true })
	var all []cimi.ComponentDescriptor
	each(t, func(d *cimi.ComponentDescriptor) {
		if d.MachineTemplate != nil && d.MachineTemplate.Value != nil {
			m := d.MachineTemplate.Value
			for _, v := range m.VolumeTemplates {
				c := cimi.ComponentDescriptor{Type: cimi.TypeURI("Volume"), VolumeTemplate: v.VolumeTemplate}
				if in := v.VolumeTemplate.Value; in != nil {
					c.Name, c.Description, c.Properties = in.Name, in.Description, in.Properties
					in.Name, in.Description, in.Properties = "", "", nil
				}
				all = append(all, c)
				m.Volumes = append(m.Volumes, cimi.TemplateVolume{InitialLocation: v.InitialLocation, Volume: cimi.RefTo[cimi.Volume](reference(c.Name))})
			}
			m.VolumeTemplates = nil
		}
		all = append(all, *d)
	})
	var out []cimi.ComponentDescriptor
	for _, typ := range order {
		for _, d := range all {
			if is(d, typ) {
				out = append(out, d)
			}
		}
	}
	return slices.Clip(out)
}

package systemtemplate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// maxNesting bounds systemTemplates in systemTemplates.
const maxNesting = 64

// Parse makes the View that a SystemTemplate describes: what it gives by
// value, with #name references resolved among a template's own descriptors,
// then the enclosing ones (DSP0263 5.13.4). What stands elsewhere in the cloud
// cannot be read here and is reported. Errors are *ovf.DescriptorError for a
// value out of its range and *RefusedError for templates by reference.
func Parse(t *cimi.SystemTemplate) (*View, []ovf.Finding, error) {
	p := &parser{view: &View{}, disks: map[string]*Disk{}, segments: map[*Endpoint]*Network{}}
	s := &System{Name: t.Name, Description: t.Description, Quantity: 1}
	p.view.System = s
	err := p.declare(s, t, nil, 0)
	if err == nil {
		err = p.resolve()
	}
	if err != nil {
		return nil, nil, invalid(t, err)
	}
	s.Attributes.Properties = plainProperties(t.Properties)
	p.view.Configuration = t.ExtraString(cimi.OVFConfiguration)
	return p.view, p.findings.list, nil
}

// invalid makes any error about a template's values a *ovf.DescriptorError.
func invalid(t *cimi.SystemTemplate, err error) error {
	var refused *RefusedError
	var descriptor *ovf.DescriptorError
	if errors.As(err, &refused) || errors.As(err, &descriptor) {
		return err
	}
	return &ovf.DescriptorError{Object: "system template " + t.Name, Offset: -1, Err: err}
}

type parser struct {
	view     *View
	findings findings
	disks    map[string]*Disk
	segments map[*Endpoint]*Network
	scopes   []*nameScope
}

// nameScope holds the components that one template declares.
type nameScope struct {
	outer     *nameScope
	networks  map[string]*Network
	volumes   map[string]*Volume
	endpoints map[string]*Endpoint
	machines  []machineTemplate
	segments  []segmentTemplate
}

type machineTemplate struct {
	m *Machine
	t *cimi.MachineTemplate
}

type segmentTemplate struct {
	n *Network
	t *cimi.NetworkTemplate
}

func find[T any](s *nameScope, pick func(*nameScope) map[string]*T, href string) *T {
	name, ok := referenced(href)
	if !ok {
		return nil
	}
	for ; s != nil; s = s.outer {
		if v := pick(s)[name]; v != nil {
			return v
		}
	}
	return nil
}

// declare reads the descriptors of a template: what has a name exists after it.
func (p *parser) declare(s *System, t *cimi.SystemTemplate, outer *nameScope, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("%q: systemTemplates are nested more than %d deep", t.Name, maxNesting)
	}
	var err error
	if s.OVFID, s.Startup, s.Properties, err = extensionsOf(&t.Common); err != nil {
		return fmt.Errorf("%q: %w", t.Name, err)
	}
	scope := &nameScope{outer: outer, networks: map[string]*Network{}, volumes: map[string]*Volume{}, endpoints: map[string]*Endpoint{}}
	p.scopes = append(p.scopes, scope)
	p.leftOut(t)
	for i := range t.ComponentDescriptors {
		d := &t.ComponentDescriptors[i]
		quantity := 1
		if d.Quantity != nil {
			if *d.Quantity < 0 || *d.Quantity > maxQuantity {
				return fmt.Errorf("component descriptor %q: quantity is %d, expected 1 to %d", d.Name, *d.Quantity, maxQuantity)
			}
			quantity = max(1, int(*d.Quantity))
		}
		switch {
		case d.SystemTemplate != nil:
			v, err := given(d.SystemTemplate, "component "+d.Name)
			if err != nil {
				return err
			}
			inner := &System{Name: d.Name, Description: d.Description, Quantity: quantity}
			if err := p.declare(inner, v, scope, depth+1); err != nil {
				return err
			}
			inner.Attributes.Properties = plainProperties(d.Properties)
			s.Children = append(s.Children, Child{System: inner})
		case d.MachineTemplate != nil:
			v, err := given(d.MachineTemplate, "component "+d.Name)
			if err != nil {
				return err
			}
			mt := v
			m := &Machine{Name: d.Name, Description: d.Description, Quantity: quantity, MemoryBytes: 0}
			if m.OVFID, m.Startup, m.Properties, err = extensionsOf(&mt.Common); err != nil {
				return fmt.Errorf("machine %q: %w", d.Name, err)
			}
			m.Attributes.Properties = plainProperties(d.Properties)
			scope.machines = append(scope.machines, machineTemplate{m, mt})
			s.Children = append(s.Children, Child{Machine: m})
		case d.VolumeTemplate != nil:
			v, err := given(d.VolumeTemplate, "component "+d.Name)
			if err != nil {
				return err
			}
			for _, name := range InstanceNames(d.Name, quantity) {
				x, err := p.volume(v)
				if err != nil {
					return fmt.Errorf("volume %q: %w", d.Name, err)
				}
				x.Name, x.Description = name, d.Description
				x.Attributes.Properties = plainProperties(d.Properties)
				scope.volumes[x.Name] = x
				p.view.Volumes = append(p.view.Volumes, x)
			}
		case d.NetworkTemplate != nil:
			v, err := given(d.NetworkTemplate, "component "+d.Name)
			if err != nil {
				return err
			}
			n := &Network{Name: d.Name, Description: d.Description}
			n.OVFID = idOf(&v.Extensions, v.Properties)
			n.Attributes.Properties = plainProperties(d.Properties)
			scope.networks[n.Name] = n
			scope.segments = append(scope.segments, segmentTemplate{n, v})
			p.view.Networks = append(p.view.Networks, n)
		case d.ProtocolEndpointTemplate != nil:
			v, err := given(d.ProtocolEndpointTemplate, "component "+d.Name)
			if err != nil {
				return err
			}
			e := endpointOf(v)
			e.Name = d.Name
			scope.endpoints[e.Name] = e
		default:
			p.findings.add(ResourceDropped, "component "+d.Name, "%s", or(lastWord(d.Type), "not given by value"))
		}
	}
	return nil
}

func (p *parser) leftOut(t *cimi.SystemTemplate) {
	object := "system template " + t.Name
	if n := len(t.ServiceDescriptors); n > 0 {
		p.findings.add(ResourceDropped, object, "%d services", n)
	}
	if n := len(t.MeterTemplates); n > 0 {
		p.findings.add(ResourceDropped, object, "%d meters", n)
	}
	if t.EventLogTemplate != nil {
		p.findings.add(ResourceDropped, object, "the event log")
	}
}

// value is what a reference gives by value, nil otherwise.
func value[T any](r *cimi.Ref[T]) *T {
	if r == nil {
		return nil
	}
	return r.Value
}

// given is what a reference stands for: what it gives by value, or what it was
// expanded to (DSP0263 4.1.6.4). A mere href, with overrides or without, would
// be taken for a removal of what it does not show.
func given[T any](r *cimi.Ref[T], object string) (*T, error) {
	if r == nil {
		return nil, nil
	}
	if r.Value != nil {
		if res, ok := any(r.Value).(cimi.Resource); r.Href == "" || ok && res.Base().ID != "" {
			return r.Value, nil
		}
	}
	return nil, refuse(object, "DSP0263 4.1.6.4", "%s is a reference: expand it first", r.Href)
}

func endpointOf(t *cimi.ProtocolEndpointTemplate) *Endpoint {
	e := &Endpoint{Parameters: t.Parameters, disabled: t.InitialState == cimi.StateDisabled}
	if !strings.EqualFold(t.Origin, "DYNAMIC") {
		e.Address = t.Address
	}
	return e
}

// resolve follows the references, now that all names are known.
func (p *parser) resolve() error {
	for _, s := range p.scopes {
		for _, g := range s.segments {
			if err := p.segmentsOf(s, g.n, g.t); err != nil {
				return err
			}
		}
	}
	for _, s := range p.scopes {
		for _, x := range s.machines {
			if err := p.machine(s, x.m, x.t); err != nil {
				return fmt.Errorf("machine %q: %w", x.m.Name, err)
			}
		}
	}
	return nil
}

func (p *parser) segmentsOf(s *nameScope, n *Network, t *cimi.NetworkTemplate) error {
	object := "network " + n.Name
	if len(t.Services)+len(t.ServiceTemplates)+len(t.Subnetworks)+len(t.SubnetworkTemplates) > 0 {
		p.findings.add(NetworkUnmapped, object, "services or subnetworks")
	}
	for _, r := range t.SegmentTemplates {
		g, err := given(&r, "segment of "+object)
		if err != nil {
			return err
		}
		if g.Protocol != "" && g.Protocol != "Ethernet" {
			p.findings.add(NetworkUnmapped, object, "a segment of %s", g.Protocol)
		}
		for k, v := range g.Parameters {
			if n.Attributes.Parameters == nil {
				n.Attributes.Parameters = map[string]string{}
			}
			n.Attributes.Parameters[k] = v
		}
		for _, r := range g.Endpoints {
			if e := find(s, func(s *nameScope) map[string]*Endpoint { return s.endpoints }, r.Href); e != nil {
				p.segments[e] = n
			}
		}
		for _, r := range g.EndpointTemplates {
			if r.Value != nil && r.Value.Name != "" {
				e := endpointOf(r.Value)
				e.Name = r.Value.Name
				s.endpoints[e.Name] = e
				p.segments[e] = n
			}
		}
	}
	return nil
}

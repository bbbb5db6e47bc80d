package systemtemplate

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// maxNesting bounds systemTemplates in systemTemplates.
const maxNesting = 64

// Parse makes the View that a SystemTemplate describes: what it gives by
// value, with #name references resolved among a template's own descriptors,
// then the enclosing ones (DSP0263 5.13.4). What stands elsewhere in the cloud
// cannot be read here and is reported.
func Parse(t *cimi.SystemTemplate) (*View, []ovf.Finding, error) {
	p := &parser{view: &View{}, disks: map[string]*Disk{}, segments: map[*Endpoint]*Network{}}
	s := &System{Name: t.Name, Description: t.Description, Quantity: 1}
	p.view.System = s
	if err := p.declare(s, t, nil, 0); err != nil {
		return nil, nil, err
	}
	s.Attributes.Properties = plainProperties(t.Properties)
	if err := p.resolve(); err != nil {
		return nil, nil, err
	}
	p.view.Configuration = t.ExtraString(cimi.OVFConfiguration)
	return p.view, p.findings.list, nil
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
		return fmt.Errorf("system template %q: systemTemplates are nested more than %d deep", t.Name, maxNesting)
	}
	var err error
	if s.OVFID, s.Startup, s.Properties, err = extensionsOf(&t.Common); err != nil {
		return fmt.Errorf("system template %q: %w", t.Name, err)
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

func (p *parser) volume(t *cimi.VolumeTemplate) (*Volume, error) {
	v := &Volume{Name: t.Name, Description: t.Description, CapacityBytes: -1}
	d := &Disk{OVFID: idOf(&t.Extensions, t.Properties), CapacityBytes: -1}
	v.Attributes.Properties = plainProperties(t.Properties)
	if c := value(t.VolumeConfig); c != nil {
		d.Shared = strings.HasSuffix(c.Type, "/mapped")
		if c.Capacity != nil {
			bytes, err := scaled(*c.Capacity, 1000, "capacity")
			if err != nil {
				return nil, err
			}
			d.CapacityBytes, v.CapacityBytes = bytes, bytes
		}
		if c.Format != "" {
			p.findings.add(AttributeOnly, "volume "+v.Name, "the file system %s is made by the guest", c.Format)
		}
	} else if t.VolumeConfig != nil {
		p.findings.add(ResourceDropped, "volume "+v.Name, "its configuration %s is not given by value", t.VolumeConfig.Href)
	}
	image, err := given(t.VolumeImage, "image of volume "+v.Name)
	if err != nil {
		return nil, err
	}
	if image != nil {
		d.Href = image.ImageLocation
		v.Bootable = cimi.BoolValue(image.Bootable)
	}
	v.Disk = p.disk(d)
	return v, nil
}

// disk gives Volumes of one Disk element the same Disk.
func (p *parser) disk(d *Disk) *Disk {
	if d.OVFID != "" {
		if old := p.disks[d.OVFID]; old != nil {
			return old
		}
		p.disks[d.OVFID] = d
	}
	p.view.Disks = append(p.view.Disks, d)
	return d
}

func scaled(n, unit int64, what string) (int64, error) {
	if n < 0 || n > (1<<63-1)/unit {
		return 0, fmt.Errorf("%s is %d, expected 0 to %d", what, n, int64(1<<63-1)/unit)
	}
	return n * unit, nil
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

func (p *parser) machine(s *nameScope, m *Machine, t *cimi.MachineTemplate) error {
	object := "machine " + m.Name
	m.UserData = t.UserData
	if c := value(t.MachineConfig); c != nil {
		if v := cimi.IntValue(c.CPU); v < 0 || v > 1<<31-1 {
			return fmt.Errorf("cpu is %d, expected 1 to %d", v, 1<<31-1)
		}
		m.CPUs, m.CPUArch, m.CPUSpeed = int(cimi.IntValue(c.CPU)), c.CPUArch, cimi.IntValue(c.CPUSpeed)
		var err error
		if m.MemoryBytes, err = scaled(cimi.IntValue(c.Memory), 1024, "memory"); err != nil {
			return err
		}
		if err := rangesOf(m, c.VScope); err != nil {
			return err
		}
		for i, d := range c.Disks {
			if err := p.localDisk(m, t, d, i); err != nil {
				return err
			}
		}
	} else if t.MachineConfig != nil {
		p.findings.add(ResourceDropped, object, "its configuration %s is not given by value", t.MachineConfig.Href)
	}
	for _, v := range t.VolumeTemplates {
		vt, err := given(v.VolumeTemplate, "volume of "+object)
		if err != nil {
			return err
		}
		if vt == nil {
			continue
		}
		x, err := p.volume(vt)
		if err != nil {
			return err
		}
		m.Attachments = append(m.Attachments, &Attachment{OVFID: idOf(&v.Extensions, nil), Volume: x, Unit: -1, InitialLocation: v.InitialLocation})
	}
	for _, v := range t.Volumes {
		x := find(s, func(s *nameScope) map[string]*Volume { return s.volumes }, cimi.HrefOf(v.Volume))
		if x == nil {
			p.findings.add(ResourceDropped, object, "volume %s is no component", cimi.HrefOf(v.Volume))
			continue
		}
		m.Attachments = append(m.Attachments, &Attachment{OVFID: idOf(&v.Extensions, nil), Volume: x, Unit: -1, InitialLocation: v.InitialLocation})
	}
	for _, r := range t.InterfaceTemplates {
		nt, err := given(&r, "interface of "+object)
		if err != nil {
			return err
		}
		p.nic(s, m, nt, object)
	}
	if t.Credential != nil {
		p.findings.add(ResourceDropped, object, "its credential")
	}
	if len(t.MeterTemplates) > 0 || t.EventLogTemplate != nil {
		p.findings.add(ResourceDropped, object, "meters or the event log")
	}
	if t.InitialState != "" {
		p.findings.add(StateDropped, object, "%s", t.InitialState)
	}
	return nil
}

func (p *parser) nic(s *nameScope, m *Machine, t *cimi.NetworkInterfaceTemplate, object string) {
	n := &NIC{OVFID: idOf(&t.Extensions, t.Properties), Disabled: t.InitialState == cimi.StateDisabled}
	for _, r := range t.Endpoints {
		e := find(s, func(s *nameScope) map[string]*Endpoint { return s.endpoints }, r.Href)
		if e == nil {
			p.findings.add(ResourceDropped, object, "endpoint %s is no component", r.Href)
			continue
		}
		// An endpoint serves one interface; a second one gets a copy.
		x := *e
		if x.Network = p.segments[e]; x.Network == nil {
			p.findings.add(NetworkUnmapped, object, "endpoint %s is in no segment", e.Name)
			continue
		}
		if x.disabled != n.Disabled {
			// OVF has one switch for both: that of the card counts.
			p.findings.add(StateDropped, object, "that of endpoint %s", e.Name)
		}
		n.MAC = or(n.MAC, x.Address)
		n.Endpoints = append(n.Endpoints, &x)
	}
	m.NICs = append(m.NICs, n)
}

// localDisk reads machineConfig.disks: the first one holds the MachineImage.
func (p *parser) localDisk(m *Machine, t *cimi.MachineTemplate, c cimi.DiskConfiguration, i int) error {
	v := &Volume{CapacityBytes: -1, Name: fmt.Sprintf("%s-disk%d", m.Name, i+1)}
	d := &Disk{CapacityBytes: -1}
	if c.Capacity != nil {
		bytes, err := scaled(*c.Capacity, 1000, "capacity")
		if err != nil {
			return err
		}
		v.CapacityBytes, d.CapacityBytes = bytes, bytes
	}
	if image := value(t.MachineImage); i == 0 && image != nil {
		d.Href, d.OVFID, v.Bootable = image.ImageLocation, idOf(&image.Extensions, image.Properties), true
		if d.OVFID != "" {
			v.Name = "" // T20 has no name: it keeps the one it has
		}
	}
	v.Disk = p.disk(d)
	m.Attachments = append(m.Attachments, &Attachment{OVFID: idOf(&c.Extensions, nil), Volume: v, Unit: -1, InitialLocation: c.InitialLocation})
	return nil
}

func rangesOf(m *Machine, all []cimi.ValueScope) error {
	if len(all) != 1 {
		return nil
	}
	for name, s := range all[0] {
		if s.Minimum == nil && s.Maximum == nil {
			continue
		}
		unit := int64(1)
		to := &m.CPURange
		switch {
		case name == "cpu":
		case name == "memory" && (s.Units == "kibibytes" || s.Units == ""):
			to, unit = &m.MemoryRange, 1024
		default:
			continue
		}
		g := &Range{}
		for _, b := range []struct{ from, to **int64 }{{&s.Minimum, &g.Min}, {&s.Maximum, &g.Max}} {
			if *b.from == nil {
				continue
			}
			v, err := scaled(**b.from, unit, name)
			if err != nil {
				return err
			}
			*b.to = &v
		}
		*to = g
	}
	return nil
}

// extensionsOf reads what FromEnvelope wrote on a template, from extension
// attributes or, where those were refused, from properties.
func extensionsOf(c *cimi.Common) (id string, s *Startup, props []Property, err error) {
	id = idOf(&c.Extensions, c.Properties)
	var raw []byte
	if v := c.ExtraValue(cimi.OVFStartup); v != nil {
		if raw, err = json.Marshal(v); err != nil {
			return "", nil, nil, err
		}
	} else if v := c.Properties[propertyStartup]; v != "" {
		raw = []byte(v)
	}
	if raw != nil {
		if s, err = startupFrom(raw); err != nil {
			return "", nil, nil, err
		}
	}
	values := map[string]string{}
	switch v := c.ExtraValue(cimi.OVFProperties).(type) {
	case nil:
		for k, v := range c.Properties {
			if key, ok := strings.CutPrefix(k, propertyPrefix); ok {
				values[key] = v
			}
		}
	case map[string]any:
		for k, v := range v {
			values[k] = fmt.Sprint(v)
		}
	default:
		return "", nil, nil, fmt.Errorf("%s is %T, expected an object", cimi.OVFProperties, v)
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		props = append(props, Property{Key: k, Value: values[k]})
	}
	return id, s, props, nil
}

// startupFrom reads ovfStartup; numbers and booleans may have become strings.
func startupFrom(raw []byte) (*Startup, error) {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%s: %w", cimi.OVFStartup, err)
	}
	s := &Startup{StartAction: "powerOn", StopAction: "powerOff"}
	for k, v := range m {
		text := fmt.Sprint(v)
		var err error
		switch k {
		case "order":
			s.Order, err = strconv.Atoi(text)
		case "startDelay":
			s.StartDelay, err = strconv.Atoi(text)
		case "stopDelay":
			s.StopDelay, err = strconv.Atoi(text)
		case "startAction":
			s.StartAction = text
		case "stopAction":
			s.StopAction = text
		case "waitingForGuest":
			s.WaitingForGuest, err = strconv.ParseBool(text)
		}
		if err == nil && (s.Order < 0 || s.StartDelay < 0 || s.StopDelay < 0 || s.Order > 65535 || s.StartDelay > 65535 || s.StopDelay > 65535) {
			err = fmt.Errorf("out of range 0 to 65535")
		}
		if err != nil {
			return nil, fmt.Errorf("%s.%s is %q: %w", cimi.OVFStartup, k, text, err)
		}
	}
	return s, nil
}

func idOf(x *cimi.Extensions, properties map[string]string) string {
	if id := x.ExtraString(cimi.OVFID); id != "" {
		return id
	}
	return properties[propertyID]
}

// plainProperties are those that are the user's own.
func plainProperties(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if k != propertyID && k != propertyStartup && k != propertyOS && !strings.HasPrefix(k, propertyPrefix) {
			out[k] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func lastWord(uri string) string { return uri[strings.LastIndexByte(uri, '/')+1:] }

// descriptorOf is the descriptor that a template keeps; nil when it keeps none.
func descriptorOf(t *cimi.SystemTemplate) ([]byte, error) {
	s := strings.Join(strings.Fields(t.ExtraString(cimi.OVFDescriptor)), "")
	if s == "" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("system template %q: %s is no Base64: %w", t.Name, cimi.OVFDescriptor, err)
	}
	return b, nil
}

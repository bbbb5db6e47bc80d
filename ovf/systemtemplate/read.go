package systemtemplate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// maxQuantity bounds ScaleOut: a descriptor cannot ask for more instances.
const maxQuantity = 100_000

// Read makes the View of a descriptor under opts. Findings tell what the View
// does not show. The error is a *ovf.DescriptorError, or a *RefusedError for a
// value of a property that may not be set.
func Read(env *ovf.Envelope, opts Options) (*View, []ovf.Finding, error) {
	config, err := env.Configuration(opts.Configuration)
	if err != nil {
		return nil, nil, err
	}
	r := &reader{env: env, opts: opts, config: config, disks: map[string]*Disk{}, networks: map[string]*Network{}}
	r.findings.lost = opts.Lacks.Extensions
	r.names = newNames(&r.findings)
	r.view = &View{Version: env.Version(), Configuration: config}
	if err := r.read(); err != nil {
		return nil, nil, err
	}
	return r.view, r.findings.list, nil
}

type reader struct {
	env      *ovf.Envelope
	opts     Options
	config   string
	view     *View
	findings findings
	names    *names
	disks    map[string]*Disk
	networks map[string]*Network
}

func (r *reader) read() error {
	content, ok := r.env.Content()
	if !ok && r.opts.NoContent {
		r.view.System = &System{Quantity: 1}
		r.envelopeFindings()
		r.readDisks()
		r.readNetworks()
		r.nameNetworks()
		r.nameVolumes()
		return nil
	}
	if !ok {
		return &ovf.DescriptorError{Object: "Envelope", Offset: -1, Clause: "7.2",
			Message: "has neither VirtualSystem nor VirtualSystemCollection: there is nothing to map"}
	}
	r.envelopeFindings()
	r.readDisks()
	r.readNetworks()
	if content.Collection {
		r.view.System = &System{Quantity: 1}
		if err := r.system(r.view.System, content, nil); err != nil {
			return err
		}
	} else {
		m, err := r.machine(content, nil, 1)
		if err != nil {
			return err
		}
		s := &System{Name: m.Name, OVFID: m.OVFID, Quantity: 1, Children: []Child{{Machine: m}}, Content: content}
		if a := m.Attributes.System; a != nil {
			s.Attributes, s.Description = *a, a.Description
			if a.Name != "" {
				s.Name = a.Name
			}
		}
		r.view.Single, r.view.System = true, s
	}
	r.nameNetworks()
	r.nameVolumes()
	r.nameEndpoints()
	return nil
}

// system reads a collection. Names are taken in document order, a System's
// before those of its children.
func (r *reader) system(s *System, c ovf.Content, startup map[string]*Startup) error {
	s.Content, s.OVFID = c, c.ID
	s.Attributes = attributesOf(c.Node())
	s.Name = r.names.take("system", r.title(c), s.Quantity)
	s.Description = r.annotation(c)
	s.Startup = startup[c.ID]
	var err error
	if s.Properties, err = r.properties(c, "system "+s.Name); err != nil {
		return err
	}
	r.contentFindings(c, "system "+s.Name)
	order := startupOf(c)
	scaled := map[string]bool{}
	for _, sec := range c.Sections() {
		if sec.Kind == "ScaleOutSection" {
			for a := range sec.Node().Attrs() {
				if a.Name.Local == "id" {
					scaled[strings.TrimSpace(a.Value)] = true
				}
			}
		}
	}
	for _, k := range c.Children() {
		quantity := 1
		if scaled[k.ID] {
			var err error
			if quantity, err = scaleOut(c, k.ID, r.config); err != nil {
				return err
			}
		}
		if k.Collection {
			inner := &System{Quantity: quantity}
			if err := r.system(inner, k, order); err != nil {
				return err
			}
			s.Children = append(s.Children, Child{System: inner})
			continue
		}
		m, err := r.machine(k, order, quantity)
		if err != nil {
			return err
		}
		s.Children = append(s.Children, Child{Machine: m})
	}
	return nil
}

func scaleOut(c ovf.Content, child, config string) (int, error) {
	n, ok := c.ScaleOut(child, config)
	if !ok || n.Default < 1 {
		return 1, nil
	}
	if n.Default > maxQuantity {
		return 0, &ovf.DescriptorError{Object: "ScaleOutSection " + child, Offset: n.Node().Offset(),
			Message: fmt.Sprintf("asks for %d instances, more than %d", n.Default, maxQuantity)}
	}
	return n.Default, nil
}

func (r *reader) machine(c ovf.Content, startup map[string]*Startup, quantity int) (*Machine, error) {
	m := &Machine{Content: c, OVFID: c.ID, Quantity: quantity, Startup: startup[c.ID], Attributes: attributesOf(c.Node())}
	m.Name = r.names.take("machine", r.title(c), quantity)
	object := "machine " + m.Name
	m.Description = r.annotation(c)
	var err error
	if m.Properties, err = r.properties(c, object); err != nil {
		return nil, err
	}
	m.UserData = userData(m.Properties)
	r.contentFindings(c, object)
	h, ok := c.HardwareFor(r.opts.supported())
	m.Hardware = h
	if !ok {
		r.findings.add(NoProcessor, object, "there is no VirtualHardwareSection")
		m.CPUs, m.CPUArch, m.CPUSpeed = 1, m.Attributes.CPUArch, m.Attributes.CPUSpeed
		return m, nil
	}
	r.hardwareFindings(m, object)
	// Placeholders that a producer fills in later stand in some descriptors:
	// the template shows what there is.
	if m.CPUs, err = h.CPUs(r.config); err != nil {
		r.findings.add(NoProcessor, object, "%v", err)
	} else if m.CPUs == 0 {
		r.findings.add(NoProcessor, object, "")
	}
	m.CPUs = max(m.CPUs, 1)
	if m.MemoryBytes, err = h.MemoryBytes(r.config); err != nil {
		r.findings.add(MemoryUnknown, object, "%v", err)
		m.MemoryBytes = -1
	} else if m.MemoryBytes == 0 {
		r.findings.add(MemoryUnknown, object, "none is described")
	}
	r.architecture(m, object)
	m.CPUSpeed = m.Attributes.CPUSpeed
	if err := r.ranges(m); err != nil {
		return nil, err
	}
	if err := r.attachments(m, object); err != nil {
		return nil, err
	}
	r.nics(m, object)
	return m, nil
}

func startupOf(c ovf.Content) map[string]*Startup {
	out := map[string]*Startup{}
	for _, it := range c.Startup() {
		if _, ok := out[it.ID]; !ok {
			out[it.ID] = &Startup{Order: it.Order, StartDelay: it.StartDelay, StopDelay: it.StopDelay,
				StartAction: it.StartAction, StopAction: it.StopAction, WaitingForGuest: it.WaitingForGuest}
		}
	}
	return out
}

// attributesOf reads cimimove:attributes; what does not parse is not ours.
func attributesOf(n *xmltree.Node) Attributes {
	var a Attributes
	if n == nil {
		return a
	}
	if s, ok := n.Attr(ovf.NSCimimove, "attributes"); ok && json.Unmarshal([]byte(s), &a) != nil {
		return Attributes{}
	}
	return a
}

func (r *reader) readNetworks() {
	for _, n := range r.env.Networks() {
		if _, ok := r.networks[n.Name]; ok {
			continue // validation reports the second one
		}
		net := &Network{OVFID: n.Name, Description: n.Description, Element: n, Attributes: attributesOf(n.Node())}
		r.networks[n.Name] = net
		r.view.Networks = append(r.view.Networks, net)
		if n.HasPortProfile || len(n.PortProfileURIs) > 0 {
			r.findings.add(NetworkUnmapped, "network "+n.Name, "port profiles")
		}
	}
}

// network is that of a Connection; one that NetworkSection does not list is
// made, so that the machine stays connected.
func (r *reader) network(name string) *Network {
	if n, ok := r.networks[name]; ok {
		return n
	}
	n := &Network{OVFID: name}
	r.networks[name] = n
	r.view.Networks = append(r.view.Networks, n)
	return n
}

func (r *reader) nics(m *Machine, object string) {
	for _, it := range m.Hardware.NICs(r.config) {
		n := &NIC{OVFID: it.InstanceID, Type: it.ResourceSubType, MAC: it.Address, Disabled: !it.AutomaticAllocation, Item: it}
		a := attributesOf(it.Node())
		for i, c := range it.Connection {
			if slices.Contains(it.Connection[:i], c) {
				continue
			}
			e := &Endpoint{Network: r.network(c), Address: it.Address}
			if i == 0 {
				e.Name, e.Parameters = a.Name, a.Parameters
			}
			n.Endpoints = append(n.Endpoints, e)
		}
		if len(it.Connection) == 0 && it.Address != "" {
			r.findings.add(MACUnmapped, object, "%s of a card without network", it.Address)
		}
		m.NICs = append(m.NICs, n)
	}
}

func (r *reader) nameNetworks() {
	for _, n := range r.view.Networks {
		n.Name = r.names.take("network", or(n.Attributes.Name, n.OVFID), 1)
	}
}

// nameEndpoints: network.machine.n, n counting the endpoints of the machine.
func (r *reader) nameEndpoints() {
	for _, m := range r.view.System.AllMachines() {
		i := 0
		for _, n := range m.NICs {
			for _, e := range n.Endpoints {
				i++
				e.Name = r.names.take("endpoint", or(e.Name, endpointName(e.Network, m, i)), 1)
			}
		}
	}
}

func endpointName(n *Network, m *Machine, i int) string {
	return fmt.Sprintf("%s.%s.%d", n.Name, m.Name, i)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

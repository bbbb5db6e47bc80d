package systemtemplate

import (
	"encoding/base64"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// FromEnvelope makes the SystemTemplate of a descriptor, all templates by
// value, with the descriptor itself in the extension attribute ovfDescriptor.
// Findings tell all that the template does not show. The error is that of Read.
func FromEnvelope(env *ovf.Envelope, opts Options) (*cimi.SystemTemplate, []ovf.Finding, error) {
	v, findings, err := Read(env, opts)
	if err != nil {
		return nil, nil, err
	}
	t, more := Template(v, opts)
	if !opts.Lacks.Extensions {
		t.SetExtra(cimi.OVFDescriptor, base64.StdEncoding.EncodeToString(env.Bytes()))
		t.SetExtra(cimi.OVFConfiguration, v.Configuration)
	}
	return t, append(findings, more...), nil
}

// Template makes the SystemTemplate of a View (DSP0263 5.13.4), without the
// descriptor. It changes nothing in the View.
func Template(v *View, opts Options) (*cimi.SystemTemplate, []ovf.Finding) {
	w := &templater{view: v, opts: opts}
	w.findings.lost = opts.Lacks.Extensions
	t := w.system(v.System)
	t.ImportImage = opts.ImportImage
	for _, n := range v.Networks {
		t.ComponentDescriptors = append(t.ComponentDescriptors, w.network(n))
	}
	for _, x := range v.Volumes {
		t.ComponentDescriptors = append(t.ComponentDescriptors, w.volume(x))
	}
	for _, m := range v.System.AllMachines() {
		for _, n := range m.NICs {
			for _, e := range n.Endpoints {
				t.ComponentDescriptors = append(t.ComponentDescriptors, w.endpoint(n, e))
			}
		}
	}
	return t, w.findings.list
}

type templater struct {
	view     *View
	opts     Options
	findings findings
}

// system makes a template from a System's own children. Name and description
// are the template's where it is the outermost one, else its descriptor's.
func (w *templater) system(s *System) *cimi.SystemTemplate {
	t := &cimi.SystemTemplate{}
	if s == w.view.System {
		t.Name, t.Description, t.Properties = s.Name, s.Description, s.Attributes.Properties
	}
	w.extend(&t.Common, &t.Properties, s.OVFID, s.Startup, s.Properties)
	for _, c := range s.Children {
		if c.Machine != nil {
			t.ComponentDescriptors = append(t.ComponentDescriptors, w.machine(c.Machine))
			continue
		}
		d := descriptor(c.System.Name, c.System.Description, "System", c.System.Attributes.Properties, c.System.Quantity)
		d.SystemTemplate = cimi.RefBy(w.system(c.System))
		d.Properties = w.propertiesOf(d.Properties, c.System.OVFID, c.System.Startup, c.System.Properties, "")
		t.ComponentDescriptors = append(t.ComponentDescriptors, d)
	}
	return t
}

func descriptor(name, description, typeName string, properties map[string]string, quantity int) cimi.ComponentDescriptor {
	d := cimi.ComponentDescriptor{Name: name, Description: description, Type: cimi.TypeURI(typeName), Properties: properties}
	if quantity > 1 {
		d.Quantity = cimi.Int(int64(quantity))
	}
	return d
}

func (w *templater) machine(m *Machine) cimi.ComponentDescriptor {
	d := descriptor(m.Name, m.Description, "Machine", m.Attributes.Properties, m.Quantity)
	config := &cimi.MachineConfiguration{CPU: cimi.Int(int64(m.CPUs)), CPUArch: m.CPUArch}
	if m.MemoryBytes > 0 {
		config.Memory = cimi.Int(roundUp(m.MemoryBytes, 1024))
	}
	if m.CPUSpeed > 0 {
		config.CPUSpeed = cimi.Int(m.CPUSpeed)
	}
	w.scope(config, m)
	t := &cimi.MachineTemplate{MachineConfig: cimi.RefBy(config), UserData: m.UserData}
	w.extend(&t.Common, &t.Properties, m.OVFID, m.Startup, m.Properties)
	for _, a := range m.Attachments {
		w.attach(t, config, a)
	}
	for _, n := range m.NICs {
		i := &cimi.NetworkInterfaceTemplate{InitialState: state(n.Disabled)}
		w.mark(&i.Extensions, &i.Properties, n.OVFID)
		for _, e := range n.Endpoints {
			i.Endpoints = append(i.Endpoints, cimi.Ref[cimi.ProtocolEndpoint]{Href: Reference(e.Name)})
		}
		t.InterfaceTemplates = append(t.InterfaceTemplates, *cimi.RefBy(i))
	}
	d.MachineTemplate = cimi.RefBy(t)
	os := ""
	if s, ok := m.Content.OperatingSystem(); ok {
		os = or(s.Description, s.VMwareType)
	}
	d.Properties = w.propertiesOf(d.Properties, m.OVFID, m.Startup, m.Properties, os)
	return d
}

func (w *templater) scope(config *cimi.MachineConfiguration, m *Machine) {
	if w.opts.Lacks.ValueScopes || m.CPURange == nil && m.MemoryRange == nil {
		return
	}
	s := cimi.ValueScope{}
	if g := m.CPURange; g != nil {
		s["cpu"] = cimi.Scope{Minimum: g.Min, Maximum: g.Max}
	}
	if g := m.MemoryRange; g != nil {
		scope := cimi.Scope{Units: "kibibytes"}
		if g.Min != nil {
			scope.Minimum = cimi.Int(roundUp(*g.Min, 1024))
		}
		if g.Max != nil {
			scope.Maximum = cimi.Int(roundUp(*g.Max, 1024))
		}
		s["memory"] = scope
	}
	config.VScope = []cimi.ValueScope{s}
}

// attach connects a Volume: a shared one by name, one of its own by template,
// one that is no Volume by MachineImage, and so the boot disk where the cloud
// cannot boot Volumes.
func (w *templater) attach(t *cimi.MachineTemplate, config *cimi.MachineConfiguration, a *Attachment) {
	x := a.Volume
	if x.Disk.Shared {
		v := cimi.TemplateVolume{InitialLocation: a.InitialLocation, Volume: cimi.RefTo[cimi.Volume](Reference(x.Name))}
		w.mark(&v.Extensions, nil, a.OVFID)
		t.Volumes = append(t.Volumes, v)
		return
	}
	if x.Local || w.opts.Lacks.BootVolumes && x.Bootable {
		image := &cimi.MachineImage{Type: "IMAGE", ImageLocation: x.Disk.Href}
		w.mark(&image.Extensions, &image.Properties, x.Disk.OVFID)
		t.MachineImage = cimi.RefBy(image)
		disk := cimi.DiskConfiguration{Capacity: capacity(x), InitialLocation: a.InitialLocation}
		w.mark(&disk.Extensions, nil, a.OVFID)
		config.Disks = append(config.Disks, disk)
		return
	}
	v := cimi.TemplateVolumeTemplate{InitialLocation: a.InitialLocation, VolumeTemplate: cimi.RefBy(w.volumeTemplate(x))}
	v.VolumeTemplate.Value.Name, v.VolumeTemplate.Value.Description = x.Name, x.Description
	w.mark(&v.Extensions, nil, a.OVFID)
	t.VolumeTemplates = append(t.VolumeTemplates, v)
}

func (w *templater) volume(x *Volume) cimi.ComponentDescriptor {
	d := descriptor(x.Name, x.Description, "Volume", x.Attributes.Properties, 1)
	t := w.volumeTemplate(x)
	t.Properties = nil
	if w.opts.Lacks.Extensions {
		t.Properties = map[string]string{"ovf.id": x.Disk.OVFID}
	}
	d.VolumeTemplate = cimi.RefBy(t)
	return d
}

func (w *templater) volumeTemplate(x *Volume) *cimi.VolumeTemplate {
	config := &cimi.VolumeConfiguration{Capacity: capacity(x)}
	if x.Disk.Shared {
		config.Type = cimi.VolumeMapped
	}
	t := &cimi.VolumeTemplate{VolumeConfig: cimi.RefBy(config)}
	t.Properties = x.Attributes.Properties
	w.mark(&t.Extensions, &t.Properties, x.Disk.OVFID)
	if !x.Disk.Blank() {
		image := &cimi.VolumeImage{ImageLocation: x.Disk.Href}
		if x.Bootable {
			image.Bootable = cimi.Bool(true)
		}
		t.VolumeImage = cimi.RefBy(image)
	}
	return t
}

func capacity(x *Volume) *int64 {
	if x.CapacityBytes < 0 {
		return nil
	}
	return cimi.Int(roundUp(x.CapacityBytes, 1000))
}

func (w *templater) network(n *Network) cimi.ComponentDescriptor {
	d := descriptor(n.Name, n.Description, "Network", n.Attributes.Properties, 1)
	s := &cimi.ProtocolSegmentTemplate{InitialState: cimi.StateStarted, Protocol: "Ethernet", Parameters: n.Attributes.Parameters}
	for _, m := range w.view.System.AllMachines() {
		for _, c := range m.NICs {
			for _, e := range c.Endpoints {
				if e.Network == n {
					s.Endpoints = append(s.Endpoints, cimi.Ref[cimi.ProtocolEndpoint]{Href: Reference(e.Name)})
				}
			}
		}
	}
	t := &cimi.NetworkTemplate{InitialState: cimi.StateStarted, SegmentTemplates: []cimi.Ref[cimi.ProtocolSegmentTemplate]{*cimi.RefBy(s)}}
	w.mark(&t.Extensions, &t.Properties, n.OVFID)
	d.NetworkTemplate = cimi.RefBy(t)
	return d
}

// endpoint: a machine with a quantity has one endpoint descriptor, so that
// #name resolves; each instance gets an endpoint like it.
func (w *templater) endpoint(n *NIC, e *Endpoint) cimi.ComponentDescriptor {
	d := descriptor(e.Name, "", "ProtocolEndpoint", nil, 1)
	t := &cimi.ProtocolEndpointTemplate{InitialState: state(n.Disabled), Address: e.Address, Origin: "DYNAMIC", Parameters: e.Parameters}
	if e.Address != "" {
		t.Origin = "STATIC"
	}
	w.mark(&t.Extensions, &t.Properties, n.OVFID)
	d.ProtocolEndpointTemplate = cimi.RefBy(t)
	return d
}

func state(disabled bool) string {
	if disabled {
		return cimi.StateDisabled
	}
	return cimi.StateEnabled
}

// roundUp is n in units, rounded up.
func roundUp(n, unit int64) int64 {
	q := n / unit
	if n%unit > 0 {
		q++
	}
	return q
}

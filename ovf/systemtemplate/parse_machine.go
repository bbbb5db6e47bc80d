package systemtemplate

import (
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

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

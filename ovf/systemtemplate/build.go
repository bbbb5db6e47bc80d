package systemtemplate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// Build makes a descriptor for a System native to CIMI, which has no kept one
// (Annex A read backwards): version 1.1, or 2 where disks are shared, machines
// have a quantity, or opts ask for it. What OVF has no element for goes to
// cimimove:attributes. Shared disks in version 1 are a *RefusedError.
func Build(want *View, opts Options) (*ovf.Envelope, []ovf.Finding, error) {
	version := opts.Version
	if version == "" {
		version = ovf.V1
		if needsV2(want) {
			version = ovf.V2
		}
	}
	ns := ovf.NS1
	if version == ovf.V2 {
		ns = ovf.NS2
	}
	env, err := ovf.Parse([]byte(strings.ReplaceAll(skeleton, "NAMESPACE", ns)))
	if err != nil {
		return nil, nil, err
	}
	opts.Configuration = ""
	e := newEditor(env, &View{Version: version}, opts)
	if err := e.build(want); err != nil {
		return nil, nil, err
	}
	return env, e.findings.list, nil
}

const skeleton = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="NAMESPACE" xmlns:ovf="NAMESPACE" xmlns:rasd="` + ovf.NSRASD + `" xmlns:vssd="` + ovf.NSVSSD + `" xmlns:cimimove="` + ovf.NSCimimove + `">
  <References/>
</Envelope>
`

func needsV2(v *View) bool {
	uses := map[*Disk]int{}
	for _, m := range v.System.AllMachines() {
		if m.Quantity > 1 {
			return true
		}
		for _, a := range m.Attachments {
			if slices.Contains(v.Volumes, a.Volume) {
				uses[a.Volume.Disk]++
			}
		}
	}
	for _, x := range v.Volumes {
		if x.Disk.Shared || uses[x.Disk] > 1 {
			return true
		}
	}
	var quantity func(s *System) bool
	quantity = func(s *System) bool {
		return slices.ContainsFunc(s.Systems(), func(s *System) bool { return s.Quantity > 1 || quantity(s) })
	}
	return quantity(v.System)
}

func (e *editor) build(want *View) error {
	s := want.System
	if len(s.Children) == 0 {
		return refuse("system "+s.Name, "DSP0243 7.2", "has no machines: a package needs content")
	}
	if err := e.expand(want); err != nil {
		return err
	}
	if err := e.networks(want); err != nil {
		return err
	}
	if err := e.topVolumes(want); err != nil {
		return err
	}
	root := e.env.Tree().Root()
	only := s.Children[0].Machine
	if len(s.Children) == 1 && only != nil && only.Quantity <= 1 {
		n, err := e.virtualSystem(root, only)
		if err != nil {
			return err
		}
		a := Attributes{Description: s.Description, Properties: s.Attributes.Properties}
		if s.Name != only.Name {
			a.Name = s.Name
		}
		if attributesEmpty(a) {
			return nil
		}
		return e.setAttributes(n, "machine "+only.Name, func(all *Attributes) { all.System = &a })
	}
	return e.collection(root, s)
}

// addSystem appends a collection to one.
func (e *editor) addSystem(c ovf.Content, s *System) error {
	if err := e.collection(c.Node(), s); err != nil {
		return err
	}
	return e.placed(c, s.Startup, s.Quantity)
}

func (e *editor) addMachine(c ovf.Content, m *Machine) error {
	if _, err := e.virtualSystem(c.Node(), m); err != nil {
		return err
	}
	return e.placed(c, m.Startup, m.Quantity)
}

// placed writes what the collection says about its newest child.
func (e *editor) placed(c ovf.Content, s *Startup, quantity int) error {
	children := c.Children()
	id := children[len(children)-1].ID
	if quantity > 1 {
		e.insertSection(c.Node(), e.scaleOut(id, quantity))
	}
	return e.startup(c, id, nil, s)
}

func (e *editor) collection(parent *xmltree.Node, s *System) error {
	id := e.newID(or(s.OVFID, s.Name))
	f := xmltree.Fragment{Name: e.name("VirtualSystemCollection"), Attrs: e.attrs("id", id),
		Children: []xmltree.Fragment{e.text("Info", "A collection of virtual systems"), e.text("Name", s.Name)}}
	if s.Name == id {
		f.Children = f.Children[:1]
	}
	if s.Description != "" {
		f.Children = append(f.Children, e.annotation(s.Description))
	}
	if len(s.Properties) > 0 {
		f.Children = append(f.Children, e.productSection(s.Properties))
	}
	n, err := parent.Append(f)
	if err != nil {
		return err
	}
	if err := e.attributes(n, Attributes{Properties: s.Attributes.Properties}); err != nil {
		return err
	}
	c, _ := e.env.ByID(id)
	for _, k := range s.Children {
		if k.Machine != nil {
			err = e.addMachine(c, k.Machine)
		} else {
			err = e.addSystem(c, k.System)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// virtualSystem appends a VirtualSystem.
func (e *editor) virtualSystem(parent *xmltree.Node, m *Machine) (*xmltree.Node, error) {
	id := e.newID(or(m.OVFID, m.Name))
	f := xmltree.Fragment{Name: e.name("VirtualSystem"), Attrs: e.attrs("id", id),
		Children: []xmltree.Fragment{e.text("Info", "A virtual machine")}}
	if m.Name != id {
		f.Children = append(f.Children, e.text("Name", m.Name))
	}
	if m.Description != "" {
		f.Children = append(f.Children, e.annotation(m.Description))
	}
	props := slices.Clone(m.Properties)
	if m.UserData != "" {
		props = append(props, Property{Key: userDataKey, Value: m.UserData})
	}
	if len(props) > 0 {
		f.Children = append(f.Children, e.productSection(props))
	}
	h, err := e.hardware(m)
	if err != nil {
		return nil, err
	}
	f.Children = append(f.Children, h)
	n, err := parent.Append(f)
	if err != nil {
		return nil, err
	}
	return n, e.attributes(n, Attributes{Properties: m.Attributes.Properties, CPUArch: m.CPUArch, CPUSpeed: m.CPUSpeed})
}

// hardware makes a VirtualHardwareSection, the boot disk first.
func (e *editor) hardware(m *Machine) (xmltree.Fragment, error) {
	f := xmltree.Fragment{Name: e.name("VirtualHardwareSection"), Children: []xmltree.Fragment{e.text("Info", "Virtual hardware")}}
	if m.UserData != "" || len(m.Properties) > 0 {
		f.Attrs = e.attrs("transport", "iso")
	}
	next := 0
	add := func(fields []field, a Attributes, attrs ...string) (string, error) {
		next++
		id := strconv.Itoa(next)
		it := e.item(ovf.NSRASD, append(fields, field{"InstanceID", id}))
		it.Attrs = e.attrs(attrs...)
		if !attributesEmpty(a) {
			b, err := marshal(a)
			if err != nil {
				return "", err
			}
			it.Attrs = append(it.Attrs, xmltree.FragmentAttr{Name: xmltree.Name{Space: ovf.NSCimimove, Local: "attributes"}, Hint: "cimimove", Value: b})
			e.findings.add(AttributeOnly, "machine "+m.Name, "")
		}
		f.Children = append(f.Children, it)
		return id, nil
	}
	bound := func(g *Range, fields func(int64) []field, instance string) {
		if g == nil {
			return
		}
		for _, b := range []struct {
			name string
			v    *int64
		}{{"min", g.Min}, {"max", g.Max}} {
			if b.v == nil {
				continue
			}
			it := e.item(ovf.NSRASD, append(fields(*b.v), field{"InstanceID", instance}))
			it.Attrs = e.attrs("bound", b.name)
			f.Children = append(f.Children, it)
		}
	}
	id, err := add(processor(max(m.CPUs, 1)), Attributes{})
	if err != nil {
		return f, err
	}
	bound(m.CPURange, func(v int64) []field { return processor(int(v)) }, id)
	if m.MemoryBytes > 0 {
		if id, err = add(memory(m.MemoryBytes), Attributes{}); err != nil {
			return f, err
		}
		bound(m.MemoryRange, memory, id)
	}
	if err := e.drives(m, add); err != nil {
		return f, err
	}
	for _, n := range m.NICs {
		fields, a := e.card(m, n)
		if _, err := add(fields, a); err != nil {
			return f, err
		}
	}
	return f, nil
}

// drives puts the disks on controllers, bootable ones first.
func (e *editor) drives(m *Machine, add func([]field, Attributes, ...string) (string, error)) error {
	all := slices.Clone(m.Attachments)
	slices.SortStableFunc(all, func(a, b *Attachment) int { return less(a.Volume.Bootable, b.Volume.Bootable) })
	type place struct {
		id    string
		taken map[int]bool
	}
	places := map[string]*place{}
	controllers := map[string]int{}
	for _, a := range all {
		bus := or(a.Controller, or(e.opts.Controller, "scsi"))
		if busUnits(bus) == 0 {
			bus = "scsi"
		}
		p := places[bus]
		unit := -1
		if p != nil {
			unit = freeUnit(bus, p.taken)
		}
		if unit < 0 {
			id, err := add(controller(bus, controllers[bus]), Attributes{})
			if err != nil {
				return err
			}
			controllers[bus]++
			p = &place{id, map[int]bool{}}
			places[bus] = p
			unit = 0
		}
		p.taken[unit] = true
		disk, err := e.disk(a.Volume)
		if err != nil {
			return err
		}
		if a.InitialLocation != "" {
			e.findings.add(DiskLocation, "machine "+m.Name, "%s", a.InitialLocation)
		}
		if _, err := add(drive(disk, p.id, unit), e.itemAttributes(a, disk)); err != nil {
			return err
		}
	}
	return nil
}

func less(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

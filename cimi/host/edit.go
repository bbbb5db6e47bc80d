package host

import (
	"fmt"
	"strconv"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// edit changes env, a copy of the kept descriptor, only where s differs from
// the view of it (mapping.md, "Keeping the original").
func edit(env *ovf.Envelope, s *System, systemTypes []string, finding func(ovf.Finding)) error {
	values := propertyValues(s.Properties)
	view, err := View(env, ViewOptions{Configuration: s.Configuration, SystemTypes: systemTypes, Properties: values})
	if err != nil {
		return fmt.Errorf("the kept descriptor: %w", err)
	}
	e := &editor{env: env, cfg: view.Configuration, systemTypes: systemTypes}
	top, _ := env.Content()
	if err := e.networks(s, view); err != nil {
		return err
	}
	if err := e.system(top, s, view); err != nil {
		return err
	}
	return e.properties(s.Properties, finding)
}

type editor struct {
	env         *ovf.Envelope
	cfg         string
	systemTypes []string
}

func (e *editor) system(c ovf.Content, s, view *System) error {
	if c.Collection {
		if s.Name != view.Name {
			if err := e.setName(c, s.Name); err != nil {
				return err
			}
		}
		if s.Description != view.Description {
			if err := e.setAnnotation(c, s.Description); err != nil {
				return err
			}
		}
	}
	if len(s.Machines) != len(view.Machines) || len(s.Systems) != len(view.Systems) {
		return fmt.Errorf("system %s has %d machines and %d systems, its descriptor %d and %d: %w", s.Name,
			len(s.Machines), len(s.Systems), len(view.Machines), len(view.Systems), ErrUnsupported)
	}
	for i, m := range s.Machines {
		if err := e.machine(m, view.Machines[i]); err != nil {
			return fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	for i, k := range s.Systems {
		kc, ok := e.env.ByID(k.OVFID)
		if !ok {
			return fmt.Errorf("the kept descriptor has no collection %q", k.OVFID)
		}
		if err := e.system(kc, k, view.Systems[i]); err != nil {
			return err
		}
	}
	if !c.Collection && len(s.Machines) == 1 && s.Name != s.Machines[0].Name {
		return setSystemName(c, s.Name)
	}
	return nil
}

func (e *editor) machine(m, view *Machine) error {
	if m.Instance > 0 {
		// One element serves all instances; the first one's edits are theirs.
		return nil
	}
	c, ok := e.env.ByID(m.OVFID)
	if !ok {
		return fmt.Errorf("the kept descriptor has no VirtualSystem %q", m.OVFID)
	}
	if m.Name != view.Name {
		if err := e.setName(c, m.Name); err != nil {
			return err
		}
	}
	if m.Description != view.Description {
		if err := e.setAnnotation(c, m.Description); err != nil {
			return err
		}
	}
	if m.StartOrder != view.StartOrder {
		if err := e.setStartOrder(c, m.StartOrder); err != nil {
			return err
		}
	}
	hw, ok := c.HardwareFor((&viewer{opts: ViewOptions{SystemTypes: e.systemTypes}}).supported())
	if !ok {
		if m.CPUs != view.CPUs || m.MemoryBytes != view.MemoryBytes {
			return fmt.Errorf("the kept descriptor has no hardware to change: %w", ErrUnsupported)
		}
		return nil
	}
	if m.CPUs != view.CPUs {
		if err := e.setCPUs(hw, m.CPUs); err != nil {
			return err
		}
	}
	if m.MemoryBytes != view.MemoryBytes {
		if err := e.setMemory(hw, m.MemoryBytes); err != nil {
			return err
		}
	}
	for i, nic := range m.NICs {
		old := view.NICs[i]
		if nic.MAC != old.MAC {
			if err := e.setField(hw, nic.OVFID, "Address", nic.MAC); err != nil {
				return err
			}
		}
		if nic.Disabled != old.Disabled {
			if err := e.setField(hw, nic.OVFID, "AutomaticAllocation", strconv.FormatBool(!nic.Disabled)); err != nil {
				return err
			}
		}
	}
	return nil
}

// networks renames: the declaration and every Connection.
func (e *editor) networks(s, view *System) error {
	was := map[string]string{}
	for n := range view.AllNetworks() {
		was[n.OVFID] = n.Name
	}
	rename := map[string]string{}
	for n := range s.AllNetworks() {
		if old, ok := was[n.OVFID]; ok && old != n.Name {
			rename[n.OVFID] = n.Name
		}
	}
	for n := range s.AllNetworks() {
		decl, ok := e.env.Network(n.OVFID)
		if !ok {
			continue
		}
		if n.Description != decl.Description {
			if err := e.setChildText(decl.Element, "Description", n.Description); err != nil {
				return err
			}
		}
	}
	if len(rename) == 0 {
		return nil
	}
	for _, decl := range e.env.Networks() {
		if name, ok := rename[decl.Name]; ok {
			decl.Node().SetAttr(e.env.Namespace(), "name", name, "ovf")
		}
	}
	for _, c := range e.env.VirtualSystems() {
		for _, hw := range c.Hardware() {
			for _, it := range hw.Items() {
				if n := it.FieldNode("Connection"); n != nil {
					if name, ok := rename[it.Field("Connection")]; ok {
						n.SetText(name)
					}
				}
			}
		}
	}
	return nil
}

func (e *editor) properties(values map[string]string, finding func(ovf.Finding)) error {
	for key, v := range values {
		p, ok := property(e.env, key)
		if !ok {
			continue
		}
		if p.Password {
			finding(ovf.Finding{ID: "MAP-PROP-002", Severity: ovf.Warning, Object: "property " + key, Message: "a password is not exported", Clause: "DSP0243 9.5"})
			continue
		}
		if p.ValueIn(e.cfg) == v {
			continue
		}
		set := false
		for _, alt := range p.Values {
			if alt.Configuration == e.cfg && e.cfg != "" {
				alt.Node().SetAttr(e.env.Namespace(), "value", v, "ovf")
				set = true
			}
		}
		if !set {
			p.Node().SetAttr(e.env.Namespace(), "value", v, "ovf")
		}
	}
	return nil
}

// setName sets Name, which stands behind Info (DSP0243 7.2).
func (e *editor) setName(c ovf.Content, name string) error {
	return e.setChildText(c.Element, "Name", name)
}

// setChildText sets the text of an OVF child element, made behind Info when absent.
func (e *editor) setChildText(x ovf.Element, local, text string) error {
	var info *xmltree.Node
	for n := range x.Node().Children() {
		switch n.Name().Local {
		case local:
			n.SetText(text)
			return nil
		case "Info":
			info = n
		}
	}
	_, err := x.Node().Insert(xmltree.Fragment{Name: xmltree.Name{Space: e.env.Namespace(), Local: local}, Hint: "ovf", Text: text}, info, true)
	return err
}

func (e *editor) setAnnotation(c ovf.Content, text string) error {
	for _, s := range c.Sections() {
		if s.Kind == "AnnotationSection" {
			return e.setChildText(s.Element, "Annotation", text)
		}
	}
	space := e.env.Namespace()
	_, err := c.Node().Append(xmltree.Fragment{Name: xmltree.Name{Space: space, Local: "AnnotationSection"}, Hint: "ovf", Children: []xmltree.Fragment{
		{Name: xmltree.Name{Space: space, Local: "Info"}, Hint: "ovf", Text: "Description of the virtual system"},
		{Name: xmltree.Name{Space: space, Local: "Annotation"}, Hint: "ovf", Text: text},
	}})
	return err
}

func (e *editor) setStartOrder(c ovf.Content, order int) error {
	parent, ok := c.Parent()
	if !ok {
		return fmt.Errorf("a start order outside of a collection: %w", ErrUnsupported)
	}
	for _, it := range parent.Startup() {
		if it.ID == c.ID {
			it.Node().SetAttr(e.env.Namespace(), "order", strconv.Itoa(order), "ovf")
			return nil
		}
	}
	return fmt.Errorf("a start order without a StartupSection that names it: %w", ErrUnsupported)
}

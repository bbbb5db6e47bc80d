package systemtemplate

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// editor changes a descriptor until its View is the one that is wanted.
type editor struct {
	env      *ovf.Envelope
	base     *View
	opts     Options
	config   string
	ns       string
	findings findings

	machines map[string][]*Machine // of base, by OVFID; sloppy packages use an id twice
	systems  map[string][]*System
	nets     map[string]*Network
	disks    map[string]*Disk
	parent   map[any]*System
	matched  map[any]bool
	netName  map[*Network]string // ovf:name that a wanted or former network has in the end
	diskID   map[*Disk]string    // diskId that a wanted disk has in the end
	sized    map[*Disk]int64     // capacity in kilobytes that a disk was given
	ids      map[string]bool     // ovf:id of all content
	diskIDs  map[string]bool
	fileIDs  map[string]bool
}

func newEditor(env *ovf.Envelope, base *View, opts Options) *editor {
	e := &editor{env: env, base: base, opts: opts, config: base.Configuration, ns: env.Namespace(),
		machines: map[string][]*Machine{}, systems: map[string][]*System{}, nets: map[string]*Network{}, disks: map[string]*Disk{},
		parent: map[any]*System{}, matched: map[any]bool{}, netName: map[*Network]string{}, diskID: map[*Disk]string{},
		sized: map[*Disk]int64{}, ids: map[string]bool{}, diskIDs: map[string]bool{}, fileIDs: map[string]bool{}}
	for _, n := range base.Networks {
		e.nets[n.OVFID], e.netName[n] = n, n.OVFID
	}
	for _, d := range base.Disks {
		e.disks[d.OVFID] = d
		e.diskIDs[d.OVFID] = true
	}
	for _, f := range env.Files() {
		e.fileIDs[f.ID] = true
	}
	for c := range env.Contents() {
		e.ids[c.ID] = true
	}
	if base.System != nil {
		e.index(base.System)
	}
	return e
}

func (e *editor) index(s *System) {
	if !e.base.Single || s != e.base.System {
		e.systems[s.OVFID] = append(e.systems[s.OVFID], s)
	}
	for _, c := range s.Children {
		if c.System != nil {
			e.parent[c.System] = s
			e.index(c.System)
			continue
		}
		e.parent[c.Machine] = s
		e.machines[c.Machine.OVFID] = append(e.machines[c.Machine.OVFID], c.Machine)
	}
}

func (e *editor) rewrite(want *View) error {
	if len(want.System.Children) == 0 && e.base.Single {
		return refuse("system "+want.System.Name, "DSP0243 7.2", "has no machines: a package needs content")
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
	if err := e.content(want); err != nil {
		return err
	}
	e.sweep(want)
	return nil
}

// content edits the outermost System. A second machine wraps a single
// VirtualSystem in a collection.
func (e *editor) content(want *View) error {
	s := want.System
	if !e.base.Single {
		return e.system(e.base.System, s, nil)
	}
	b := e.base.System.Children[0].Machine
	if only := s.Children[0].Machine; len(s.Children) == 1 && only != nil && (e.formerMachine(only) == b || only.Quantity > 1 && e.env.Version() != ovf.V2) {
		if only.Quantity == b.Quantity {
			if err := e.machine(b, only, nil); err != nil {
				return err
			}
			return e.loneSystem(b, s, only)
		}
	}
	id := e.newID(s.Name)
	outer, err := b.Content.Node().Wrap(xmltree.Fragment{Name: e.name("VirtualSystemCollection"), Attrs: e.attrs("id", id),
		Children: []xmltree.Fragment{e.text("Info", "A collection of virtual systems"), e.text("Name", s.Name)}})
	if err != nil {
		return err
	}
	content, _ := e.env.ByID(id)
	if content.Node() != outer {
		return fmt.Errorf("descriptor: the collection %s that was put around %s is not there", id, b.OVFID)
	}
	base := &System{Name: s.Name, OVFID: id, Quantity: 1, Children: e.base.System.Children, Content: content}
	e.parent[b] = base
	return e.system(base, s, nil)
}

// loneSystem: name and more of the System around a lone machine stand in
// cimimove:attributes of the VirtualSystem.
func (e *editor) loneSystem(b *Machine, s *System, m *Machine) error {
	old := e.base.System
	if s.Name == old.Name && m.Name == b.Name && s.Description == old.Description && maps.Equal(s.Attributes.Properties, old.Attributes.Properties) {
		return nil
	}
	a := Attributes{Description: s.Description, Properties: s.Attributes.Properties}
	if s.Name != m.Name {
		a.Name = s.Name
	}
	return e.setAttributes(b.Content.Node(), "machine "+m.Name, func(all *Attributes) {
		all.System = &a
		if a.Name == "" && a.Description == "" && len(a.Properties) == 0 {
			all.System = nil
		}
	})
}

// system edits a collection and what is in it.
func (e *editor) system(b, w *System, parent *System) error {
	object := "system " + w.Name
	e.matched[b] = true
	n := b.Content.Node()
	if w.Name != b.Name {
		e.setName(n, w.Name)
	}
	if w.Description != b.Description {
		e.setAnnotation(b.Content, w.Description)
	}
	if !maps.Equal(w.Attributes.Properties, b.Attributes.Properties) {
		if err := e.setAttributes(n, object, func(a *Attributes) { a.Properties = w.Attributes.Properties }); err != nil {
			return err
		}
	}
	if err := e.properties(b.Content, b.Properties, w.Properties, object); err != nil {
		return err
	}
	if parent != nil {
		if err := e.startup(parent.Content, b.OVFID, b.Startup, w.Startup); err != nil {
			return err
		}
		if err := e.quantity(parent.Content, b.OVFID, b.Quantity, w.Quantity, object); err != nil {
			return err
		}
	}
	for _, c := range w.Children {
		var err error
		if c.System != nil {
			err = e.childSystem(b, c.System)
		} else {
			err = e.childMachine(b, c.Machine)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range b.Children {
		if c.Machine != nil && !e.matched[c.Machine] {
			e.removeContent(b.Content, c.Machine.Content)
		}
		if c.System != nil && !e.matched[c.System] {
			e.removeContent(b.Content, c.System.Content)
		}
	}
	return nil
}

func (e *editor) childSystem(b, w *System) error {
	old := e.formerSystem(w)
	switch {
	case old == nil:
		return e.addSystem(b.Content, w)
	case e.parent[old] != b:
		return refuse("system "+w.Name, "", "a System cannot move into another one; it was in %s", e.parent[old].Name)
	}
	return e.system(old, w, b)
}

func (e *editor) childMachine(b *System, w *Machine) error {
	old := e.formerMachine(w)
	switch {
	case old == nil:
		return e.addMachine(b.Content, w)
	case e.parent[old] != b:
		return refuse("machine "+w.Name, "", "a Machine cannot move into another System; it was in %s", e.parent[old].Name)
	}
	return e.machine(old, w, b)
}

// formerMachine is the machine of the kept descriptor that w is; nil for a new one.
func (e *editor) formerMachine(w *Machine) *Machine {
	for _, m := range e.machines[w.OVFID] {
		if !e.matched[m] {
			return m
		}
	}
	return nil
}

func (e *editor) formerSystem(w *System) *System {
	for _, s := range e.systems[w.OVFID] {
		if !e.matched[s] && s != e.base.System {
			return s
		}
	}
	return nil
}

// maxCopies bounds the VirtualSystems that stand for a quantity.
const maxCopies = 1000

// expand replaces a quantity by machines where the version has no ScaleOut.
func (e *editor) expand(v *View) error {
	if e.env.Version() == ovf.V2 {
		return nil
	}
	copies := 0
	var walk func(s *System) error
	walk = func(s *System) error {
		var out []Child
		for _, c := range s.Children {
			if c.System != nil {
				if old := e.formerSystem(c.System); c.System.Quantity > 1 && (old == nil || old.Quantity == 1) {
					return refuse("system "+c.System.Name, "DSP0263 5.13.4", "a quantity of Systems needs OVF 2")
				}
				if err := walk(c.System); err != nil {
					return err
				}
			}
			out = append(out, c)
			m := c.Machine
			if m == nil || m.Quantity <= 1 {
				continue
			}
			// Some producers put ScaleOutSection into version 1.
			if old := e.formerMachine(m); old != nil && old.Quantity > 1 {
				continue
			}
			if copies += m.Quantity; copies > maxCopies {
				return refuse("machine "+m.Name, "DSP0263 5.13.4", "more than %d instances need OVF 2", maxCopies)
			}
			for i := 2; i <= m.Quantity; i++ {
				x := *m
				x.Name, x.OVFID, x.Quantity = m.Name+strconv.Itoa(i), "", 1
				x.Attachments, x.NICs = nil, nil
				for _, a := range m.Attachments {
					a := *a
					a.OVFID = ""
					x.Attachments = append(x.Attachments, &a)
				}
				for _, n := range m.NICs {
					n := *n
					if n.OVFID = ""; n.MAC != "" {
						e.findings.add(MACUnmapped, "machine "+x.Name, "%s stays with %s1", n.MAC, m.Name)
						n.MAC = ""
					}
					x.NICs = append(x.NICs, &n)
				}
				out = append(out, Child{Machine: &x})
			}
			m.Name += "1"
			m.Quantity = 1
		}
		s.Children = out
		return nil
	}
	return walk(v.System)
}

// setAttributes edits cimimove:attributes of an element.
func (e *editor) setAttributes(n *xmltree.Node, object string, edit func(*Attributes)) error {
	a := attributesOf(n)
	edit(&a)
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if string(b) == "{}" {
		n.RemoveAttr(ovf.NSCimimove, "attributes")
		return nil
	}
	n.SetAttr(ovf.NSCimimove, "attributes", string(b), "cimimove")
	e.findings.add(AttributeOnly, object, "")
	return nil
}

func (e *editor) newID(name string) string { return uniqueID(e.ids, name) }

func uniqueID(taken map[string]bool, name string) string {
	id := name
	for i := 2; id == "" || taken[id]; i++ {
		id = fmt.Sprintf("%s-%d", or(name, "id"), i)
	}
	taken[id] = true
	return id
}

// name, attrs and text make fragments in the descriptor's namespace.
func (e *editor) name(local string) xmltree.Name { return xmltree.Name{Space: e.ns, Local: local} }

func (e *editor) attrs(kv ...string) []xmltree.FragmentAttr {
	var out []xmltree.FragmentAttr
	for i := 0; i+1 < len(kv); i += 2 {
		out = append(out, xmltree.FragmentAttr{Name: e.name(kv[i]), Hint: "ovf", Value: kv[i+1]})
	}
	return out
}

func (e *editor) text(local, s string) xmltree.Fragment {
	return xmltree.Fragment{Name: e.name(local), Text: s}
}

// setAttr sets an attribute in the namespace in which the element has it.
func (e *editor) setAttr(n *xmltree.Node, local, value string) {
	space := e.ns
	if _, ok := n.Attr(e.ns, local); !ok {
		if _, bare := n.Attr("", local); bare {
			space = ""
		}
	}
	n.SetAttr(space, local, value, "ovf")
}

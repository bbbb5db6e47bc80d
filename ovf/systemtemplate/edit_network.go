package systemtemplate

import (
	"maps"
	"slices"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// networks edits NetworkSection. A new name goes to every Connection of the
// package, whatever its configuration.
func (e *editor) networks(want *View) error {
	matched := map[*Network]bool{}
	rename := map[string]string{}
	taken := map[string]bool{}
	for _, n := range e.base.Networks {
		taken[n.OVFID] = true
	}
	for _, w := range want.Networks {
		b := e.nets[w.OVFID]
		if b == nil || matched[b] {
			name := uniqueID(taken, w.Name)
			e.netName[w] = name
			if err := e.addNetwork(w, name); err != nil {
				return err
			}
			continue
		}
		matched[b] = true
		e.netName[w] = b.OVFID
		if w.Name != b.Name {
			rename[b.OVFID] = w.Name
			e.netName[w], e.netName[b] = w.Name, w.Name
		}
		n := b.Element.Node()
		if n == nil {
			// NetworkSection does not list it; it does once there is more to say.
			if w.Description != "" || len(w.Attributes.Properties)+len(w.Attributes.Parameters) > 0 {
				if err := e.addNetwork(w, e.netName[w]); err != nil {
					return err
				}
			}
			continue
		}
		if w.Name != b.Name {
			e.setAttr(n, "name", w.Name)
		}
		if w.Description != b.Description {
			e.setDescription(n, w.Description)
		}
		renamed := w.Name != b.Name && b.Attributes.Name != ""
		if renamed || !maps.Equal(w.Attributes.Properties, b.Attributes.Properties) || !maps.Equal(w.Attributes.Parameters, b.Attributes.Parameters) {
			err := e.setAttributes(n, "network "+w.Name, func(a *Attributes) {
				a.Properties, a.Parameters = w.Attributes.Properties, w.Attributes.Parameters
				if renamed {
					a.Name = ""
				}
			})
			if err != nil {
				return err
			}
		}
	}
	if len(rename) > 0 {
		e.eachConnection(func(n *xmltree.Node, name string) {
			if to, ok := rename[name]; ok {
				n.SetText(to)
			}
		})
	}
	for _, b := range e.base.Networks {
		if !matched[b] {
			delete(e.netName, b)
		}
	}
	return nil
}

func (e *editor) eachConnection(f func(n *xmltree.Node, name string)) {
	for _, c := range e.env.VirtualSystems() {
		for _, h := range c.Hardware() {
			for _, it := range h.Items() {
				for n := range it.Node().Children() {
					if n.Name().Local == "Connection" {
						f(n, trimText(n))
					}
				}
			}
		}
	}
}

func (e *editor) setDescription(n *xmltree.Node, text string) {
	for c := range n.Children() {
		if c.Name().Local == "Description" {
			if text == "" {
				c.Remove()
				return
			}
			c.RemoveAttr(e.ns, "msgid")
			c.SetText(text)
			return
		}
	}
	if text != "" {
		_, _ = n.Insert(e.text("Description", text), nil, true)
	}
}

func (e *editor) addNetwork(w *Network, name string) error {
	f := xmltree.Fragment{Name: e.name("Network"), Attrs: e.attrs("name", name)}
	if w.Description != "" {
		f.Children = append(f.Children, e.text("Description", w.Description))
	}
	n, err := e.section("NetworkSection", "Logical networks of the package").Append(f)
	if err != nil {
		return err
	}
	a := Attributes{Properties: w.Attributes.Properties, Parameters: w.Attributes.Parameters}
	if name != w.Name {
		a.Name = w.Name
	}
	return e.attributes(n, a)
}

// nics edits the network cards of a machine.
func (e *editor) nics(b, w *Machine) error {
	pairs := map[*NIC]*NIC{}
	used := map[*NIC]bool{}
	for _, y := range w.NICs {
		for _, x := range b.NICs {
			// Cards without InstanceID are told apart by their order.
			if !used[x] && x.OVFID == y.OVFID {
				pairs[y], used[x] = x, true
				break
			}
		}
	}
	for _, x := range b.NICs {
		if !used[x] {
			e.removeItem(b.Hardware, x.Item)
		}
	}
	for _, y := range w.NICs {
		if x := pairs[y]; x != nil {
			if err := e.nic(b, x, y); err != nil {
				return err
			}
			continue
		}
		fields, attrs := e.card(w, y)
		if _, err := e.addItem(b.Hardware, fields, attrs); err != nil {
			return err
		}
	}
	return nil
}

func (e *editor) nic(b *Machine, x, y *NIC) error {
	// A template shows no address of a card without endpoint.
	if y.MAC != x.MAC && (y.MAC != "" || len(y.Endpoints) > 0) {
		name := "Address"
		if x.Item.FieldNode("MACAddress") != nil {
			name = "MACAddress" // oVirt, where Address is that of the bus
		}
		if err := e.setField(b.Hardware, x.Item, name, some(y.MAC)...); err != nil {
			return err
		}
	}
	if y.Disabled != x.Disabled {
		value := "true"
		if y.Disabled {
			value = "false"
		}
		if err := e.setField(b.Hardware, x.Item, "AutomaticAllocation", value); err != nil {
			return err
		}
	}
	if have, want := e.connections(x), e.connections(y); !slices.Equal(have, want) {
		if err := e.setField(b.Hardware, x.Item, "Connection", want...); err != nil {
			return err
		}
	}
	if len(x.Endpoints) == 0 || len(y.Endpoints) == 0 {
		return nil
	}
	p, q := x.Endpoints[0], y.Endpoints[0]
	if p.Name == q.Name && maps.Equal(p.Parameters, q.Parameters) {
		return nil
	}
	return e.setAttributes(x.Item.Node(), "endpoint "+q.Name, func(a *Attributes) {
		if p.Name != q.Name {
			a.Name = q.Name
		}
		a.Parameters = q.Parameters
	})
}

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// connections are the names of a card's networks as they are in the end.
func (e *editor) connections(n *NIC) []string {
	var out []string
	for _, p := range n.Endpoints {
		if name, ok := e.netName[p.Network]; ok && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// card makes the Item of a network card.
func (e *editor) card(m *Machine, n *NIC) ([]field, Attributes) {
	fields := []field{{"ElementName", "network card"}, {"ResourceType", "10"}}
	if n.MAC != "" {
		fields = append(fields, field{"Address", n.MAC})
	}
	if n.Type != "" {
		fields = append(fields, field{"ResourceSubType", n.Type})
	}
	allocation := "true"
	if n.Disabled {
		allocation = "false"
	}
	fields = append(fields, field{"AutomaticAllocation", allocation})
	for _, c := range e.connections(n) {
		fields = append(fields, field{"Connection", c})
	}
	var a Attributes
	if len(n.Endpoints) > 0 {
		a.Parameters = n.Endpoints[0].Parameters
		i := 1
		for _, x := range m.NICs[:slices.Index(m.NICs, n)] {
			i += len(x.Endpoints)
		}
		if p := n.Endpoints[0]; p.Name != endpointName(p.Network, m, i) {
			a.Name = p.Name
		}
	}
	return fields, a
}

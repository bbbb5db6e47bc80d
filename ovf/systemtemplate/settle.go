package systemtemplate

import "slices"

// settle keeps the names that an edit elsewhere would change: a name that was
// made unique (web-2) is written down where the edit set the plain one free.
func (e *editor) settle(want *View) error {
	if !e.env.Edited() {
		return nil
	}
	// A name that is written down can set another one free.
	for range 3 {
		now, _, err := Read(e.env, e.opts)
		if err != nil {
			return err
		}
		s := settler{editor: e}
		s.systems(now.System, want.System)
		if err := s.attachments(now, want); err != nil {
			return err
		}
		if err := s.components(now, want); err != nil {
			return err
		}
		if !s.wrote {
			break
		}
	}
	return nil
}

// settler compares the names that the edited descriptor gives with the wanted
// ones, once.
type settler struct {
	*editor
	wrote bool
}

func (s *settler) systems(now, want *System) {
	for _, x := range now.Children {
		i := slices.IndexFunc(want.Children, func(y Child) bool { return y.sameAs(x) })
		if i < 0 {
			continue
		}
		switch y := want.Children[i]; {
		case x.Machine == nil:
			if x.System.Name != y.System.Name {
				s.setName(x.System.Content.Node(), y.System.Name)
				s.wrote = true
			}
			s.systems(x.System, y.System)
		case x.Machine.Name != y.Machine.Name:
			s.setName(x.Machine.Content.Node(), y.Machine.Name)
			s.wrote = true
		}
	}
}

// attachments are the Volumes of machines.
func (s *settler) attachments(now, want *View) error {
	machines := map[string]*Machine{}
	for _, m := range want.System.AllMachines() {
		machines[m.OVFID] = m
	}
	for _, m := range now.System.AllMachines() {
		w := machines[m.OVFID]
		if w == nil || m.OVFID == "" {
			continue
		}
		for _, a := range m.Attachments {
			i := slices.IndexFunc(w.Attachments, func(b *Attachment) bool { return b.OVFID == a.OVFID })
			if i < 0 || a.OVFID == "" || a.Volume.Disk.Shared || w.Attachments[i].Volume.Name == "" || w.Attachments[i].Volume.Name == a.Volume.Name {
				continue
			}
			name := w.Attachments[i].Volume.Name
			s.wrote = true
			if err := s.setAttributes(a.Item.Node(), "volume "+name, func(x *Attributes) { x.Name = name }); err != nil {
				return err
			}
		}
	}
	return nil
}

// components are the Networks, and the Volumes that no one machine has.
func (s *settler) components(now, want *View) error {
	networks := map[string]string{}
	for _, n := range want.Networks {
		networks[s.netName[n]] = n.Name
	}
	for _, n := range now.Networks {
		name := networks[n.OVFID]
		if name == "" || name == n.Name {
			continue
		}
		s.wrote = true
		if n.Element.Node() == nil {
			// NetworkSection does not list it.
			if err := s.addNetwork(&Network{Name: name}, n.OVFID); err != nil {
				return err
			}
			continue
		}
		if err := s.setAttributes(n.Element.Node(), "network "+name, func(a *Attributes) { a.Name = name }); err != nil {
			return err
		}
	}
	volumes := map[string]string{}
	for _, v := range want.Volumes {
		id, made := s.diskID[v.Disk]
		if !made {
			id = v.Disk.OVFID
		}
		volumes[id] = v.Name
	}
	for _, v := range now.Volumes {
		name := volumes[v.Disk.OVFID]
		if name == "" || name == v.Name {
			continue
		}
		s.wrote = true
		if err := s.setAttributes(v.Disk.Element.Node(), "volume "+name, func(a *Attributes) { a.Name = name }); err != nil {
			return err
		}
	}
	return nil
}

// sameAs says whether both are of one element of the descriptor.
func (c Child) sameAs(d Child) bool {
	switch {
	case c.Machine != nil && d.Machine != nil:
		return c.Machine.OVFID != "" && c.Machine.OVFID == d.Machine.OVFID
	case c.System != nil && d.System != nil:
		return c.System.OVFID != "" && c.System.OVFID == d.System.OVFID
	}
	return false
}

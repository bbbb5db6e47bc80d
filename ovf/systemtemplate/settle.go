package systemtemplate

import "slices"

// settle keeps the names that an edit elsewhere would change: a name that was
// made unique (web-2) is written down where the edit set the plain one free.
func (e *editor) settle(want *View) error {
	if !e.env.Edited() {
		return nil
	}
	now, _, err := Read(e.env, e.opts)
	if err != nil {
		return err
	}
	var names func(a, b *System)
	names = func(a, b *System) {
		for _, x := range a.Children {
			i := slices.IndexFunc(b.Children, func(y Child) bool { return y.sameAs(x) })
			if i < 0 {
				continue
			}
			switch y := b.Children[i]; {
			case x.Machine == nil:
				if x.System.Name != y.System.Name {
					e.setName(x.System.Content.Node(), y.System.Name)
				}
				names(x.System, y.System)
			case x.Machine.Name != y.Machine.Name:
				e.setName(x.Machine.Content.Node(), y.Machine.Name)
			}
		}
	}
	names(now.System, want.System)
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
			err := e.setAttributes(a.Item.Node(), "volume "+a.Volume.Name, func(x *Attributes) { x.Name = w.Attachments[i].Volume.Name })
			if err != nil {
				return err
			}
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

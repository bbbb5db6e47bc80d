package provider

import (
	"context"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi/host"
)

// removeHeld removes a resource from the host and gives the ids of all that
// went with it.
func (p *Provider) removeHeld(ctx context.Context, s subject) ([]string, error) {
	ids := idsOf(s.held)
	alone := s.in.Holder != "" && s.kind != "interfaces" && s.kind != "disks" || s.kind == "systems" && s.parent == nil
	if alone {
		if err := p.detachAll(ctx, s.held); err != nil {
			return nil, err
		}
		if err := p.host.Delete(ctx, s.root.ID); err != nil {
			return nil, err
		}
		return ids, p.exports.removeOf(ctx, s.root.ID)
	}
	if err := p.detachAll(ctx, s.held); err != nil {
		return nil, err
	}
	_, err := p.maker().Alter(ctx, s.root.ID, nil, nil, func(root *host.System) error {
		takeOut(root, s.held)
		return nil
	})
	return ids, err
}

// takeOut takes a part out of its System, and out of what refers to it there.
func takeOut(root *host.System, h held) {
	key := h.key()
	for s := range root.All() {
		switch h.kind {
		case "systems":
			s.Systems = slices.DeleteFunc(s.Systems, func(k *host.System) bool { return k.ID == key })
		case "machines":
			for _, m := range s.Machines {
				if m.ID == key {
					dropLocal(root, m)
				}
			}
			s.Machines = slices.DeleteFunc(s.Machines, func(m *host.Machine) bool { return m.ID == key })
		case "volumes", "disks":
			s.Disks = slices.DeleteFunc(s.Disks, func(d *host.Disk) bool { return d.ID == key })
			for _, m := range s.Machines {
				m.Attachments = slices.DeleteFunc(m.Attachments, func(a host.Attachment) bool { return a.DiskID == key })
			}
		case "networks":
			s.Networks = slices.DeleteFunc(s.Networks, func(n *host.Network) bool { return n.ID == key })
			for _, m := range s.Machines {
				for i := range m.NICs {
					if m.NICs[i].Network == key {
						m.NICs[i].Network = ""
					}
				}
			}
		case "interfaces":
			for _, m := range s.Machines {
				if m.ID == h.machine.ID {
					keepCardIDs(m)
					m.NICs = slices.DeleteFunc(m.NICs, func(n host.NIC) bool { return m.ID+"."+n.ID == key })
				}
			}
		}
	}
}

// dropLocal takes the local storage of a machine out of its System.
func dropLocal(root *host.System, m *host.Machine) {
	for s := range root.All() {
		s.Disks = slices.DeleteFunc(s.Disks, func(d *host.Disk) bool {
			return d.Local && slices.ContainsFunc(m.Attachments, func(a host.Attachment) bool { return a.DiskID == d.ID })
		})
	}
}

// keepCardIDs gives cards that are told by their position the id that this is,
// before others come or go.
func keepCardIDs(m *host.Machine) {
	for i := range m.NICs {
		m.NICs[i].ID = m.CardID(i)
	}
}

// detachAll takes a resource out of other Systems' parts that refer to it.
func (p *Provider) detachAll(ctx context.Context, h held) error {
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	others := map[string]bool{}
	keys := map[string]bool{}
	note := func(m machineAt) {
		if m.root != nil && m.root.ID != h.root.ID {
			others[m.root.ID] = true
		}
	}
	for _, id := range idsOf(h) {
		keys[id] = true
		kind, key, _ := strings.Cut(id, "/")
		switch kind {
		case "volumes", "disks":
			for _, m := range w.usersOf(w.disk[key]) {
				note(m)
			}
		case "networks":
			for _, e := range w.endpointsOf(w.network[key]) {
				note(w.machine[e.machine.ID])
			}
		}
		for _, system := range w.associates[id] {
			if root := w.system[system].root; root != nil && root.ID != h.root.ID {
				others[root.ID] = true
			}
		}
	}
	done()
	if p.maker() == nil {
		return nil
	}
	for root := range others {
		if _, err := p.maker().Alter(ctx, root, nil, nil, func(s *host.System) error { detach(s, keys); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// detach takes what is gone out of a System that uses it.
func detach(root *host.System, gone map[string]bool) {
	for s := range root.All() {
		s.Associated = slices.DeleteFunc(s.Associated, func(id string) bool { return gone[id] })
		for _, m := range s.Machines {
			m.Attachments = slices.DeleteFunc(m.Attachments, func(a host.Attachment) bool { return gone["volumes/"+a.DiskID] || gone["disks/"+a.DiskID] })
			for i := range m.NICs {
				if gone["networks/"+m.NICs[i].Network] {
					m.NICs[i].Network = ""
				}
			}
		}
	}
}

// idsOf are the ids of a resource and of all that goes with it.
func idsOf(h held) []string {
	machine := func(m *host.Machine, in *host.System) []string {
		out := []string{"machines/" + m.ID}
		for i := range m.NICs {
			c := held{kind: "interfaces", machine: m, card: i}
			out = append(out, c.id())
			c.kind = "endpoints"
			out = append(out, c.id())
		}
		return out
	}
	var whole func(s *host.System) []string
	whole = func(s *host.System) []string {
		var out []string
		if s.Holder == "" {
			out = append(out, "systems/"+s.ID)
		}
		for _, m := range s.Machines {
			out = append(out, machine(m, s)...)
		}
		for _, d := range s.Disks {
			if d.Local {
				out = append(out, "disks/"+d.ID)
			} else {
				out = append(out, "volumes/"+d.ID)
			}
		}
		for _, n := range s.Networks {
			out = append(out, "networks/"+n.ID, "segments/"+n.ID)
		}
		for _, k := range s.Systems {
			out = append(out, whole(k)...)
		}
		return out
	}
	switch h.kind {
	case "systems":
		return whole(h.system)
	case "machines":
		out := machine(h.machine, h.in)
		for _, a := range h.machine.Attachments {
			if d := h.root.Disk(a.DiskID); d != nil && d.Local {
				out = append(out, "disks/"+d.ID)
			}
		}
		return out
	case "interfaces":
		e := h
		e.kind = "endpoints"
		return []string{h.id(), e.id()}
	case "networks":
		return []string{h.id(), "segments/" + h.network.ID}
	}
	return []string{h.id()}
}

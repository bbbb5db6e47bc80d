package host

import (
	"encoding/json"
	"slices"
	"strings"
)

// Borrow gives a copy of a System with those parts of other Systems that it
// uses: what it is associated with, disks that its machines are attached to,
// networks that their cards are on (DSP0263 5.13.1.2). Borrowed parts have no
// OVFID: they stand in another descriptor, if in any.
func Borrow(s *System, others []*System) (*System, error) {
	out, err := clone(s)
	if err != nil {
		return nil, err
	}
	out.Descriptor = s.Descriptor
	b := &borrower{to: out, disks: map[string]bool{}, networks: map[string]bool{}, machines: map[string]bool{}}
	for d := range out.AllDisks() {
		b.disks[d.ID] = true
	}
	for n := range out.AllNetworks() {
		b.networks[n.ID] = true
		b.names = append(b.names, n.Name)
	}
	for m := range out.AllMachines() {
		b.machines[m.ID] = true
	}
	for _, o := range others {
		c, err := clone(o)
		if err != nil {
			return nil, err
		}
		b.from = append(b.from, c)
	}
	for _, id := range slices.Collect(associated(out)) {
		kind, key, _ := strings.Cut(id, "/")
		switch kind {
		case "machines":
			b.machine(key)
		case "volumes":
			b.disk(key)
		case "networks":
			b.network(key)
		case "systems":
			b.system(key)
		}
	}
	for m := range out.AllMachines() {
		for _, a := range m.Attachments {
			b.disk(a.DiskID)
		}
		for _, n := range m.NICs {
			b.network(n.Network)
		}
	}
	return out, nil
}

// associated are what a System and those nested in it are associated with.
func associated(s *System) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range s.All() {
			for _, id := range k.Associated {
				if !yield(id) {
					return
				}
			}
		}
	}
}

type borrower struct {
	to                        *System
	from                      []*System
	disks, networks, machines map[string]bool
	names                     []string // of networks, which descriptors tell apart by them
}

func (b *borrower) machine(id string) {
	for _, s := range b.from {
		for m := range s.AllMachines() {
			if m.ID == id && !b.machines[id] {
				b.machines[id] = true
				b.to.Machines = append(b.to.Machines, ownMachine(m))
			}
		}
	}
}

func ownMachine(m *Machine) *Machine {
	m.OVFID, m.Instance = "", 0
	for i := range m.Attachments {
		m.Attachments[i].OVFID = ""
	}
	for i := range m.NICs {
		m.NICs[i].OVFID = ""
	}
	return m
}

func (b *borrower) disk(id string) {
	for _, s := range b.from {
		if d := s.Disk(id); d != nil && !b.disks[id] {
			b.disks[id] = true
			d.OVFID, d.Href = "", ""
			b.to.Disks = append(b.to.Disks, d)
		}
	}
}

func (b *borrower) network(id string) {
	for _, s := range b.from {
		for n := range s.AllNetworks() {
			if n.ID == id && !b.networks[id] {
				b.networks[id] = true
				n.OVFID, n.Name = "", b.free(n.Name)
				b.to.Networks = append(b.to.Networks, n)
			}
		}
	}
}

// free is a name that no network has yet.
func (b *borrower) free(name string) string {
	for slices.Contains(b.names, name) {
		name += "-2"
	}
	b.names = append(b.names, name)
	return name
}

// system borrows a whole System as a nested one.
func (b *borrower) system(id string) {
	for _, root := range b.from {
		for s := range root.All() {
			if s.ID != id {
				continue
			}
			for k := range s.All() {
				k.OVFID, k.Descriptor, k.FileNames = "", nil, nil
				for _, m := range k.Machines {
					b.machines[ownMachine(m).ID] = true
				}
				for _, d := range k.Disks {
					b.disks[d.ID] = true
					d.OVFID, d.Href = "", ""
				}
				for _, n := range k.Networks {
					b.networks[n.ID] = true
					n.OVFID, n.Name = "", b.free(n.Name)
				}
			}
			b.to.Systems = append(b.to.Systems, s)
		}
	}
}

// FrozenUsing are the Systems that a frozen export borrowed from; see
// ExportOptions.Using.
func FrozenUsing(state []byte) []string {
	var f frozen
	if json.Unmarshal(state, &f) != nil {
		return nil // thaw says what is wrong with it
	}
	return f.Using
}

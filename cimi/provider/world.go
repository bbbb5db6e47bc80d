package provider

import (
	"iter"
	"slices"

	"github.com/cimimove/cimimove/cimi/host"
)

// world is what the host holds, findable by key. Systems are never changed in
// place: a changed one comes in the place of the old one.
type world struct {
	roots []*place // in the host's order; nil where one was removed
	holes int
	root  map[string]*place

	system  map[string]systemAt
	machine map[string]machineAt
	disk    map[string]diskAt
	network map[string]networkAt
	// card leads from the key of an endpoint that was made before its card.
	card map[string]cardAt
	// users are machines that are attached to a disk of another System.
	users map[string][]string
	// visitors are machines that have a card on a network of another System.
	visitors map[string][]string
	// associates are the Systems that a resource is associated with, by its id.
	associates map[string][]string

	machines, volumes, networks, cards, systems int // how many are listed
}

// place is where an outermost System stands.
type place struct {
	*host.System
	at int // index in roots
}

type systemAt struct {
	*host.System
	parent, root *host.System // parent is nil for a root
}

type machineAt struct {
	*host.Machine
	in, root *host.System
}

type diskAt struct {
	*host.Disk
	in, root *host.System
}

type networkAt struct {
	*host.Network
	in, root *host.System
}

type cardAt struct {
	machine string
	card    int
}

func newWorld() *world {
	return &world{root: map[string]*place{}, system: map[string]systemAt{}, machine: map[string]machineAt{}, disk: map[string]diskAt{},
		network: map[string]networkAt{}, card: map[string]cardAt{}, users: map[string][]string{}, visitors: map[string][]string{}, associates: map[string][]string{}}
}

// isImage: what the System holds is an image, no machine or volume to be used.
func isImage(s *host.System) bool {
	return s.Holder == host.HoldsMachineImage || s.Holder == host.HoldsVolumeImage || s.Holder == host.HoldsTemplate
}

// change puts Systems in, new ones at the end, known ones in their place, and
// takes others out. What went from one to another is forgotten before it is
// learnt.
func (w *world) change(made []*host.System, gone []string) {
	for _, id := range gone {
		w.drop(id)
	}
	for _, s := range made {
		if old, ok := w.root[s.ID]; ok {
			w.forget(old.System)
		}
	}
	for _, s := range made {
		intern(s)
		if old, ok := w.root[s.ID]; ok {
			old.System = s
		} else {
			p := &place{s, len(w.roots)}
			w.roots = append(w.roots, p)
			w.root[s.ID] = p
		}
		w.learn(s, nil, s)
	}
}

// drop takes a System out.
func (w *world) drop(id string) {
	p, ok := w.root[id]
	if !ok {
		return
	}
	w.forget(p.System)
	delete(w.root, id)
	w.roots[p.at] = nil
	if w.holes++; w.holes > 64 && w.holes > len(w.roots)/2 {
		kept := make([]*place, 0, len(w.root))
		for _, p := range w.roots {
			if p != nil {
				p.at = len(kept)
				kept = append(kept, p)
			}
		}
		w.roots, w.holes = kept, 0
	}
}

func (w *world) learn(s, parent, root *host.System) {
	if isImage(root) {
		for _, d := range s.Disks { // volume images of a template
			w.disk[d.ID] = diskAt{d, s, root}
		}
		for _, k := range s.Systems {
			w.learn(k, s, root)
		}
		return
	}
	if s.Holder == "" {
		w.system[s.ID] = systemAt{s, parent, root}
		if parent == nil {
			w.systems++
		}
	}
	for _, id := range s.Associated {
		w.associates[id] = append(w.associates[id], s.ID)
	}
	for _, d := range s.Disks {
		w.disk[d.ID] = diskAt{d, s, root}
		if !d.Local {
			w.volumes++
		}
	}
	for _, n := range s.Networks {
		w.network[n.ID] = networkAt{n, s, root}
		w.networks++
	}
	for _, m := range s.Machines {
		w.machine[m.ID] = machineAt{m, s, root}
		w.machines++
		w.cards += len(m.NICs)
		for i, n := range m.NICs {
			if n.Endpoint != "" {
				w.card[n.Endpoint] = cardAt{m.ID, i}
			}
		}
	}
	for _, k := range s.Systems {
		w.learn(k, s, root)
	}
	if s == root {
		for m := range root.AllMachines() {
			for _, a := range m.Attachments {
				if w.disk[a.DiskID].root != root {
					w.users[a.DiskID] = append(w.users[a.DiskID], m.ID)
				}
			}
			for i, n := range m.NICs {
				if n.Network != "" && w.network[n.Network].root != root && !slices.ContainsFunc(m.NICs[:i], func(o host.NIC) bool { return o.Network == n.Network }) {
					w.visitors[n.Network] = append(w.visitors[n.Network], m.ID)
				}
			}
		}
	}
}

// forget is the reverse of learn, for all of a root.
func (w *world) forget(root *host.System) {
	for s := range root.All() {
		for _, d := range s.Disks {
			delete(w.disk, d.ID)
			if !isImage(root) && !d.Local {
				w.volumes--
			}
		}
		if isImage(root) {
			continue
		}
		if s.Holder == "" {
			delete(w.system, s.ID)
			if s == root {
				w.systems--
			}
		}
		for _, id := range s.Associated {
			remove(w.associates, id, s.ID)
		}
		for _, n := range s.Networks {
			delete(w.network, n.ID)
			w.networks--
		}
		for _, m := range s.Machines {
			delete(w.machine, m.ID)
			w.machines--
			w.cards -= len(m.NICs)
			for _, n := range m.NICs {
				delete(w.card, n.Endpoint)
				if _, ok := w.visitors[n.Network]; ok {
					remove(w.visitors, n.Network, m.ID)
				}
			}
			for _, a := range m.Attachments {
				if _, ok := w.users[a.DiskID]; ok {
					remove(w.users, a.DiskID, m.ID)
				}
			}
		}
	}
}

func remove(m map[string][]string, key, value string) {
	var kept []string
	for _, v := range m[key] {
		if v != value {
			kept = append(kept, v)
		}
	}
	if m[key] = kept; len(kept) == 0 {
		delete(m, key)
	}
}

// intern makes equal ids of one System share their bytes: with many thousand
// machines they are most of what a world takes.
func intern(root *host.System) {
	ids := map[string]string{}
	for d := range root.AllDisks() {
		ids[d.ID] = d.ID
	}
	for n := range root.AllNetworks() {
		ids[n.ID] = n.ID
	}
	for m := range root.AllMachines() {
		for i := range m.Attachments {
			if id, ok := ids[m.Attachments[i].DiskID]; ok {
				m.Attachments[i].DiskID = id
			}
		}
		for i := range m.NICs {
			if id, ok := ids[m.NICs[i].Network]; ok {
				m.NICs[i].Network = id
			}
		}
	}
}

// all are the outermost Systems and what holds single parts, in order.
func (w *world) all() iter.Seq[*host.System] {
	return func(yield func(*host.System) bool) {
		for _, p := range w.roots {
			if p != nil && !yield(p.System) {
				return
			}
		}
	}
}

// rootOf is the outermost System that holds kind/key, nil when none does.
func (w *world) rootOf(kind, key string) *host.System {
	switch kind {
	case "systems":
		return w.system[key].root
	case "machines":
		return w.machine[key].root
	case "volumes", "disks":
		return w.disk[key].root
	case "networks", "segments":
		return w.network[key].root
	case "machineImages", "volumeImages":
		if p, ok := w.root[key]; ok && isImage(p.System) {
			return p.System
		}
		return w.disk[key].root
	case "interfaces", "endpoints":
		if m, _, ok := w.cardOf(kind, key); ok {
			return m.root
		}
	}
	return nil
}

// usersOf are the machines that a disk is attached to.
func (w *world) usersOf(d diskAt) []machineAt {
	var out []machineAt
	for m := range d.root.AllMachines() {
		for _, a := range m.Attachments {
			if a.DiskID == d.ID {
				out = append(out, w.machine[m.ID])
				break
			}
		}
	}
	for _, id := range w.users[d.ID] {
		if m := w.machine[id]; m.Machine != nil && m.root != d.root {
			out = append(out, m)
		}
	}
	return out
}

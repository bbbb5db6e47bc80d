package provider

import (
	"iter"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
)

// held is one thing that the host holds and that is shown as a resource: of
// the pointers those are set that its kind needs.
type held struct {
	kind     string // collection of the entry point: "machines"
	root, in *host.System
	parent   *host.System // of a System; nil for an outermost one
	system   *host.System
	machine  *host.Machine
	disk     *host.Disk
	network  *host.Network
	card     int
}

// key is the last part of the id.
func (h held) key() string {
	switch h.kind {
	case "systems":
		return h.system.ID
	case "machines":
		return h.machine.ID
	case "volumes", "disks":
		return h.disk.ID
	case "networks", "segments":
		return h.network.ID
	case "interfaces":
		return cardKey(h.machine, h.card)
	case "endpoints":
		if e := h.machine.NICs[h.card].Endpoint; e != "" {
			return e
		}
		return cardKey(h.machine, h.card)
	case "volumeImages":
		if h.disk != nil {
			return h.disk.ID
		}
	}
	return h.root.ID
}

func (h held) id() string { return h.kind + "/" + h.key() }

// cardKey tells a card from all others of the cloud.
func cardKey(m *host.Machine, i int) string { return m.ID + "." + m.CardID(i) }

// created is when it was made: with the root that it is in, or later.
func (h held) created() time.Time {
	var own time.Time
	switch h.kind {
	case "systems":
		own = h.system.Created
	case "machines":
		own = h.machine.Created
	case "volumes", "disks":
		own = h.disk.Created
	case "networks", "segments":
		own = h.network.Created
	case "interfaces", "endpoints":
		own = h.machine.NICs[h.card].Created
	}
	if own.IsZero() {
		return h.root.Created
	}
	return own
}

// cardOf finds the card of an interface or endpoint.
func (w *world) cardOf(kind, key string) (m machineAt, card int, ok bool) {
	if at, ok := w.card[key]; ok && kind == "endpoints" {
		return w.machine[at.machine], at.card, true
	}
	id, card1, ok := strings.Cut(key, ".")
	if !ok {
		return m, 0, false
	}
	if m, ok = w.machine[id]; !ok {
		return m, 0, false
	}
	for i := range m.NICs {
		if m.CardID(i) == card1 {
			return m, i, kind == "interfaces" || m.NICs[i].Endpoint == ""
		}
	}
	return m, 0, false
}

// find gives what is shown as kind/key.
func (w *world) find(kind, key string) (h held, ok bool) {
	h.kind = kind
	switch kind {
	case "systems":
		s, ok := w.system[key]
		h.system, h.parent, h.root, h.in = s.System, s.parent, s.root, s.System
		return h, ok
	case "machines":
		m, ok := w.machine[key]
		return w.ofMachine(kind, m, 0), ok
	case "volumes", "disks":
		d, ok := w.disk[key]
		if ok && (d.Local != (kind == "disks") || isImage(d.root)) {
			return h, false
		}
		h.disk, h.in, h.root = d.Disk, d.in, d.root
		return h, ok
	case "networks", "segments":
		n, ok := w.network[key]
		h.network, h.in, h.root = n.Network, n.in, n.root
		return h, ok
	case "interfaces", "endpoints":
		m, card, ok := w.cardOf(kind, key)
		return w.ofMachine(kind, m, card), ok
	case "machineImages", "volumeImages":
		if p, ok := w.root[key]; ok {
			h.root, h.in = p.System, p.System
			return h, p.Holder == host.HoldsMachineImage && kind == "machineImages" || p.Holder == host.HoldsVolumeImage && kind == "volumeImages"
		}
		if d, ok := w.disk[key]; ok && kind == "volumeImages" && d.root.Holder == host.HoldsTemplate {
			h.disk, h.in, h.root = d.Disk, d.in, d.root
			return h, true
		}
	}
	return h, false
}

func (w *world) ofMachine(kind string, m machineAt, card int) held {
	return held{kind: kind, root: m.root, in: m.in, machine: m.Machine, card: card}
}

// top are all of one kind, in the order of the host; n is how many.
func (w *world) top(kind string) (seq iter.Seq[held], n int) {
	switch kind {
	case "systems":
		n = w.systems
	case "machines":
		n = w.machines
	case "volumes":
		n = w.volumes
	case "networks", "segments":
		n = w.networks
	case "interfaces", "endpoints":
		n = w.cards
	case "machineImages", "volumeImages":
		return w.imagesOf(kind), -1
	}
	return func(yield func(held) bool) {
		for root := range w.all() {
			if isImage(root) {
				continue
			}
			if kind == "systems" {
				if root.Holder == "" && !yield(held{kind: kind, root: root, in: root, system: root}) {
					return
				}
				continue
			}
			for s := range root.All() {
				if !w.parts(kind, s, root, yield) {
					return
				}
			}
		}
	}, n
}

// parts yields what of one kind a System holds itself; false when yield does.
func (w *world) parts(kind string, s, root *host.System, yield func(held) bool) bool {
	switch kind {
	case "systems":
		for _, k := range s.Systems {
			if !yield(held{kind: kind, root: root, in: k, system: k, parent: s}) {
				return false
			}
		}
	case "machines":
		for _, m := range s.Machines {
			if !yield(held{kind: kind, root: root, in: s, machine: m}) {
				return false
			}
		}
	case "volumes":
		for _, d := range s.Disks {
			if !d.Local && !yield(held{kind: kind, root: root, in: s, disk: d}) {
				return false
			}
		}
	case "networks", "segments":
		for _, n := range s.Networks {
			if !yield(held{kind: kind, root: root, in: s, network: n}) {
				return false
			}
		}
	case "interfaces", "endpoints":
		for _, m := range s.Machines {
			for i := range m.NICs {
				if !yield(held{kind: kind, root: root, in: s, machine: m, card: i}) {
					return false
				}
			}
		}
	}
	return true
}

// imagesOf are the images that the host holds.
func (w *world) imagesOf(kind string) iter.Seq[held] {
	return func(yield func(held) bool) {
		for root := range w.all() {
			switch {
			case root.Holder == host.HoldsMachineImage && kind == "machineImages", root.Holder == host.HoldsVolumeImage && kind == "volumeImages":
				if !yield(held{kind: kind, root: root, in: root}) {
					return
				}
			case root.Holder == host.HoldsTemplate && kind == "volumeImages":
				for s := range root.All() {
					for _, d := range s.Disks {
						if d.ContentDigest != "" && !yield(held{kind: kind, root: root, in: s, disk: d}) {
							return
						}
					}
				}
			}
		}
	}
}

// cutID takes an id apart.
func cutID(id string) (kind, key string) {
	kind, key, _ = strings.Cut(id, "/")
	return kind, key
}

package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// updateHeld brings the attributes that the host has a place for to the host,
// and lays the others over the view.
func (p *Provider) updateHeld(ctx context.Context, c *change, h held, was, next cimi.Resource) error {
	u := &updater{p: p, h: h, was: was, next: next, native: []string{}}
	if err := u.move(ctx, c); err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		root, err := p.host.System(ctx, u.h.root.ID)
		if err != nil {
			return err
		}
		if err := u.simple(root); err != nil {
			return err
		}
		if !u.changed {
			break
		}
		root.Updated = touched()
		// Parts that came or went meanwhile are no part of this change.
		if err = p.host.Update(ctx, root); err == nil {
			break
		}
		if attempt == 3 || !errors.Is(err, host.ErrUnsupported) {
			return err
		}
	}
	if err := u.shape(ctx); err != nil {
		return err
	}
	over := overlayOf(was, next, p.overlays.get(was.Base().ID), u.native...)
	if over == nil {
		over = cimi.New(was.TypeName()) // which says when it was
	}
	c.overlay(p, was.Base().ID, over)
	return nil
}

// updater takes an update of a host's resource apart.
type updater struct {
	p         *Provider
	h         held
	was, next cimi.Resource
	native    []string // attributes that the host keeps
	changed   bool     // by simple
}

// text sets a field to what next says; an empty name is no name.
func (u *updater) text(to *string, attr string) {
	u.native = append(u.native, attr)
	old, v := text(u.was, attr), text(u.next, attr)
	if old != v && (v != "" || attr != "name") {
		*to, u.changed = v, true
	}
}

func (u *updater) differs(attr string) bool {
	return !sameAttribute(cimi.Value(u.was, attr), cimi.Value(u.next, attr))
}

func text(r cimi.Resource, name string) string {
	s, _ := cimi.Value(r, name).(string)
	return s
}

// simple sets what host.Update takes: names, descriptions, sizes of machines,
// addresses.
func (u *updater) simple(root *host.System) error {
	key := u.h.key()
	switch u.h.kind {
	case "systems":
		for s := range root.All() {
			if s.ID != key {
				continue
			}
			if s == root && !s.Collection && len(s.Machines) == 1 && s.Machines[0].Name == s.Name {
				u.text(&s.Machines[0].Name, "name") // they share their name (4.3)
			}
			u.text(&s.Name, "name")
			u.text(&s.Description, "description")
		}
	case "machines":
		for m := range root.AllMachines() {
			if m.ID == key {
				return u.machine(m, root)
			}
		}
	case "volumes", "disks":
		for d := range root.AllDisks() {
			if d.ID == key {
				u.text(&d.Name, "name")
			}
		}
	case "volumeImages", "machineImages":
		if u.h.disk == nil {
			u.text(&root.Name, "name")
			u.text(&root.Description, "description")
		}
	case "networks":
		for n := range root.AllNetworks() {
			if n.ID == key {
				u.text(&n.Name, "name")
				u.text(&n.Description, "description")
			}
		}
	case "endpoints":
		for m := range root.AllMachines() {
			if m.ID == u.h.machine.ID && u.h.card < len(m.NICs) {
				u.text(&m.NICs[u.h.card].MAC, "address")
				u.native = append(u.native, "origin")
			}
		}
		if u.differs("interface") || u.differs("protocol") {
			return notHere(u.was, "interface or protocol")
		}
	}
	return nil
}

func (u *updater) machine(m *host.Machine, root *host.System) error {
	u.text(&m.Name, "name")
	if u.changed && root.Holder == host.HoldsMachine {
		root.Name = m.Name
	}
	u.text(&m.Description, "description")
	u.native = append(u.native, "cpu", "memory")
	if v, ok := cimi.Value(u.next, "cpu").(int64); ok && u.differs("cpu") {
		if v < 1 || v > maxCPUs {
			return cimi.Errorf(http.StatusBadRequest, "cpu: expected 1 to %d, got %d", maxCPUs, v)
		}
		m.CPUs, u.changed = int(v), true
	}
	if v, ok := cimi.Value(u.next, "memory").(int64); ok && u.differs("memory") {
		if v < 1 || v > maxMemory {
			return cimi.Errorf(http.StatusBadRequest, "memory: expected 1 to %d KiB, got %d", maxMemory, v)
		}
		m.MemoryBytes, u.changed = v*1024, true
	}
	if order, ok := startOrder(u.next); ok && order != m.StartOrder {
		m.StartOrder, u.changed = order, true
	}
	if u.differs("cpuArch") && u.p.maker() == nil {
		return notHere(u.was, "cpuArch")
	}
	return nil
}

// startOrder reads ovfStartup: {"order": n}.
func startOrder(r cimi.Resource) (int, bool) {
	m, ok := r.Base().ExtraValue(cimi.OVFStartup).(map[string]any)
	if !ok {
		return 0, false
	}
	var n int
	if _, err := fmt.Sscan(fmt.Sprint(m["order"]), &n); err != nil {
		return 0, false
	}
	return n, true
}

// shape sets what only a maker of Systems can change: sizes and kinds of disks,
// the architecture of a machine.
func (u *updater) shape(ctx context.Context) error {
	switch {
	case u.h.kind == "volumes" || u.h.kind == "disks":
		return u.disk(ctx)
	case u.h.kind == "machines" && u.differs("cpuArch"):
		u.native = append(u.native, "cpuArch")
		_, err := u.p.maker().Alter(ctx, u.h.root.ID, nil, nil, func(s *host.System) error {
			for m := range s.AllMachines() {
				if m.ID == u.h.machine.ID {
					m.CPUArch = text(u.next, "cpuArch")
				}
			}
			return nil
		})
		return err
	}
	return nil
}

func (u *updater) disk(ctx context.Context) error {
	grows, bootable, typ, location := u.differs("capacity"), u.differs("bootable"), u.differs("type"), u.differs("initialLocation")
	u.native = append(u.native, "capacity", "bootable", "type", "initialLocation")
	if !grows && !bootable && !typ && !location {
		return nil
	}
	if u.p.maker() == nil {
		return notHere(u.was, "capacity, bootable or type")
	}
	next := *u.h.disk
	var made []*host.Disk
	var fill host.Fill
	if grows {
		kb, _ := cimi.Value(u.next, "capacity").(int64)
		size := kilobytes(kb)
		switch {
		case kb == capacity(&next): // as it is shown
		case size < next.CapacityBytes:
			return cimi.Errorf(http.StatusBadRequest, "capacity: %d kB are less than the %d kB there are: content would be lost", kb, capacity(&next))
		default:
			img, err := u.p.host.OpenDisk(ctx, next.ID)
			if err != nil {
				return err
			}
			defer img.Close()
			if err := u.p.idleDisk(ctx, next.ID); err != nil {
				return err
			}
			next.CapacityBytes, next.Kilobytes, next.Generation = size, kb, next.Generation+1
			fill = host.CopyOf(img, nil)
			made = append(made, &next)
		}
	}
	if bootable {
		next.Boot = cimi.Value(u.next, "bootable") == true
	}
	if typ {
		switch t := text(u.next, "type"); {
		case t == cimi.VolumeMapped && !u.p.host.Capabilities().SharedDisks:
			return cimi.Errorf(http.StatusBadRequest, "type: this cloud has no shared Volumes")
		case t != "" && t != cimi.VolumeMapped:
			return cimi.Errorf(http.StatusBadRequest, "type: expected %s, got %.200q", cimi.VolumeMapped, t)
		default:
			next.Shared = t == cimi.VolumeMapped
		}
	}
	_, err := u.p.maker().Alter(ctx, u.h.root.ID, made, fill, func(s *host.System) error {
		for k := range s.All() {
			for i, d := range k.Disks {
				if d.ID == next.ID {
					k.Disks[i] = &next
				}
			}
			for _, m := range k.Machines {
				for i := range m.Attachments {
					if m.Attachments[i].DiskID == next.ID && location {
						m.Attachments[i].Location = text(u.next, "initialLocation")
					}
				}
			}
		}
		return nil
	})
	return err
}

// move brings a resource to the collection that next names as its parent: from
// the entry point's into a System's, or back (5.13.1).
func (u *updater) move(ctx context.Context, c *change) error {
	from, to := plainID(cimi.HrefOf(u.was.Base().Parent)), plainID(cimi.HrefOf(u.next.Base().Parent))
	if from == to || to == "" {
		return nil
	}
	if to == entryPoint {
		to = u.h.kind
	}
	if from == to {
		return nil
	}
	kind := u.h.kind
	if kind != "machines" && kind != "volumes" && kind != "networks" {
		return notHere(u.was, "parent")
	}
	key := ""
	if to != kind {
		owner, ok := strings.CutSuffix(to, "/"+kind)
		if key, _ = strings.CutPrefix(owner, "systems/"); !ok || key == owner {
			return cimi.Errorf(http.StatusBadRequest, "parent: expected the collection %s of the cloud or of a System, got %.200q", kind, to)
		}
	}
	h, err := u.p.moveHeld(ctx, u.h, key)
	if err != nil {
		return err
	}
	u.h = h
	return nil
}

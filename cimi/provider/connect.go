package provider

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// alter changes one part of a System in place: the machine, System or other
// part that pick finds.
func (p *Provider) alter(ctx context.Context, root string, change func(*host.System) error) error {
	_, err := p.maker().Alter(ctx, root, nil, nil, change)
	return err
}

// machineIn finds a machine of a System by its key.
func machineIn(root *host.System, key string) *host.Machine {
	for m := range root.AllMachines() {
		if m.ID == key {
			return m
		}
	}
	return nil
}

// systemIn finds a System nested in another, or that itself.
func systemIn(root *host.System, key string) *host.System {
	for s := range root.All() {
		if s.ID == key {
			return s
		}
	}
	return nil
}

// attach connects an existing Volume to a Machine.
func (p *Provider) attach(ctx context.Context, machine, volume, location string) error {
	if err := p.newPlan().connectable(ctx, volume); err != nil {
		return err
	}
	return p.alterStopped(ctx, machine, func(m *host.Machine) {
		m.Attachments = append(m.Attachments, attachment(m, volume, location, false))
	})
}

// detachVolume takes a Volume from a Machine; it stays where it is.
func (p *Provider) detachVolume(ctx context.Context, machine, volume string) error {
	return p.alterStopped(ctx, machine, func(m *host.Machine) {
		m.Attachments = slices.DeleteFunc(m.Attachments, func(a host.Attachment) bool { return a.DiskID == volume })
	})
}

// alterStopped changes a Machine, which must not run.
func (p *Provider) alterStopped(ctx context.Context, machine string, change func(m *host.Machine)) error {
	root, err := p.lockMachine(ctx, machine)
	if err != nil {
		return err
	}
	defer p.changes.lock(root)()
	return p.alter(ctx, root, func(s *host.System) error {
		m := machineIn(s, machine)
		switch {
		case m == nil:
			return host.ErrNotFound
		case m.State != host.Stopped:
			return cimi.Errorf(http.StatusConflict, "machines/%s: %w: stop it first", machine, host.ErrBusy)
		}
		change(m)
		return nil
	})
}

// lockMachine is the System that a machine is in.
func (p *Provider) lockMachine(ctx context.Context, machine string) (root string, err error) {
	w, done, err := p.look(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	m, ok := w.machine[machine]
	if !ok {
		return "", notFound("machines/" + machine)
	}
	return m.root.ID, nil
}

// connectVolume is the connectvolume action of a Machine (5.14.1.2).
func (p *Provider) connectVolume(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	key, ok := strings.CutPrefix(plainID(cimi.HrefOf(a.Volume)), "volumes/")
	if !ok {
		return nil, cimi.Errorf(http.StatusBadRequest, "volume: missing, or no Volume of this cloud")
	}
	if err := p.attach(ctx, s.machine.ID, key, a.InitialLocation); err != nil {
		return nil, err
	}
	c := &change{}
	c.modelEvent(p, s.r, "update", "connected volumes/"+key)
	j, err := p.done(c, a.Action, s.id, "volumes/"+key)
	if err != nil {
		return nil, err
	}
	r, err := p.read(ctx, s.id)
	return &cimi.Accepted{Job: j.ID, Done: true, Resource: r}, err
}

// associate makes an existing resource a component of a System that is no child
// of it (5.13.1).
func (p *Provider) associate(ctx context.Context, system, member string) error {
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	s := w.system[system]
	kind, key, _ := strings.Cut(member, "/")
	circle := false
	if o := w.system[key]; kind == "systems" && o.System != nil {
		circle = key == system || w.reaches(o.System, system)
	}
	done()
	if s.System == nil {
		return notFound("systems/" + system)
	}
	if circle {
		return cimi.Errorf(http.StatusConflict, "%s contains systems/%s already", member, system)
	}
	defer p.changes.lock(s.root.ID)()
	return p.alter(ctx, s.root.ID, func(root *host.System) error {
		k := systemIn(root, system)
		if k == nil {
			return host.ErrNotFound
		}
		k.Associated = append(k.Associated, member)
		return nil
	})
}

// reaches tells whether a System contains another, as a child or associated.
func (w *world) reaches(s *host.System, key string) bool {
	seen := map[string]bool{}
	var walk func(s *host.System) bool
	walk = func(s *host.System) bool {
		if s == nil || seen[s.ID] {
			return false
		}
		seen[s.ID] = true
		if s.ID == key || slices.ContainsFunc(s.Systems, walk) {
			return true
		}
		return slices.ContainsFunc(s.Associated, func(id string) bool {
			k, ok := strings.CutPrefix(id, "systems/")
			return ok && walk(w.system[k].System)
		})
	}
	return walk(s)
}

// dissociate takes a component out of a System: an associated one is not any
// more, a child goes on outside (5.5.12.3).
func (p *Provider) dissociate(ctx context.Context, system, member string) error {
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	s := w.system[system]
	kind, key, _ := strings.Cut(member, "/")
	h, found := w.find(kind, key)
	done()
	if s.System == nil || !found {
		return notFound(member)
	}
	if slices.Contains(s.Associated, member) {
		defer p.changes.lock(s.root.ID)()
		return p.alter(ctx, s.root.ID, func(root *host.System) error {
			k := systemIn(root, system)
			if k == nil {
				return host.ErrNotFound
			}
			k.Associated = slices.DeleteFunc(k.Associated, func(id string) bool { return id == member })
			return nil
		})
	}
	defer p.changes.lock(s.root.ID)()
	_, err = p.moveHeld(ctx, h, "")
	return err
}

// moveHeld makes a Machine, Volume, Network or nested System a part of a
// System, or of none ("").
func (p *Provider) moveHeld(ctx context.Context, h held, system string) (held, error) {
	mover, ok := p.host.(host.Mover)
	if !ok {
		return h, cimi.Errorf(http.StatusMethodNotAllowed, "this cloud moves nothing between Systems")
	}
	if h.machine != nil && h.machine.State != host.Stopped {
		return h, cimi.Errorf(http.StatusConflict, "%s: %w: stop it first", h.id(), host.ErrBusy)
	}
	to := host.NewID()
	if system != "" {
		w, done, err := p.look(ctx)
		if err != nil {
			return h, err
		}
		root := w.system[system].root
		done()
		if root == nil {
			return h, cimi.Errorf(http.StatusBadRequest, "parent: systems/%s: no such System", system)
		}
		to = root.ID
	} else {
		place := &host.System{ID: to, Name: h.name(), Holder: holderOf(h.kind)}
		if h.kind == "systems" {
			place.Collection = true
			place.Description, place.Associated = h.system.Description, h.system.Associated
		}
		if err := p.maker().Make(ctx, place, nil); err != nil {
			return h, err
		}
	}
	var err error
	if to == h.root.ID { // within one tree
		err = p.alter(ctx, to, func(root *host.System) error {
			return carry(root, root, h, system)
		})
	} else {
		err = mover.Move(ctx, h.root.ID, to, func(from, into *host.System) error {
			into.Created = h.created()
			return carry(from, into, h, system)
		})
	}
	if err != nil && system == "" {
		err = errors.Join(err, p.host.Delete(context.WithoutCancel(ctx), to))
	}
	if err != nil {
		return h, err
	}
	w, done, err := p.look(ctx)
	if err != nil {
		return h, err
	}
	defer done()
	moved, _ := w.find(h.kind, h.key())
	return moved, nil
}

func holderOf(kind string) string {
	switch kind {
	case "machines":
		return host.HoldsMachine
	case "volumes":
		return host.HoldsVolume
	case "networks":
		return host.HoldsNetwork
	}
	return ""
}

func (h held) name() string {
	switch h.kind {
	case "machines":
		return h.machine.Name
	case "volumes":
		return h.disk.Name
	case "networks":
		return h.network.Name
	}
	return h.system.Name
}

// carry takes a part out of one System and puts it into another. A machine
// takes its own storage along.
func carry(from, into *host.System, h held, system string) error {
	to := into
	if system != "" {
		if to = systemIn(into, system); to == nil {
			return host.ErrNotFound
		}
	}
	key := h.key()
	for s := range from.All() {
		switch h.kind {
		case "machines":
			for i, m := range s.Machines {
				if m.ID == key {
					s.Machines = slices.Delete(s.Machines, i, i+1)
					m.OVFID, m.Instance = "", 0
					to.Machines = append(to.Machines, m)
					carryLocal(from, to, m)
					return nil
				}
			}
		case "volumes":
			for i, d := range s.Disks {
				if d.ID == key {
					s.Disks = slices.Delete(s.Disks, i, i+1)
					d.OVFID, d.Href = "", ""
					to.Disks = append(to.Disks, d)
					return nil
				}
			}
		case "networks":
			for i, n := range s.Networks {
				if n.ID == key {
					s.Networks = slices.Delete(s.Networks, i, i+1)
					n.OVFID = ""
					to.Networks = append(to.Networks, n)
					return nil
				}
			}
		case "systems":
			for i, k := range s.Systems {
				if k.ID != key {
					continue
				}
				s.Systems = slices.Delete(s.Systems, i, i+1)
				if system != "" {
					to.Systems = append(to.Systems, k)
					return nil
				}
				// A System of its own is a root, which keeps the id of the nested one.
				return errRootOnly
			}
		}
	}
	return host.ErrNotFound
}

var errRootOnly = cimi.Errorf(http.StatusMethodNotAllowed, "a nested System stays where it was made")

func carryLocal(from, to *host.System, m *host.Machine) {
	var moved []*host.Disk
	for s := range from.All() {
		s.Disks = slices.DeleteFunc(s.Disks, func(d *host.Disk) bool {
			own := d.Local && slices.ContainsFunc(m.Attachments, func(a host.Attachment) bool { return a.DiskID == d.ID })
			if own {
				d.OVFID, d.Href = "", ""
				moved = append(moved, d)
			}
			return own
		})
	}
	to.Disks = append(to.Disks, moved...)
}

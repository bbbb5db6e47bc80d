package provider

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// deletable says why a resource cannot be deleted now; nil when it can.
func (p *Provider) deletable(w *world, s subject) error {
	switch s.kind {
	case "resourceMetadata":
		if !strings.Contains(s.id, "/own-") {
			return cimi.Errorf(http.StatusMethodNotAllowed, "%s describes what this cloud offers", s.id)
		}
	case "samples", "events":
		return cimi.Errorf(http.StatusMethodNotAllowed, "%s goes with what it belongs to", s.id)
	}
	switch stateOf(s.r) {
	case cimi.StateCreating:
		return cimi.Errorf(http.StatusConflict, "%s is being created: stop its Job", s.id)
	case cimi.StateDeleting:
		return cimi.Errorf(http.StatusConflict, "%s is being deleted", s.id)
	}
	if s.root == nil { // the host holds nothing of it
		return nil
	}
	part := s.in.Holder == "" && (s.kind != "systems" || s.parent != nil) && !isImage(s.root)
	switch {
	case s.kind == "segments", s.kind == "endpoints":
		return cimi.Errorf(http.StatusMethodNotAllowed, "%s goes with its Network or NetworkInterface", s.id)
	case isImage(s.root) && s.root.Holder == host.HoldsTemplate:
		return cimi.Errorf(http.StatusMethodNotAllowed, "%s goes with the SystemTemplate it came with", s.id)
	case p.maker() == nil && (part || s.kind == "interfaces" || s.kind == "disks"):
		return cimi.Errorf(http.StatusMethodNotAllowed, "%s: parts of a System are deleted with it", s.id)
	}
	for _, m := range w.concerned(s.held) {
		if m.State != host.Stopped || p.passing.of("machines/"+m.ID) != "" {
			return cimi.Errorf(http.StatusConflict, "%s: %w: stop machine %s first", s.id, host.ErrBusy, m.Name)
		}
	}
	return nil
}

// concerned are the machines that the deletion of a resource changes.
func (w *world) concerned(h held) []machineAt {
	switch h.kind {
	case "systems":
		var out []machineAt
		for m := range h.system.AllMachines() {
			out = append(out, w.machine[m.ID])
		}
		return out
	case "machines", "interfaces":
		return []machineAt{w.machine[h.machine.ID]}
	case "volumes", "disks":
		return w.usersOf(diskAt{h.disk, h.in, h.root})
	case "networks":
		var out []machineAt
		for _, e := range w.endpointsOf(networkAt{h.network, h.in, h.root}) {
			out = append(out, w.machine[e.machine.ID])
		}
		return out
	}
	return nil
}

// Delete removes a resource, its children with it (5.10.2), and the references
// to them (5.10.1).
func (p *Provider) Delete(ctx context.Context, id string) (*cimi.Accepted, error) {
	id = plainID(id)
	acc, err := p.delete(ctx, id)
	return acc, asError(err)
}

func (p *Provider) delete(ctx context.Context, id string) (*cimi.Accepted, error) {
	if x := p.exports.byName(id); x != nil {
		if err := p.exports.remove(ctx, x); err != nil {
			return nil, err
		}
		j, err := p.done(&change{}, cimi.RelDelete, id)
		if err != nil {
			return nil, err
		}
		return &cimi.Accepted{Done: true, Job: j.ID}, nil
	}
	if id == entryPoint || memberOrTop(id) {
		if _, err := p.target(ctx, id); err != nil {
			return nil, err
		}
		return nil, cimi.Errorf(http.StatusMethodNotAllowed, "%s cannot be deleted", id)
	}
	key, err := p.lockOf(ctx, id)
	if err != nil {
		return nil, err
	}
	unlock := p.changes.lock(key)
	s, w, done, err := p.subjectOf(ctx, id)
	if err != nil {
		unlock()
		return nil, err
	}
	err = p.deletable(w, s)
	held := s.root != nil
	done()
	if err != nil {
		unlock()
		return nil, err
	}
	if held {
		return p.deleteHeld(ctx, s, unlock)
	}
	defer unlock()
	c := &change{}
	if s.kind == "jobs" {
		if err := p.jobs.remove(ctx, id); err != nil {
			return nil, err
		}
		return p.accept(ctx, c, cimi.RelDelete, id, "", nil)
	}
	if err := p.forget(ctx, c, map[string]bool{}, id); err != nil {
		return nil, err
	}
	c.modelEvent(p, s.r, "delete", "")
	return p.accept(ctx, c, cimi.RelDelete, id, "", nil)
}

// deleteHeld removes what the host holds, in a Job: it may take its time.
func (p *Provider) deleteHeld(ctx context.Context, s subject, unlock func()) (*cimi.Accepted, error) {
	leave := p.passing.through(cimi.StateDeleting, s.id)
	acc, err := p.run(ctx, cimi.RelDelete, s.id, "", func(ctx context.Context, t *task) error {
		defer unlock()
		defer leave()
		c := &change{}
		if err := p.deleteWith(ctx, c, map[string]bool{}, s); err != nil {
			return err
		}
		c.modelEvent(p, s.r, "delete", "")
		return p.commit(c)
	})
	var je *cimi.Error
	if err != nil && (!errors.As(err, &je) || je.Job == nil) { // it has not begun
		leave()
		unlock()
	}
	return acc, err
}

// deleteWith removes a resource of the host, subnetworks that are its children
// first, and plans to forget all that went with it. Endpoints that were made
// before the card that they connect outlive it.
func (p *Provider) deleteWith(ctx context.Context, c *change, seen map[string]bool, s subject) error {
	if s.kind == "networks" {
		for _, l := range p.links.of(s.id + "/subnetworks") {
			inner, _, done, err := p.subjectOf(ctx, l.member)
			if cimi.IsNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			done()
			if cimi.HrefOf(inner.r.Base().Parent) == s.id+"/subnetworks" {
				if err := p.deleteWith(ctx, c, seen, inner); err != nil {
					return err
				}
			}
		}
	}
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	released := &change{}
	for _, m := range w.concerned(s.held) {
		if s.kind == "machines" || s.kind == "interfaces" || s.kind == "systems" {
			h := w.ofMachine("machines", m, 0)
			if s.kind == "interfaces" {
				h = s.held
			}
			p.releaseOf(w, released, h, idsOf(s.held))
		}
	}
	done()
	ids, err := p.removeHeld(ctx, s)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := p.forget(ctx, c, seen, id); err != nil {
			return err
		}
	}
	c.writes, c.after = append(c.writes, released.writes...), append(c.after, released.after...)
	return nil
}

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

// forget removes what the Provider keeps of a resource that is gone: itself
// where the store had it, its children, what lies over it, its entries in
// collections and theirs in its own, its Meters, its EventLog, and every
// reference to it.
func (p *Provider) forget(ctx context.Context, c *change, seen map[string]bool, id string) error {
	if seen[id] {
		return nil
	}
	seen[id] = true
	children, err := texts(ctx, p.db.db, "SELECT id FROM resources WHERE (parent = ? OR parent >= ? AND parent < ?) AND id <> ?", id, id+"/", id+"0", id)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := p.forget(ctx, c, seen, child); err != nil {
			return err
		}
	}
	for _, collection := range p.links.holding(id) {
		c.unlink(p, collection, id)
	}
	item := typeOfID(id)
	for _, a := range cimi.Attributes(orUnknown(item)) {
		if a.Type != "collection" {
			continue
		}
		for _, l := range p.links.of(id + "/" + a.Name) {
			c.unlink(p, id+"/"+a.Name, l.member)
		}
	}
	if p.overlays.get(id) != nil {
		c.overlay(p, id, nil)
	}
	log := logID(id)
	switch {
	case strings.HasPrefix(id, "eventLogs/"):
		p.deleteLog(c, id)
	default: // linked: a log goes with what it is of (T7)
		if p.overlays.get(log) != nil {
			c.overlay(p, log, nil)
		}
		c.write(func(tx *sql.Tx) error { return dropEvents(tx, log) })
	}
	if strings.HasPrefix(id, "meters/") {
		c.write(func(tx *sql.Tx) error { return dropSamples(tx, id) })
		c.then(func() { p.meters.drop(id) })
	}
	if strings.HasPrefix(id, "systemTemplates/") {
		c.then(func() { p.dropPackage(id) })
	}
	c.write(func(tx *sql.Tx) error {
		for _, q := range []string{"DELETE FROM resources WHERE id = ?", "DELETE FROM refs WHERE source = ?"} {
			if _, err := tx.Exec(q, id); err != nil {
				return err
			}
		}
		return nil
	})
	return p.forgetReferences(ctx, c, seen, id)
}

func orUnknown(item string) string {
	if item == "" {
		return "Unknown"
	}
	return item
}

// forgetReferences empties the references to what is gone (5.10.1).
func (p *Provider) forgetReferences(ctx context.Context, c *change, seen map[string]bool, id string) error {
	sources, err := texts(ctx, p.db.db, "SELECT source FROM refs WHERE target = ?", id)
	if err != nil {
		return err
	}
	instead, err := p.relatedTo(ctx, id)
	if err != nil {
		return err
	}
	for _, source := range sources {
		if seen[source] {
			continue
		}
		if o := p.overlays.get(source); o != nil {
			next := cimi.Clone(o.r)
			related := relate(next, id, instead)
			if cimi.Forget(next, func(h string) bool { return seen[h] }) || related {
				c.overlayQuietly(p, source, next)
			}
			continue
		}
		r, err := p.db.get(ctx, source)
		if err != nil {
			return err
		}
		if image, ok := r.(*cimi.MachineImage); ok && image.Type == "PARTIAL_SNAPSHOT" && cimi.HrefOf(image.RelatedImage) == id {
			if err := p.forget(ctx, c, seen, source); err != nil { // nothing without what it is the difference to (T21)
				return err
			}
			continue
		}
		if r != nil && cimi.Forget(r, func(h string) bool { return seen[h] }) {
			kind, _, _ := strings.Cut(source, "/")
			c.put(kind, r)
		}
	}
	return nil
}

// relatedTo is what an image is related to, nil for anything else.
func (p *Provider) relatedTo(ctx context.Context, id string) (*cimi.Ref[cimi.MachineImage], error) {
	if !strings.HasPrefix(id, "machineImages/") {
		return nil, nil
	}
	if o := p.overlays.get(id); o != nil {
		if image, ok := o.r.(*cimi.MachineImage); ok {
			return image.RelatedImage, nil
		}
	}
	r, err := p.db.get(ctx, id)
	if image, ok := r.(*cimi.MachineImage); ok {
		return image.RelatedImage, err
	}
	return nil, err
}

// relate puts what a deleted image was related to in the place of it: snapshots
// and machines go on from the one before (T16, T21).
func relate(r cimi.Resource, gone string, instead *cimi.Ref[cimi.MachineImage]) bool {
	switch r := r.(type) {
	case *cimi.MachineImage:
		if cimi.HrefOf(r.RelatedImage) == gone {
			r.RelatedImage = instead
			return true
		}
	case *cimi.Machine:
		if cimi.HrefOf(r.LatestSnapshot) == gone {
			r.LatestSnapshot = instead
			return true
		}
	}
	return false
}

package provider

import (
	"context"
	"errors"
	"net/http"
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

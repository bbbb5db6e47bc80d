package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// writableExtension tells which extension attributes a consumer may change.
func writableExtension(name string) bool {
	return name == cimi.OVFStartup || name == cimi.OVFProperties
}

// Update changes the writable attributes of a resource (4.2.1.3).
func (p *Provider) Update(ctx context.Context, id string, r cimi.Resource, opts cimi.UpdateOptions) (*cimi.Accepted, error) {
	id = plainID(id)
	if unknown := cimi.UnknownAttributes(r, ourExtension); len(unknown) > 0 {
		return nil, cimi.Errorf(http.StatusBadRequest, "unknown attributes: %s", strings.Join(unknown, ", "))
	}
	kind, key, _ := strings.Cut(id, "/")
	if _, ok := storedItem(kind); ok {
		return p.updateStored(ctx, kind, id, r, opts)
	}
	if kind == "jobs" {
		return nil, cimi.Errorf(http.StatusMethodNotAllowed, "%s: a Job has nothing to change", id)
	}
	w, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	root := w.rootOf(kind, key)
	if root == nil {
		return nil, notFound(id)
	}
	defer p.changes.lock(root.ID)()
	if w, err = p.look(ctx); err != nil {
		return nil, err
	}
	current := p.show(w, kind, key)
	if current == nil {
		return nil, notFound(id)
	}
	if opts.IfMatch != "" && opts.IfMatch != cimi.ETag(current) {
		return nil, cimi.Errorf(http.StatusPreconditionFailed, "%s has changed", id)
	}
	next := cimi.Clone(current)
	if err := cimi.Update(next, r, opts.Select, writableExtension); err != nil {
		return nil, err
	}
	if err := p.apply(ctx, root.ID, kind, key, current, next); err != nil {
		return nil, asError(err)
	}
	if err := p.db.setOverlay(ctx, id, next.Base().Properties); err != nil {
		return nil, asError(err)
	}
	p.world.overlayChanged()
	now, err := p.Get(ctx, id, cimi.ReadOptions{})
	if err != nil {
		return nil, err
	}
	return &cimi.Accepted{Done: true, Resource: now}, nil
}

// rootOf is the outermost System that holds kind/key, nil when none does.
func (w *world) rootOf(kind, key string) *host.System {
	switch kind {
	case "systems":
		return w.system[key].root
	case "machines":
		return w.machine[key].root
	case "volumes":
		return w.disk[key].root
	case "networks", "segments":
		return w.network[key].root
	case "interfaces", "endpoints":
		if machine, _, ok := cutCard(key); ok {
			return w.machine[machine].root
		}
	}
	return nil
}

// apply brings what differs between two views of a resource to the host.
func (p *Provider) apply(ctx context.Context, rootID, kind, key string, was, next cimi.Resource) error {
	root, err := p.host.System(ctx, rootID)
	if err != nil {
		return err
	}
	changed, err := setView(root, kind, key, was, next)
	if err != nil || !changed {
		return err
	}
	root.Updated = time.Now().UTC()
	return p.host.Update(ctx, root)
}

// setView sets the fields of a part of root that next shows otherwise than
// was. Other writable attributes are refused, never ignored.
func setView(root *host.System, kind, key string, was, next cimi.Resource) (changed bool, err error) {
	set := func(to *string, name string) {
		old, v := text(was, name), text(next, name)
		if old != v && (v != "" || name != "name") { // a resource of the host keeps its name
			*to, changed = v, true
		}
	}
	handled := map[string]bool{"name": true, "description": true, "properties": true, "parent": true}
	switch kind {
	case "systems":
		for s := range root.All() {
			if s.ID == key {
				if s == root && !s.Collection && len(s.Machines) == 1 && s.Machines[0].Name == s.Name {
					set(&s.Machines[0].Name, "name") // they share their name (4.3)
				}
				set(&s.Name, "name")
				set(&s.Description, "description")
			}
		}
	case "machines":
		handled["cpu"], handled["memory"] = true, true
		for m := range root.AllMachines() {
			if m.ID != key {
				continue
			}
			set(&m.Name, "name")
			set(&m.Description, "description")
			if v, ok := cimi.Value(next, "cpu").(int64); ok && v != cimi.Value(was, "cpu") {
				m.CPUs, changed = int(v), true
			}
			if v, ok := cimi.Value(next, "memory").(int64); ok && v != cimi.Value(was, "memory") {
				m.MemoryBytes, changed = v*1024, true
			}
			if order, ok := startOrder(next); ok && order != m.StartOrder {
				m.StartOrder, changed = order, true
			}
		}
	case "volumes":
		for d := range root.AllDisks() {
			if d.ID == key {
				set(&d.Name, "name")
			}
		}
	case "networks":
		for n := range root.AllNetworks() {
			if n.ID == key {
				set(&n.Name, "name")
				set(&n.Description, "description")
			}
		}
	case "endpoints":
		handled["address"], handled["origin"], handled["name"] = true, true, false
		machine, i, _ := cutCard(key)
		for m := range root.AllMachines() {
			if m.ID == machine && i < len(m.NICs) {
				set(&m.NICs[i].MAC, "address")
			}
		}
	}
	for _, a := range cimi.Attributes(was.TypeName()) {
		if !a.ConsumerWritable || handled[a.Name] {
			continue
		}
		if v := cimi.Value(next, a.Name); v != nil && fmt.Sprint(cimi.Value(was, a.Name)) != fmt.Sprint(v) && a.Type != "ref" {
			return false, cimi.Errorf(http.StatusBadRequest, "%s of a %s cannot be changed here", a.Name, was.TypeName())
		}
	}
	return changed, nil
}

func text(r cimi.Resource, name string) string {
	s, _ := cimi.Value(r, name).(string)
	return s
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

// Delete removes a resource: a System with all its parts, a template, a Job, an export.
func (p *Provider) Delete(ctx context.Context, id string) (*cimi.Accepted, error) {
	id = plainID(id)
	kind, key, _ := strings.Cut(id, "/")
	if _, ok := storedItem(kind); ok {
		there, err := p.db.remove(ctx, id)
		if err != nil {
			return nil, asError(err)
		}
		if !there {
			return nil, notFound(id)
		}
		return &cimi.Accepted{Done: true}, nil
	}
	switch kind {
	case "jobs":
		t := p.jobs.get(id)
		if t == nil {
			return nil, notFound(id)
		}
		return done(p.jobs.remove(ctx, t))
	case "exports":
		x := p.exports.byName(id)
		if x == nil {
			return nil, notFound(id)
		}
		return done(p.exports.remove(ctx, x))
	}
	w, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	s, ok := w.system[key]
	switch {
	case kind == "systems" && ok && s.parent == nil:
		return p.deleteSystem(ctx, s.System)
	case kind == "systems" && p.pendingSystem(key) != nil:
		return nil, cimi.Errorf(http.StatusConflict, "%s is being created: stop its Job", id)
	case p.show(w, kind, key) != nil:
		return nil, cimi.Errorf(http.StatusMethodNotAllowed, "%s: parts of a System are deleted with it", id)
	}
	return nil, notFound(id)
}

func done(err error) (*cimi.Accepted, error) {
	if err != nil {
		return nil, asError(err)
	}
	return &cimi.Accepted{Done: true}, nil
}

func (p *Provider) deleteSystem(ctx context.Context, s *host.System) (*cimi.Accepted, error) {
	if !stopped(s) {
		return nil, cimi.Errorf(http.StatusConflict, "systems/%s: %w: stop its machines first", s.ID, host.ErrBusy)
	}
	t, err := p.jobs.start(ctx, cimi.RelDelete, "systems/"+s.ID, func(ctx context.Context, t *task) error {
		defer p.changes.lock(s.ID)()
		err := p.host.Delete(ctx, s.ID)
		if err != nil {
			return err
		}
		return errors.Join(p.exports.removeOf(ctx, s.ID), p.db.removeOverlays(ctx, idsOf(s)))
	})
	if err != nil {
		return nil, asError(err)
	}
	return p.answer(ctx, t)
}

// answer waits a little, so that what is quickly done is answered as done.
func (p *Provider) answer(ctx context.Context, t *task) (*cimi.Accepted, error) {
	if !t.ended(ctx, 2*time.Second) {
		return &cimi.Accepted{Job: t.job.ID}, nil
	}
	j := t.snapshot()
	if j.State != cimi.JobSuccess {
		return nil, &cimi.Error{Status: http.StatusInternalServerError, Message: j.StatusMessage, Job: j}
	}
	return &cimi.Accepted{Job: j.ID, Done: true}, nil
}

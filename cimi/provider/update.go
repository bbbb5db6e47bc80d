package provider

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// writableExtension tells which extension attributes a consumer may change.
func writableExtension(name string) bool {
	return name == cimi.OVFStartup || name == cimi.OVFProperties
}

// Update changes the writable attributes of a resource (4.2.1.3).
func (p *Provider) Update(ctx context.Context, id string, r cimi.Resource, opts cimi.UpdateOptions) (*cimi.Accepted, error) {
	id = plainID(id)
	if unknown := unknownAttributes(r); len(unknown) > 0 {
		return nil, cimi.Errorf(http.StatusBadRequest, "unknown attributes: %s", strings.Join(unknown, ", "))
	}
	acc, err := p.update(ctx, id, r, opts)
	return acc, asError(err)
}

func (p *Provider) update(ctx context.Context, id string, r cimi.Resource, opts cimi.UpdateOptions) (*cimi.Accepted, error) {
	// What the resource is made of tells what else may change it meanwhile.
	key, err := p.lockOf(ctx, id)
	if err != nil {
		return nil, err
	}
	defer p.changes.lock(key)()
	was, err := p.read(ctx, id)
	if err != nil || was == nil {
		return nil, orNotFound(err, id)
	}
	shown := cimi.Clone(was)
	cimi.Public(shown)
	kind, _, _ := strings.Cut(id, "/")
	if id != entryPoint && !p.editable(subject{id: id, kind: kind, r: was}) {
		return nil, cimi.Errorf(http.StatusMethodNotAllowed, "%s: a %s cannot be changed (state %s)", id, was.TypeName(), stateOf(was))
	}
	if opts.IfMatch != "" && opts.IfMatch != cimi.ETag(shown) {
		return nil, cimi.Errorf(http.StatusPreconditionFailed, "%s has changed", id)
	}
	next := cimi.Clone(was)
	extension := writableExtension
	if kindByID[kind].stored() {
		extension = func(name string) bool { return ourExtension(name) && name != cimi.OVFID }
	}
	if err := cimi.Update(next, r, opts.Select, extension); err != nil {
		return nil, err
	}
	if err := p.reset(ctx, id, next, r, opts); err != nil {
		return nil, err
	}
	if err := checkProperties(next); err != nil {
		return nil, err
	}
	if err := p.checkUpdate(ctx, next); err != nil {
		return nil, err
	}
	next.Base().Updated = now()
	c := &change{}
	detail := changed(was, next)
	if err := p.applyUpdate(ctx, c, id, was, next); err != nil {
		return nil, err
	}
	if id != entryPoint {
		c.modelEvent(p, next, "update", detail)
	}
	return p.accept(ctx, c, cimi.RelEdit, id, "", nil)
}

// lockOf is the key under which changes of a resource stand in line: its root
// System where the host holds it, else itself.
func (p *Provider) lockOf(ctx context.Context, id string) (string, error) {
	w, done, err := p.look(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	kind, key, _ := strings.Cut(id, "/")
	if h, ok := w.find(kind, key); ok {
		return h.root.ID, nil
	}
	return id, nil
}

// changed names the attributes that differ.
func changed(was, next cimi.Resource) string {
	var out []string
	for _, a := range cimi.Attributes(was.TypeName()) {
		if a.Name == "updated" || a.Name == "operations" || a.WriteOnly {
			continue
		}
		if !sameAttribute(cimi.Value(was, a.Name), cimi.Value(next, a.Name)) {
			out = append(out, a.Name)
		}
	}
	return strings.Join(out, ", ")
}

// sameAttribute compares two values of an attribute.
func sameAttribute(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return cimi.SameValue(a, b)
}

// checkUpdate refuses values that the metadata of the resource does not allow.
func (p *Provider) checkUpdate(ctx context.Context, next cimi.Resource) error {
	href := cimi.HrefOf(next.Base().ResourceMetadata)
	if href == "" {
		return p.checkStored(next)
	}
	r, err := p.read(ctx, href)
	if err != nil && !cimi.IsNotFound(err) {
		return err
	}
	m, _ := r.(*cimi.ResourceMetadata)
	if err := p.checkMetadata(m, next); err != nil {
		return err
	}
	return p.checkStored(next)
}

// applyUpdate brings what differs to where it is kept.
func (p *Provider) applyUpdate(ctx context.Context, c *change, id string, was, next cimi.Resource) error {
	kind, key, _ := strings.Cut(id, "/")
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	h, held := w.find(kind, key)
	done()
	switch {
	case id == entryPoint, kind == "eventLogs":
		c.overlay(p, id, overlayOf(was, next, p.overlays.get(id)))
		return nil
	case kind == "jobs":
		return p.updateJob(c, next.(*cimi.Job))
	case held:
		return p.updateHeld(ctx, c, h, was, next)
	}
	current, err := p.db.get(ctx, id)
	if err != nil || current == nil {
		return orNotFound(err, id)
	}
	if err := p.moveStored(ctx, c, id, was, next); err != nil {
		return err
	}
	// What is shown besides is not stored.
	next = cimi.Clone(next)
	b := next.Base()
	b.Operations = nil
	if cimi.HrefOf(b.ResourceMetadata) == "resourceMetadata/"+next.TypeName() {
		b.ResourceMetadata = nil
	}
	if m, ok := next.(*cimi.Meter); ok {
		c.then(func() { p.meters.add(m) })
	}
	c.put(kind, next)
	return nil
}

// updateJob keeps what a consumer says of a Job: name, description, properties.
func (p *Provider) updateJob(c *change, j *cimi.Job) error {
	if t := p.jobs.get(j.ID); t != nil {
		p.jobs.mu.Lock()
		t.job.Name, t.job.Description, t.job.Properties = j.Name, j.Description, j.Properties
		p.jobs.mu.Unlock()
		return nil
	}
	stored := cimi.Clone(j)
	stored.Operations = nil
	c.write(func(tx *sql.Tx) error { return putJobs(tx, stored) })
	return nil
}

// overlayOf is what must lie over a resource so that it shows what next says
// where that differs from was, besides what lies there already. Attributes that
// were laid and are gone are not laid any more.
func overlayOf(was, next cimi.Resource, old *overlay, native ...string) cimi.Resource {
	over := cimi.New(was.TypeName())
	if old != nil {
		over = cimi.Clone(old.r)
	}
	for _, a := range cimi.Attributes(was.TypeName()) {
		if !a.ConsumerWritable || contains(native, a.Name) || a.Name == "parent" {
			continue
		}
		if !sameAttribute(cimi.Value(was, a.Name), cimi.Value(next, a.Name)) {
			cimi.CopyAttribute(over, next, a.Name)
		}
	}
	if cimi.Empty(over) {
		return nil
	}
	return over
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// touched is when a host's resource was changed last.
func touched() time.Time { return time.Now().UTC() }

var errNotHere = errors.New("cannot be changed here")

func notHere(r cimi.Resource, attr string) error {
	return cimi.Errorf(http.StatusBadRequest, "%s of a %s %w", attr, r.TypeName(), errNotHere)
}

package provider

import (
	"context"
	"database/sql"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

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

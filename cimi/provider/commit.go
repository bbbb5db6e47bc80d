package provider

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// change is what a request changes in the Provider's own state: durable in one
// step, and seen only then.
type change struct {
	writes []func(*sql.Tx) error
	after  []func()
}

func (c *change) write(do func(*sql.Tx) error) { c.writes = append(c.writes, do) }
func (c *change) then(do func())               { c.after = append(c.after, do) }

// put stores a resource.
func (c *change) put(collection string, r cimi.Resource) {
	c.write(func(tx *sql.Tx) error { return putResource(tx, collection, r) })
}

// overlay lays r over what the host holds under id, as an update of it; nil
// takes away what lies there.
func (c *change) overlay(p *Provider, id string, r cimi.Resource) { c.overlayAt(p, id, r, time.Now()) }

// never is when what no consumer has changed yet was changed.
var never = time.Unix(0, 0)

// overlayQuietly is overlay for what is no update: operations do not change the
// time of it (5.7.1).
func (c *change) overlayQuietly(p *Provider, id string, r cimi.Resource) {
	at := never
	if old := p.overlays.get(id); old != nil {
		at = old.updated
	}
	c.overlayAt(p, id, r, at)
}

func (c *change) overlayAt(p *Provider, id string, r cimi.Resource, at time.Time) {
	c.write(func(tx *sql.Tx) error { return putOverlay(tx, id, r, at) })
	c.then(func() { p.overlays.set(id, r, at) })
}

// link makes a resource an entry of a collection.
func (c *change) link(p *Provider, collection, member string, x extra) {
	n := link{member, x}
	c.write(func(tx *sql.Tx) error { return putLink(tx, collection, n) })
	c.then(func() { p.links.set(collection, n) })
}

// unlink takes an entry out of a collection.
func (c *change) unlink(p *Provider, collection, member string) {
	c.write(func(tx *sql.Tx) error { return dropLink(tx, collection, member) })
	c.then(func() { p.links.drop(collection, member) })
}

// commit makes a change durable, and seen.
func (p *Provider) commit(c *change) error {
	if len(c.writes) > 0 {
		if err := p.db.change(func(tx *sql.Tx) error {
			for _, do := range c.writes {
				if err := do(tx); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for _, do := range c.after {
		do()
	}
	return nil
}

// done commits a change that is complete, with the Job that tells of it: each
// change has one (4.2.1.6). The target stands first among what was affected.
func (p *Provider) done(c *change, action, target string, affected ...string) (*cimi.Job, error) {
	j := newJob(action, target)
	for _, id := range affected {
		if !slices.ContainsFunc(j.AffectedResources, func(r cimi.Ref[cimi.Unknown]) bool { return r.Href == id }) {
			j.AffectedResources = append(j.AffectedResources, cimi.Ref[cimi.Unknown]{Href: id})
		}
	}
	if action == cimi.RelDelete { // what is gone is not listed (5.17.1)
		j.AffectedResources = nil
	}
	j.State, j.Progress, j.ReturnCode = cimi.JobSuccess, cimi.Int(100), cimi.Int(cimi.ReturnCode(0))
	c.write(func(tx *sql.Tx) error { return putJobs(tx, j) })
	return j, p.commit(c)
}

// accept answers a change that is complete.
func (p *Provider) accept(ctx context.Context, c *change, action, target, location string, shown cimi.Resource) (*cimi.Accepted, error) {
	affected := []string{}
	if location != "" {
		affected = append(affected, location)
	}
	j, err := p.done(c, action, target, affected...)
	if err != nil {
		return nil, err
	}
	acc := &cimi.Accepted{Job: j.ID, Done: true, Location: location, Resource: shown}
	if shown == nil && action != cimi.RelDelete {
		id := target
		if location != "" {
			id = location
		}
		if acc.Resource, err = p.read(ctx, id); err != nil {
			return nil, err
		}
	}
	if acc.Resource != nil {
		cimi.Public(acc.Resource)
	}
	return acc, nil
}

package client

import (
	"context"

	"github.com/cimimove/cimimove/cimi"
)

// Version is the dialect that the cloud speaks, as its entry point showed it.
func (c *Client) Version() cimi.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version == 0 {
		return cimi.V2
	}
	return c.version
}

// unwrap makes a collection of 1.x, whose entries are wrappers, the 2.0 one of
// the resources themselves. Those that are not expanded are read.
func (c *Client) unwrap(ctx context.Context, col *cimi.Collection) error {
	item := cimi.Wrapped(col.Item)
	if item == "" {
		return nil
	}
	kept := col.Items[:0]
	for _, w := range col.Items {
		r, ok := cimi.Unwrap(w)
		if !ok {
			continue
		}
		if r.Base().Created == nil && r.Base().Operations == nil && item != "NetworkInterface" && r.Base().ID != "" {
			full, err := c.Get(ctx, r.Base().ID, cimi.ReadOptions{})
			if cimi.IsNotFound(err) {
				continue // gone meanwhile
			}
			if err != nil {
				return err
			}
			r = located(r, full)
		}
		kept = append(kept, r)
	}
	col.Item, col.Items = item, kept
	return nil
}

// located keeps where a Volume appears in the Machine.
func located(entry, full cimi.Resource) cimi.Resource {
	l, ok := entry.(*cimi.LocatedVolume)
	v, is := full.(*cimi.Volume)
	if !ok || !is {
		return full
	}
	return &cimi.LocatedVolume{Volume: *v, InitialLocation: l.InitialLocation}
}

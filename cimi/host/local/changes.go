package local

import (
	"context"
	"database/sql"
	"errors"

	"github.com/cimimove/cimimove/cimi/host"
)

// maxChanges is how many changes are remembered for those who follow them;
// whoever has missed more reads everything anew.
const maxChanges = 4096

// changed notes that a System was made, changed or removed.
func (h *Host) changed(ids ...string) {
	h.follow.Lock()
	defer h.follow.Unlock()
	for _, id := range ids {
		h.version++
		h.changes = append(h.changes, id)
	}
	if over := len(h.changes) - maxChanges; over > 0 {
		h.changes = append(h.changes[:0:0], h.changes[over:]...)
	}
}

// Version counts the changes made through this Host.
func (h *Host) Version() int64 {
	h.follow.Lock()
	defer h.follow.Unlock()
	return h.version
}

// Changed reads what has changed since a version; see host.Tracker.
func (h *Host) Changed(ctx context.Context, since int64) (made []*host.System, gone []string, now int64, ok bool, err error) {
	h.follow.Lock()
	now = h.version
	missed := now - since
	if missed < 0 || missed > int64(len(h.changes)) {
		h.follow.Unlock()
		return nil, nil, now, false, nil
	}
	ids := map[string]bool{}
	var order []string
	for _, id := range h.changes[int64(len(h.changes))-missed:] {
		if !ids[id] {
			ids[id] = true
			order = append(order, id)
		}
	}
	h.follow.Unlock()
	for _, id := range order {
		s, err := h.record(ctx, id)
		switch {
		case errors.Is(err, host.ErrNotFound):
			gone = append(gone, id)
		case err != nil:
			return nil, nil, 0, false, err
		default:
			made = append(made, s)
		}
	}
	return made, gone, now, true, nil
}

// voidDigests forgets the digests of those disks of a System that are given.
func (h *Host) voidDigests(ctx context.Context, id string, disks map[string]bool) error {
	h.write.Lock()
	defer h.write.Unlock()
	err := transact(ctx, h.db, func(tx *sql.Tx) error {
		s, err := txRecord(ctx, tx, id)
		if err != nil {
			return err
		}
		for d := range s.AllDisks() {
			if disks[d.ID] {
				d.ContentDigest, d.ContentBytes = "", d.CapacityBytes
			}
		}
		return putRecord(ctx, tx, s)
	})
	if err == nil {
		h.changed(id)
	}
	return err
}

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Make stores a System without a package; see host.Maker.
func (h *Host) Make(ctx context.Context, s *host.System, fill host.Fill) (err error) {
	if s.Created.IsZero() {
		s.Created = time.Now().UTC()
	}
	s.Updated = s.Created
	at, err := h.site(ctx)
	if err != nil {
		return err
	}
	disks := slices.Collect(s.AllDisks())
	places, note, err := h.planned(ctx, disks)
	if err != nil {
		return err
	}
	if runs(s) {
		for m := range s.AllMachines() {
			note.Machines = append(note.Machines, m.ID)
		}
	}
	machines, err := h.described(ctx, s, places)
	if err != nil {
		return err
	}
	for _, m := range machines {
		if err := h.check(ctx, at, m, nil); err != nil {
			return err
		}
	}
	if err := h.ledger.Begin(ctx, s.ID, note); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.undo(context.WithoutCancel(ctx), s.ID, note))
		}
	}()
	if err := h.fill(ctx, disks, places, fill); err != nil {
		return err
	}
	e := &ledger.Entry{System: s, Places: encodePlaces(places)}
	for _, m := range machines {
		if err := h.settle(ctx, at, e, m); err != nil {
			return fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	return h.ledger.Commit(context.WithoutCancel(ctx), e)
}

// planned says where new disks shall be.
func (h *Host) planned(ctx context.Context, disks []*host.Disk) (map[string]place, ledger.Note, error) {
	places, note := map[string]place{}, ledger.Note{}
	for _, d := range disks {
		at, _, err := h.wanted(ctx, d)
		if err != nil {
			return nil, note, err
		}
		places[d.ID] = at
		note.Disks, note.Pools = append(note.Disks, contentID(d)), append(note.Pools, at.pool)
	}
	return places, note, nil
}

// fill makes the volumes of disks; one that nothing comes to stays blank.
func (h *Host) fill(ctx context.Context, disks []*host.Disk, places map[string]place, fill host.Fill) error {
	for _, d := range disks {
		sink := h.newSink(ctx, places[d.ID], formatOf(places[d.ID].volume))
		if fill != nil {
			if err := fill(ctx, d, sink); err != nil {
				return err
			}
		}
		if !sink.begun() {
			if err := sink.Begin(disk.Info{Format: disk.Raw, Size: d.CapacityBytes}); err != nil {
				return fmt.Errorf("disk %s: %w", d.Name, err)
			}
		}
		if err := sink.finish(); err != nil {
			return fmt.Errorf("disk %s: %w", d.Name, err)
		}
	}
	return nil
}

// Alter changes the parts of a System; see host.Maker. Its note bears an id of
// its own: what the record names in the end stays, the rest goes.
func (h *Host) Alter(ctx context.Context, id string, disks []*host.Disk, fill host.Fill, change func(*host.System) error) (_ *host.System, err error) {
	places, note, err := h.planned(ctx, disks)
	if err != nil {
		return nil, err
	}
	note.Of = id
	noteID := host.NewID()
	if err := h.ledger.Begin(ctx, noteID, note); err != nil {
		return nil, err
	}
	defer func() {
		// Whether it failed or not: volumes that no record names go.
		err = errors.Join(err, h.undo(context.WithoutCancel(ctx), noteID, note))
	}()
	if err := h.fill(ctx, disks, places, fill); err != nil {
		return nil, err
	}
	h.write.Lock()
	defer h.write.Unlock()
	e, err := h.ledger.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := h.states(ctx, e.System); err != nil {
		return nil, err
	}
	was, before := *e, placesOf(e, h.opts.Pool)
	next, err := h.ledger.Get(ctx, id) // a copy of its own
	if err != nil {
		return nil, err
	}
	dates := host.DatesOf(next.System)
	if err := change(next.System); err != nil {
		return nil, err
	}
	next.System.Updated = time.Now().UTC()
	dates.Keep(next.System, next.System.Updated)
	now, err := placed(next.System, before, places, disks)
	if err != nil {
		return nil, err
	}
	held := map[string]bool{}
	for d := range next.System.AllDisks() {
		held[contentID(d)] = true
	}
	for d := range e.System.AllDisks() {
		if !held[contentID(d)] {
			note.Disks, note.Pools = append(note.Disks, contentID(d)), append(note.Pools, before[d.ID].pool)
		}
	}
	known := map[string]bool{}
	for m := range e.System.AllMachines() {
		known[m.ID] = true
	}
	for m := range next.System.AllMachines() {
		if !known[m.ID] {
			note.Machines = append(note.Machines, m.ID)
		}
	}
	if err := h.ledger.Renote(ctx, noteID, note); err != nil {
		return nil, err
	}
	if err := h.redefine(ctx, e, next.System, now); err != nil {
		return nil, errors.Join(err, h.redefine(context.WithoutCancel(ctx), next, was.System, before))
	}
	next.Places = encodePlaces(now)
	if err := h.ledger.Replace(context.WithoutCancel(ctx), next); err != nil {
		return nil, err
	}
	return next.System, nil
}

// placed are the places of the disks that a changed System holds: those it had,
// and those that were made, each of which must be in it.
func placed(s *host.System, before, made map[string]place, disks []*host.Disk) (map[string]place, error) {
	out := map[string]place{}
	put := maps.Clone(made)
	fresh := map[string]string{}
	for _, d := range disks {
		fresh[d.ID] = contentID(d)
	}
	for d := range s.AllDisks() {
		switch at, old := before[d.ID]; {
		case fresh[d.ID] == contentID(d):
			out[d.ID] = made[d.ID]
			delete(put, d.ID)
		case old:
			out[d.ID] = at
		default:
			return nil, fmt.Errorf("disk %s was not made: %w", d.Name, host.ErrUnsupported)
		}
	}
	if len(put) > 0 {
		return nil, fmt.Errorf("a disk was made and not put in: %w", host.ErrUnsupported)
	}
	return out, nil
}

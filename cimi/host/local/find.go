package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/cimimove/cimimove/cimi/host"
)

// find gives the System that holds a machine, with its descriptor. It looks
// where the machine was seen last, and reads all Systems only when it is not
// there: with many of them, operations on each would take their square.
func (r *Runner) find(ctx context.Context, machine string) (*host.System, *host.Machine, error) {
	r.mu.Lock()
	place := r.places[machine]
	r.mu.Unlock()
	if place != "" {
		s, m, err := r.findIn(ctx, place, machine)
		if err == nil || !errors.Is(err, host.ErrNotFound) {
			return s, m, err
		}
	}
	places := map[string]string{}
	for s, err := range r.Host.Systems(ctx) {
		if err != nil {
			return nil, nil, err
		}
		for m := range s.AllMachines() {
			places[m.ID] = s.ID
		}
	}
	r.mu.Lock()
	r.places = places
	r.reads++
	r.mu.Unlock()
	return r.findIn(ctx, places[machine], machine)
}

func (r *Runner) findIn(ctx context.Context, system, machine string) (*host.System, *host.Machine, error) {
	if system != "" {
		s, err := r.Host.System(ctx, system)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return nil, nil, err
		}
		if err == nil {
			for m := range s.AllMachines() {
				if m.ID == machine {
					return s, m, nil
				}
			}
		}
	}
	return nil, nil, fmt.Errorf("machine %s: %w", machine, host.ErrNotFound)
}

// diskOf finds a disk of s, or of the System that it stands in.
func (r *Runner) diskOf(ctx context.Context, s *host.System, id string) (owner string, d *host.Disk, err error) {
	if d := s.Disk(id); d != nil {
		return s.ID, d, nil
	}
	if owner, err = r.ownerOf(ctx, id); err != nil {
		return "", nil, err
	}
	o, err := r.Host.record(ctx, owner)
	if err != nil {
		return "", nil, err
	}
	if d := o.Disk(id); d != nil {
		return owner, d, nil
	}
	return "", nil, fmt.Errorf("disk %s: %w", id, host.ErrNotFound)
}

// ownerOf is the System that a disk stands in.
func (h *Host) ownerOf(ctx context.Context, disk string) (system string, err error) {
	err = h.db.QueryRowContext(ctx, "SELECT system FROM disks WHERE id = ?", disk).Scan(&system)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("disk %s: %w", disk, host.ErrNotFound)
	}
	return system, err
}

// void forgets the digests of disks, wherever they stand.
func (r *Runner) void(ctx context.Context, disks map[string]bool) error {
	owners := map[string]bool{}
	for id := range disks {
		owner, err := r.ownerOf(ctx, id)
		if err != nil {
			return err
		}
		owners[owner] = true
	}
	for owner := range owners {
		s, err := r.Host.record(ctx, owner)
		if err != nil {
			return err
		}
		for d := range s.AllDisks() {
			if disks[d.ID] && (d.ContentDigest != "" || d.ContentBytes == 0) {
				if err := r.Host.voidDigests(ctx, owner, disks); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

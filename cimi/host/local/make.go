package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

var _ host.Maker = (*Host)(nil)

// Make stores a System without a package; see host.Maker.
func (h *Host) Make(ctx context.Context, s *host.System, fill host.Fill) (err error) {
	if err := h.freeID(ctx, s.ID); err != nil {
		return err
	}
	if s.Created.IsZero() {
		s.Created = time.Now().UTC()
	}
	s.Updated = s.Created
	return h.withDisks(ctx, s.ID, slices.Collect(s.AllDisks()), fill, func(tx *sql.Tx, stamps map[string]stamp) error {
		return insertSystem(ctx, tx, s, kept{}, stamps)
	})
}

// Alter changes the parts of a System; see host.Maker.
func (h *Host) Alter(ctx context.Context, id string, disks []*host.Disk, fill host.Fill, change func(*host.System) error) (*host.System, error) {
	var s *host.System
	var gone []string
	err := h.withDisks(ctx, id, disks, fill, func(tx *sql.Tx, stamps map[string]stamp) error {
		var err error
		if s, err = txRecord(ctx, tx, id); err != nil {
			return err
		}
		before := map[string]string{} // path to id
		for d := range s.AllDisks() {
			before[diskPath(d)] = d.ID
		}
		dates := host.DatesOf(s)
		if err := change(s); err != nil {
			return err
		}
		s.Updated = time.Now().UTC()
		dates.Keep(s, s.Updated)
		made := map[string]bool{}
		for _, d := range disks {
			made[diskPath(d)] = true
		}
		ids := map[string]bool{}
		for d := range s.AllDisks() {
			path := diskPath(d)
			if _, old := before[path]; !old && !made[path] {
				return fmt.Errorf("disk %s was not made: %w", d.Name, host.ErrUnsupported)
			}
			ids[d.ID] = true
			delete(before, path)
			delete(made, path)
		}
		if len(made) > 0 {
			return fmt.Errorf("a disk was made and not put in: %w", host.ErrUnsupported)
		}
		for path, old := range before {
			gone = append(gone, path)
			if !ids[old] {
				if _, err := tx.ExecContext(ctx, "DELETE FROM disks WHERE id = ?", old); err != nil {
					return err
				}
			}
		}
		if err := putRecord(ctx, tx, s); err != nil {
			return err
		}
		return errors.Join(insertStamps(ctx, tx, id, stamps), disown(ctx, tx, gone))
	})
	if err != nil {
		return nil, err
	}
	if len(gone) == 0 {
		return s, nil
	}
	return s, h.removeUnowned(context.WithoutCancel(ctx), gone...)
}

// withDisks makes the files of disks, syncs them, and commits them together
// with what store records of the System id.
func (h *Host) withDisks(ctx context.Context, id string, disks []*host.Disk, fill host.Fill, store func(*sql.Tx, map[string]stamp) error) (err error) {
	var paths []string
	for _, d := range disks {
		paths = append(paths, diskPath(d))
	}
	in := &incoming{host: h, disks: map[string]*os.File{}}
	stamps := map[string]stamp{}
	if len(disks) > 0 {
		if err := transact(ctx, h.db, func(tx *sql.Tx) error { return disown(ctx, tx, paths) }); err != nil {
			return err
		}
		defer func() {
			in.close()
			if err != nil {
				err = errors.Join(err, h.removeUnowned(context.WithoutCancel(ctx), paths...))
			}
		}()
		for _, d := range disks {
			if err := in.make(ctx, d, fill); err != nil {
				return err
			}
		}
		if stamps, err = in.sync(); err != nil {
			return err
		}
	}
	h.write.Lock() // before the transaction, as everywhere
	defer h.write.Unlock()
	if err := transact(ctx, h.db, func(tx *sql.Tx) error {
		return errors.Join(store(tx, stamps), own(ctx, tx, paths))
	}); err != nil {
		return err
	}
	h.changed(id)
	return nil
}

func (in *incoming) make(ctx context.Context, d *host.Disk, fill host.Fill) error {
	sink, err := in.Disk(ctx, d)
	if err != nil {
		return err
	}
	f := in.disks[d.ID]
	if fill != nil {
		if err := fill(ctx, d, sink); err != nil {
			return err
		}
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() == 0 { // nothing came
		if err := raw.NewSink(f).Begin(disk.Info{Format: disk.Raw, Size: d.CapacityBytes}); err != nil {
			return fmt.Errorf("disk %s: %w", d.Name, err)
		}
	}
	return nil
}

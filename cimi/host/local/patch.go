package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
)

var (
	_ host.Patcher    = (*Host)(nil)
	_ host.PartProver = (*Host)(nil)
)

// patching serialises changes of parts of a disk and what proves them.
type patching [16]sync.Mutex

func (p *patching) lock(diskID string) (unlock func()) {
	sum := fnv.New32a()
	_, _ = io.WriteString(sum, diskID)
	m := &p[sum.Sum32()%uint32(len(p))]
	m.Lock()
	return m.Unlock
}

// Patches: of any disk.
func (h *Host) Patches(*host.Disk) bool { return true }

// Patch writes blocks into the file of a disk, which is unproved from before
// the first byte on.
func (h *Host) Patch(ctx context.Context, diskID string, blocks []host.Block) error {
	defer h.patching.lock(diskID)()
	d, err := h.unprove(ctx, diskID, blocks)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(h.dir, diskPath(d)), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		if err = ctx.Err(); err == nil {
			err = overwrite(f, b)
		}
		if err != nil {
			break
		}
	}
	return noRoom("disk "+d.Name, d.CapacityBytes, errors.Join(err, f.Close()))
}

// noRoom says what an error is about; of a full file system it is ErrNoSpace.
func noRoom(object string, need int64, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &host.NoSpaceError{Object: object, Need: need, Free: -1, Err: err}
	}
	return fmt.Errorf("%s: %w", object, err)
}

// overwrite replaces what is there. Zeros leave a hole where they can.
func overwrite(f *os.File, b host.Block) error {
	if b.Data != nil {
		_, err := f.WriteAt(b.Data, b.Offset)
		return err
	}
	if clearRange(f, b.Offset, b.Length) == nil {
		return nil
	}
	zeros := make([]byte, min(b.Length, disk.BlockSize))
	for off := b.Offset; off < b.Offset+b.Length; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), b.Offset+b.Length-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// unprove notes that a disk is about to be changed, where it may be.
func (h *Host) unprove(ctx context.Context, diskID string, blocks []host.Block) (d *host.Disk, err error) {
	change := func(s *host.System) (changed bool, err error) {
		if d = s.Disk(diskID); d == nil {
			return false, fmt.Errorf("disk %s: %w", diskID, host.ErrNotFound)
		}
		for _, b := range blocks {
			if b.Offset < 0 || b.Length <= 0 || b.Offset > d.CapacityBytes-b.Length || b.Data != nil && int64(len(b.Data)) != b.Length {
				return false, fmt.Errorf("disk %s: %d bytes at %d exceed its %d: %w", d.Name, b.Length, b.Offset, d.CapacityBytes, host.ErrUnsupported)
			}
		}
		for m := range s.AllMachines() {
			for _, a := range m.Attachments {
				if a.DiskID == diskID && m.State != host.Stopped && m.State != host.Failed {
					return false, fmt.Errorf("disk %s: machine %s is %s: %w", d.Name, m.Name, m.State, host.ErrBusy)
				}
			}
		}
		changed = !d.Unproved
		d.Unproved, d.ContentDigest = true, ""
		return changed, nil
	}
	return d, h.alterRecord(ctx, diskID, change, nil)
}

// alterRecord changes the record of the System that a disk stands in, in one
// step; more is done within it.
func (h *Host) alterRecord(ctx context.Context, diskID string, change func(*host.System) (bool, error), more func(*sql.Tx, *host.System) error) error {
	h.write.Lock()
	defer h.write.Unlock()
	changed, system := false, ""
	err := transact(ctx, h.db, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT system FROM disks WHERE id = ?", diskID).Scan(&system)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("disk %s: %w", diskID, host.ErrNotFound)
		}
		if err != nil {
			return err
		}
		s, err := txRecord(ctx, tx, system)
		if err != nil {
			return err
		}
		if changed, err = change(s); err != nil || !changed {
			return err
		}
		if more != nil {
			if err := more(tx, s); err != nil {
				return err
			}
		}
		return putRecord(ctx, tx, s)
	})
	if err == nil && changed {
		h.changed(system)
	}
	return err
}

// Prove reads a disk anew; see host.Patcher.
func (h *Host) Prove(ctx context.Context, diskID string, want disk.Digest, progress disk.Progress) error {
	return h.ProveKnown(ctx, diskID, want, host.KnownSums{}, progress)
}

// ProveKnown reads anew what is not known of a disk; see host.PartProver.
func (h *Host) ProveKnown(ctx context.Context, diskID string, want disk.Digest, known host.KnownSums, progress disk.Progress) error {
	defer h.patching.lock(diskID)()
	owner, err := h.ownerOf(ctx, diskID)
	if err != nil {
		return err
	}
	s, err := h.record(ctx, owner)
	if err != nil {
		return err
	}
	d := s.Disk(diskID)
	if d == nil {
		return fmt.Errorf("disk %s: %w", diskID, host.ErrNotFound)
	}
	if want.Size > d.CapacityBytes {
		return fmt.Errorf("disk %s: a digest of %d bytes, it has %d: %w", d.Name, want.Size, d.CapacityBytes, host.ErrUnsupported)
	}
	if err := h.syncDisk(d); err != nil {
		return err
	}
	img, err := h.openDisk(d)
	if err != nil {
		return err
	}
	defer img.Close()
	now, err := disk.Digest{}, error(nil)
	if known.Sum != nil && known.Version == img.Version() {
		now, err = disk.ContentDigestWith(ctx, img, want.Size, known.Sum, progress)
	} else {
		now, err = disk.ContentDigest(ctx, img, want.Size, progress)
	}
	if err != nil {
		return err
	}
	if err := host.CheckContent(ctx, d.Name, filepath.Join(h.dir, diskPath(d)), img, now, want); err != nil {
		return err
	}
	blank := now.Sum == disk.NewDigester(want.Size, nil).Sum().Sum
	read := diskPath(d)
	return h.alterRecord(ctx, diskID, func(s *host.System) (bool, error) {
		d := s.Disk(diskID)
		switch {
		case d == nil:
			return false, fmt.Errorf("disk %s: %w", diskID, host.ErrNotFound)
		case diskPath(d) != read:
			return false, fmt.Errorf("disk %s: its content was replaced: %w", d.Name, host.ErrChanged)
		}
		d.Unproved = false
		if !blank || d.ContentBytes > 0 {
			d.ContentBytes, d.ContentDigest = want.Size, want.String()
		}
		return true, img.check()
	}, func(tx *sql.Tx, s *host.System) error {
		return insertStamps(ctx, tx, s.ID, map[string]stamp{diskID: img.stamp})
	})
}

func (h *Host) syncDisk(d *host.Disk) error {
	f, err := os.OpenFile(filepath.Join(h.dir, diskPath(d)), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

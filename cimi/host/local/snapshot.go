package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

var _ host.Retainer = (*Host)(nil)

// snapshot is what is kept of a Live export, as JSON beside the disks.
type snapshot struct {
	System *host.System     `json:"system"` // with the digests of the copies
	Stamps map[string]stamp `json:"stamps"` // of the copies, by id of the disk
}

const snapshotFile = "system.json"

func (h *Host) snapshotDir(name string) string { return filepath.Join(h.dir, "snapshots", name) }

// copier copies the content of disks, as it is at one moment of each, into
// files, which are there, of the right size and without content.
type copier func(ctx context.Context, s *host.System, to map[string]*os.File) error

// exportLive exports a System as it is at this moment, over copies of its
// disks: what machines write from here on does not disturb it. The copies share
// their blocks with the disks where the file system can, and stay until Retain.
func (h *Host) exportLive(ctx context.Context, s *host.System, opts host.ExportOptions, copies copier) (_ host.Export, err error) {
	if err := host.Proved(s); err != nil {
		return nil, err
	}
	name := host.NewID()
	leave := h.snapshots.Enter(name)
	defer func() {
		if err != nil {
			leave()
			err = errors.Join(err, os.RemoveAll(h.snapshotDir(name)))
		}
	}()
	if err := os.MkdirAll(h.snapshotDir(name), 0o700); err != nil {
		return nil, err
	}
	kept := &snapshot{System: s, Stamps: map[string]stamp{}}
	if err := h.fillSnapshot(ctx, name, kept, copies); err != nil {
		return nil, err
	}
	opts.Snapshot = name
	x, err := host.BuildExport(ctx, s, snapshotHoldings{holdings{h, s}, name, kept}, h.Capabilities(), opts)
	if err != nil {
		return nil, err
	}
	return &host.UsedExport{Export: x, Leave: leave}, nil
}

// fillSnapshot copies the disks, and takes their digests as an export of
// machines at rest has them.
func (h *Host) fillSnapshot(ctx context.Context, name string, kept *snapshot, copies copier) error {
	files := map[string]*os.File{}
	defer func() {
		for _, f := range files {
			f.Close() // synced where it counts
		}
	}()
	for d := range kept.System.AllDisks() {
		f, err := os.OpenFile(filepath.Join(h.snapshotDir(name), d.ID+".raw"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		files[d.ID] = f
		if err := f.Truncate(d.CapacityBytes); err != nil {
			return noRoom("disk "+d.Name, d.CapacityBytes, err)
		}
	}
	if err := copies(ctx, kept.System, files); err != nil {
		return err
	}
	for d := range kept.System.AllDisks() {
		f := files[d.ID]
		if err := f.Sync(); err != nil {
			return noRoom("disk "+d.Name, d.CapacityBytes, err)
		}
		img, err := raw.Open(f)
		if err == nil {
			err = host.DigestCopy(ctx, d, img)
		}
		if err != nil {
			return fmt.Errorf("disk %s: %w", d.Name, err)
		}
		st, err := f.Stat()
		if err != nil {
			return err
		}
		kept.Stamps[d.ID] = stampOf(st)
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(h.snapshotDir(name), snapshotFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(h.snapshotDir(name)), syncDir(filepath.Dir(h.snapshotDir(name))))
}

// copyDisks copies disks of machines that are at rest.
func (h *Host) copyDisks(ctx context.Context, s *host.System, to map[string]*os.File) error {
	for d := range s.AllDisks() {
		if err := h.copyDisk(ctx, d, to[d.ID]); err != nil {
			return noRoom("disk "+d.Name, d.CapacityBytes, err)
		}
	}
	return nil
}

// copyDisk copies one, which must stay as it is meanwhile.
func (h *Host) copyDisk(ctx context.Context, d *host.Disk, to *os.File) error {
	img, err := h.openDisk(d)
	if err != nil {
		return err
	}
	defer img.Close()
	if clone(to, img.f) == nil {
		return img.check()
	}
	b := make([]byte, disk.BlockSize)
	for e, err := range img.Extents(ctx, 0, img.Size()) {
		if err != nil {
			return err
		}
		for off := e.Offset; !e.Zero && off < e.Offset+e.Length; off += int64(len(b)) {
			p := b[:min(int64(len(b)), e.Offset+e.Length-off)]
			if n, err := img.ReadAt(p, off); err != nil && (err != io.EOF || n < len(p)) {
				return err
			}
			if err := disk.NonZero(off, p, func(off int64, p []byte) error {
				_, err := to.WriteAt(p, off)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// openSnapshot opens a Live export again.
func (h *Host) openSnapshot(ctx context.Context, name string, opts host.ExportOptions) (_ host.Export, err error) {
	gone := fmt.Errorf("the snapshot %.40q: %w", name, host.ErrNotFound)
	if filepath.Base(name) != name || name == "." || name == ".." {
		return nil, gone
	}
	leave := h.snapshots.Enter(name)
	defer func() {
		if err != nil {
			leave()
		}
	}()
	b, err := os.ReadFile(filepath.Join(h.snapshotDir(name), snapshotFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, gone
	}
	kept := &snapshot{}
	if err == nil {
		err = json.Unmarshal(b, kept)
	}
	if err == nil && kept.System == nil {
		err = errors.New("it is of no System")
	}
	if err != nil {
		return nil, fmt.Errorf("the snapshot %s: %w", name, err)
	}
	x, err := host.BuildExport(ctx, kept.System, snapshotHoldings{holdings{h, kept.System}, name, kept}, h.Capabilities(), opts)
	if err != nil {
		return nil, err
	}
	return &host.UsedExport{Export: x, Leave: leave}, nil
}

// snapshotHoldings are copies of disks, and the files of the System.
type snapshotHoldings struct {
	holdings
	name string
	kept *snapshot
}

func (k snapshotHoldings) Disk(_ context.Context, d *host.Disk) (disk.Image, error) {
	img, err := openRaw(filepath.Join(k.h.snapshotDir(k.name), d.ID+".raw"), d.ID)
	if err != nil {
		return nil, err
	}
	if was := k.kept.Stamps[d.ID]; was != img.stamp {
		return nil, errors.Join(fmt.Errorf("the copy of disk %s: %w", d.Name, host.ErrChanged), img.Close())
	}
	return img, nil
}

// Retain removes the snapshots of exports that are no more; see host.Retainer.
func (h *Host) Retain(ctx context.Context, states [][]byte) error {
	entries, err := os.ReadDir(filepath.Join(h.dir, "snapshots"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, state := range states {
		wanted[host.FrozenSnapshot(state)] = true
	}
	var errs []error
	for _, e := range entries {
		if !h.snapshots.In(e.Name()) && !wanted[e.Name()] {
			errs = append(errs, os.RemoveAll(h.snapshotDir(e.Name())))
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

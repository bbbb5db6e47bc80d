package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// openDisk is the image of a disk over its file. A read after the file was
// changed by somebody else is an error.
type openDisk struct {
	*raw.Image
	f     *os.File
	name  string
	stamp stamp
}

// Version tells this content from that of another time.
func (d *openDisk) Version() string {
	return fmt.Sprintf("%d bytes of %d", d.stamp.Size, d.stamp.Changed)
}

func (d *openDisk) Close() error { return d.f.Close() }

func (d *openDisk) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.Image.ReadAt(p, off)
	if err == nil || errors.Is(err, io.EOF) {
		if changed := d.check(); changed != nil {
			return 0, changed
		}
	}
	return n, err
}

func (d *openDisk) check() error {
	st, err := d.f.Stat()
	if err != nil {
		return err
	}
	if now := stampOf(st); now != d.stamp {
		return &ovf.IntegrityError{Package: "disk", File: d.name, Reason: "its file was changed while it was being read"}
	}
	return nil
}

// OpenDisk opens the content of a disk as it lies there now. It is not
// compared with what was imported: see the digest of the disk's record.
func (h *Host) OpenDisk(ctx context.Context, diskID string) (disk.Image, error) {
	var system string
	err := h.db.QueryRowContext(ctx, "SELECT system FROM disks WHERE id = ?", diskID).Scan(&system)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("disk %q: %w", diskID, host.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	s, err := h.System(ctx, system)
	if err != nil {
		return nil, err
	}
	d := s.Disk(diskID)
	if d == nil {
		return nil, fmt.Errorf("disk %q: %w", diskID, host.ErrNotFound)
	}
	return h.openDisk(d)
}

func (h *Host) openDisk(d *host.Disk) (*openDisk, error) {
	return openRaw(filepath.Join(h.dir, diskPath(d)), d.ID)
}

func openRaw(path, id string) (*openDisk, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("disk %s: %w", id, host.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	img, err := raw.Open(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &openDisk{Image: img, f: f, name: id, stamp: stampOf(st)}, nil
}

// openSound opens a disk for an export: its file is as the import left it, or
// its content digest proves that the content is. A disk that was changed is a
// *ovf.IntegrityError with both digests.
func (h *Host) openSound(ctx context.Context, d *host.Disk) (*openDisk, error) {
	img, err := h.openDisk(d)
	if err != nil {
		return nil, err
	}
	if err := h.prove(ctx, d, img); err != nil {
		return nil, errors.Join(err, img.Close())
	}
	return img, nil
}

func (h *Host) prove(ctx context.Context, d *host.Disk, img *openDisk) error {
	var recorded stamp
	err := h.db.QueryRowContext(ctx, "SELECT size, changed FROM disks WHERE id = ?", d.ID).Scan(&recorded.Size, &recorded.Changed)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("disk %s: %w", d.ID, host.ErrNotFound)
	}
	if err != nil {
		return err
	}
	if recorded == img.stamp {
		return nil
	}
	wrong := &ovf.IntegrityError{Package: "disk " + d.Name, File: filepath.Join(h.dir, diskPath(d)), Algorithm: "content"}
	if recorded.Size != img.stamp.Size {
		wrong.Reason = fmt.Sprintf("its file has %d bytes, at import it had %d", img.stamp.Size, recorded.Size)
		return wrong
	}
	size, expected := d.ContentBytes, d.ContentDigest
	if expected == "" {
		size, expected = recorded.Size, disk.NewDigester(recorded.Size, nil).Sum().String()
	}
	now, err := disk.ContentDigest(ctx, img, size, nil)
	if err != nil {
		return err
	}
	if now.String() != expected {
		wrong.Expected, wrong.Actual = expected, now.String()
		wrong.Reason = fmt.Sprintf("its file was changed: the content digest is %s, at import it was %s", now, expected)
		return wrong
	}
	// A copy of the folder, or a touch: sound all the same.
	_, err = h.db.ExecContext(ctx, "UPDATE disks SET changed = ? WHERE id = ?", img.stamp.Changed, d.ID)
	return err
}

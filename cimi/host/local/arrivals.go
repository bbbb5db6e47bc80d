package local

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// arrivalsSchema: what is kept of disks whose import broke off. Their files are
// unowned all the same: when the row goes, they go.
const arrivalsSchema = `
CREATE TABLE IF NOT EXISTS arrivals (
	key TEXT NOT NULL,
	disk TEXT NOT NULL,
	identity TEXT NOT NULL,
	path TEXT NOT NULL,
	head BLOB,
	mark BLOB NOT NULL,
	kept INTEGER NOT NULL,
	PRIMARY KEY (key, disk)
) WITHOUT ROWID;`

const (
	// importChunk is how many bytes of an image may have to come twice: each
	// chunk costs a sync.
	importChunk = 16 << 20
	// keepArrivals is how long what has arrived waits for the rest.
	keepArrivals = 7 * 24 * time.Hour
)

var (
	_ host.Keeper    = (*incoming)(nil)
	_ host.Forgetter = (*Host)(nil)
)

// ImportChunk is how many bytes of a disk may arrive twice.
func (h *Host) ImportChunk() int64 {
	if h.Chunk > 0 {
		return h.Chunk
	}
	return importChunk
}

// Forget removes what is kept under a key.
func (h *Host) Forget(ctx context.Context, key string) error {
	if !h.arriving.Take(key) {
		return fmt.Errorf("what has arrived of %s: %w", key, host.ErrBusy)
	}
	defer h.arriving.Give(key)
	return h.dropArrivals(ctx, "key = ?", key)
}

// dropArrivals forgets what is kept, and removes it.
func (h *Host) dropArrivals(ctx context.Context, where string, args ...any) error {
	var paths []string
	err := transact(ctx, h.db, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "DELETE FROM arrivals WHERE "+where+" RETURNING path", args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p string
			if err := rows.Scan(&p); err != nil {
				return err
			}
			paths = append(paths, p)
		}
		return rows.Err()
	})
	if err != nil || len(paths) == 0 {
		return err
	}
	return h.removeUnowned(ctx, paths...)
}

func forgetArrival(ctx context.Context, tx *sql.Tx, key string) error {
	if key == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM arrivals WHERE key = ?", key)
	return err
}

// arrivedBefore takes over what an import of the same key kept of the same
// package; what it kept of another is removed: two are never spliced.
func (h *Host) arrivedBefore(ctx context.Context, in *incoming, a *host.Arrival, key string) error {
	identity := a.Identity()
	if key == "" || identity == "" || !h.arriving.Take(key) {
		return nil
	}
	in.key, in.identity, in.arrived = key, identity, map[string]host.Kept{}
	if err := h.dropArrivals(ctx, "kept < ? OR key = ? AND identity <> ?", time.Now().Add(-keepArrivals).Unix(), key, identity); err != nil {
		return err
	}
	for d := range a.System.AllDisks() {
		k, old, err := h.arrival(ctx, key, d.OVFID)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		// A crash between the two leaves a row without its file, which counts
		// as nothing, and a file that nobody owns.
		err = os.Rename(filepath.Join(h.dir, old), filepath.Join(h.dir, diskPath(d)))
		gone := errors.Is(err, os.ErrNotExist)
		if err != nil && !gone {
			return err
		}
		err = transact(ctx, h.db, func(tx *sql.Tx) error {
			if gone {
				_, err := tx.ExecContext(ctx, "DELETE FROM arrivals WHERE key = ? AND disk = ?", key, d.OVFID)
				return errors.Join(err, own(ctx, tx, []string{old}))
			}
			_, err := tx.ExecContext(ctx, "UPDATE arrivals SET path = ? WHERE key = ? AND disk = ?", diskPath(d), key, d.OVFID)
			return errors.Join(err, own(ctx, tx, []string{old}))
		})
		if err != nil {
			return err
		}
		if !gone {
			in.arrived[d.OVFID] = k
		}
	}
	return nil
}

func (h *Host) arrival(ctx context.Context, key, ovfID string) (k host.Kept, path string, err error) {
	var mark []byte
	err = h.db.QueryRowContext(ctx, "SELECT path, head, mark FROM arrivals WHERE key = ? AND disk = ?", key, ovfID).Scan(&path, &k.Head, &mark)
	if err == nil {
		err = json.Unmarshal(mark, &k)
	}
	return k, path, err
}

// Chunk is how many bytes may arrive between two marks.
func (in *incoming) Chunk() int64 {
	if in.key == "" {
		return 0
	}
	return in.host.ImportChunk()
}

// Kept is how far a disk had come.
func (in *incoming) Kept(d *host.Disk) (host.Kept, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	k, ok := in.arrived[d.OVFID]
	return k, ok
}

// Keep records how far a disk has come, when its content is durable.
func (in *incoming) Keep(ctx context.Context, d *host.Disk, k host.Kept) error {
	in.mu.Lock()
	f := in.disks[d.ID]
	in.mu.Unlock()
	if f != nil {
		if err := f.Sync(); err != nil {
			return fmt.Errorf("disk %s: %w", d.OVFID, err)
		}
	}
	mark, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return transact(ctx, in.host.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO arrivals(key, disk, identity, path, head, mark, kept) VALUES (?,?,?,?,?,?,?)
			ON CONFLICT(key, disk) DO UPDATE SET mark = excluded.mark, kept = excluded.kept`,
			in.key, d.OVFID, in.identity, diskPath(d), k.Head, mark, time.Now().Unix())
		return err
	})
}

// leave removes what an import has made that failed, but for what another may
// go on with. What is wrong in itself is not gone on with.
func (in *incoming) leave(ctx context.Context, cause error, paths []string) error {
	if in.key == "" {
		return in.host.removeUnowned(ctx, paths...)
	}
	var integrity *ovf.IntegrityError
	var descriptor *ovf.DescriptorError
	if errors.As(cause, &integrity) || errors.As(cause, &descriptor) || errors.Is(cause, disk.ErrCorrupt) ||
		errors.Is(cause, disk.ErrWrongFormat) || errors.Is(cause, host.ErrNoSpace) || errors.Is(cause, host.ErrUnsupported) {
		// Files first: where the file system is full, forgetting them needs the
		// room that they take. A row without its file counts as nothing.
		return errors.Join(in.host.removeUnowned(ctx, paths...), in.host.dropArrivals(ctx, "key = ?", in.key))
	}
	rows, err := in.host.db.QueryContext(ctx, "SELECT path FROM arrivals WHERE key = ?", in.key)
	if err != nil {
		return err
	}
	defer rows.Close()
	waiting := map[string]bool{}
	for rows.Next() {
		var p string
		if err := rows.Scan(&p); err != nil {
			return err
		}
		waiting[p] = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var rest []string
	for _, p := range paths {
		if !waiting[p] {
			rest = append(rest, p)
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return in.host.removeUnowned(ctx, rest...)
}

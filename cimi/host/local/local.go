// Package local is the embedded cloud: a host.Host whose state lives in one
// folder, so that a cloud can be carried, copied and looked at.
//
//	DIR/state.db          what there is (SQLite, write-ahead log)
//	DIR/disks/ID.raw      one sparse file per disk
//	DIR/files/SYSTEM/N    the other files of a package, byte for byte
//	DIR/snapshots/ID/     disks as they were when a Live export was made
//	DIR/lock              held by the one process that has the folder open
//
// It promises that an import is all or nothing, kill -9 and power loss
// included: every file is recorded as unowned before it is made, and the one
// transaction that lists the System, after all files have been synced, is the
// one that makes it their owner. Open removes what is unowned. Deleting goes
// the same way backwards.
//
// A Host keeps machines and does not run them; a Runner does. A disk whose file
// has changed, and not by a machine that ran, is damaged: it is told by size and
// time of change, proved by its content digest, and then refused with an error,
// never exported as if it were sound.
package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/cimimove/cimimove/cimi/host"
)

// Host is a host.Host over a folder. Get one with Open.
type Host struct {
	dir  string
	lock *os.File
	db   *sql.DB

	write sync.Mutex // changes of System records, which read before they write

	follow  sync.Mutex
	version int64    // counts changes
	changes []string // ids of the Systems of the last changes
	// arriving are the keys of imports at work.
	arriving host.Claims

	snapshots host.Uses // those that are open
	patching  patching

	// Chunk is how many bytes of a disk may have to arrive twice after an import
	// broke off; 0: 16 MiB.
	Chunk int64
}

var (
	_ host.Host    = (*Host)(nil)
	_ host.Tracker = (*Host)(nil)
	_ host.Mover   = (*Host)(nil)
	_ host.Gauge   = (*Host)(nil)
)

// ErrInUse: another process has the folder open.
var ErrInUse = errors.New("in use by another process")

// Open opens the cloud in dir, made when absent, and removes what an
// interrupted import or deletion left. One process at a time can have it open;
// for others the error wraps ErrInUse.
func Open(ctx context.Context, dir string) (*Host, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{dir, filepath.Join(dir, "disks"), filepath.Join(dir, "files")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("local cloud: %w", err)
		}
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("local cloud %s: %w", dir, err)
	}
	h := &Host{dir: dir, lock: lock}
	if h.db, err = openStore(ctx, filepath.Join(dir, "state.db")); err != nil {
		lock.Close()
		return nil, fmt.Errorf("local cloud %s: %w", dir, err)
	}
	// A full file system keeps nobody from reading: what is left goes at the next
	// start.
	if err := h.removeUnowned(ctx); err != nil && !errors.Is(err, host.ErrNoSpace) {
		h.Close()
		return nil, fmt.Errorf("local cloud %s: removing what an interrupted import left: %w", dir, err)
	}
	return h, nil
}

// Close releases the folder. Exports and disks that are open stay readable.
func (h *Host) Close() error {
	err := h.db.Close()
	return errors.Join(err, h.lock.Close())
}

// Dir is the folder, absolute.
func (h *Host) Dir() string { return h.dir }

func (h *Host) Capabilities() host.Capabilities {
	return host.Capabilities{SharedDisks: true, ParallelDisks: true, Live: true, Devices: devices, FreeBytes: func(context.Context) (int64, error) { return freeBytes(h.dir) }}
}

// diskPath and filesPath are relative to the folder, as they stand in the
// store. Ids are made by us and safe as names.
func diskPath(d *host.Disk) string {
	if d.Generation > 0 {
		return filepath.Join("disks", fmt.Sprintf("%s.%d.raw", d.ID, d.Generation))
	}
	return filepath.Join("disks", d.ID+".raw")
}

func filesPath(sys string) string { return filepath.Join("files", sys) }

// removeUnowned removes every file that no System owns, and forgets it.
func (h *Host) removeUnowned(ctx context.Context, only ...string) error {
	paths := only
	if len(only) == 0 {
		var err error
		if paths, err = unowned(ctx, h.db); err != nil {
			return err
		}
	}
	var failed error
	var gone []string
	for _, p := range paths {
		if err := os.RemoveAll(filepath.Join(h.dir, p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
			continue
		}
		gone = append(gone, p)
	}
	if len(gone) == 0 {
		return failed
	}
	if err := errors.Join(syncDir(filepath.Join(h.dir, "disks")), syncDir(filepath.Join(h.dir, "files"))); err != nil {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, forgetUnowned(ctx, h.db, gone))
}

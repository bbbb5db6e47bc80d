package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// Import creates a System from a package; see the package comment for what
// happens when it is interrupted.
func (h *Host) Import(ctx context.Context, pkg ovf.Package, opts host.ImportOptions) (_ *host.System, err error) {
	arrival, err := host.PlanImport(ctx, pkg, opts, h.Capabilities())
	if err != nil {
		return nil, err
	}
	s := arrival.System
	if err := h.freeID(ctx, s.ID); err != nil {
		return nil, err
	}
	paths := []string{filesPath(s.ID)}
	for d := range s.AllDisks() {
		paths = append(paths, diskPath(d))
	}
	if err := transact(ctx, h.db, func(tx *sql.Tx) error { return disown(ctx, tx, paths) }); err != nil {
		return nil, err
	}
	in := &incoming{host: h, files: filesPath(s.ID), disks: map[string]*os.File{}}
	defer func() { h.arriving.Give(in.key) }()
	if err := h.arrivedBefore(ctx, in, arrival, opts.Resume); err != nil {
		return nil, errors.Join(err, h.removeUnowned(context.WithoutCancel(ctx), paths...))
	}
	defer func() {
		in.close()
		if err != nil {
			err = errors.Join(err, in.leave(context.WithoutCancel(ctx), err, paths))
		}
	}()
	if err := arrival.Unpack(ctx, in); err != nil {
		return nil, err
	}
	stamps, err := in.sync()
	if err != nil {
		return nil, err
	}
	keep := kept{manifest: arrival.Manifest(), certificate: arrival.Certificate()}
	err = transact(ctx, h.db, func(tx *sql.Tx) error {
		return errors.Join(insertSystem(ctx, tx, s, keep, stamps), own(ctx, tx, paths), forgetArrival(ctx, tx, in.key))
	})
	if err != nil {
		return nil, err
	}
	h.changed(s.ID)
	return s, nil
}

func (h *Host) freeID(ctx context.Context, id string) error {
	if filepath.Base(id) != id || id == "." || id == ".." {
		return fmt.Errorf("system id %q: %w", id, host.ErrUnsupported)
	}
	var n int
	if err := h.db.QueryRowContext(ctx, "SELECT count(*) FROM systems WHERE id = ?", id).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("system %s: %w", id, host.ErrExists)
	}
	return nil
}

// incoming is the host.Store of one import.
type incoming struct {
	host  *Host
	files string // folder, relative

	mu    sync.Mutex
	disks map[string]*os.File // by id
	kept  int

	// key is what this import has in common with others that go on with it;
	// empty: nothing is kept. identity is the package's.
	key, identity string
	arrived       map[string]host.Kept // by OVF id
}

func (in *incoming) Disk(_ context.Context, d *host.Disk) (disk.Sink, error) {
	was, going := in.Kept(d)
	flags := os.O_RDWR | os.O_CREATE | os.O_EXCL
	if going {
		flags = os.O_RDWR
	}
	f, err := os.OpenFile(filepath.Join(in.host.dir, diskPath(d)), flags, 0o600)
	if err != nil {
		return nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.disks[d.ID] = f
	if !going {
		return raw.NewSink(f), nil
	}
	kept := was.Block * disk.BlockSize // what was written behind the mark proved nothing
	if was.Done {
		kept = was.Info.Size
	}
	return raw.ContinueSink(f, kept), nil
}

func (in *incoming) Digest(ctx context.Context, d *host.Disk, size int64) (disk.Digest, error) {
	in.mu.Lock()
	f := in.disks[d.ID]
	in.mu.Unlock()
	img, err := raw.Open(f)
	if err != nil {
		return disk.Digest{}, err
	}
	return disk.ContentDigest(ctx, img, size, nil)
}

func (in *incoming) File(_ context.Context, name string) (io.WriteCloser, error) {
	in.mu.Lock()
	n := in.kept
	in.kept++
	in.mu.Unlock()
	dir := filepath.Join(in.host.dir, in.files)
	if n == 0 {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(n)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return syncedFile{f}, nil
}

// syncedFile is durable when it has been closed.
type syncedFile struct{ *os.File }

func (f syncedFile) Close() error { return errors.Join(f.Sync(), f.File.Close()) }

// sync makes everything durable, and notes what the disks' files look like.
func (in *incoming) sync() (map[string]stamp, error) {
	stamps := map[string]stamp{}
	for id, f := range in.disks {
		if err := f.Sync(); err != nil {
			return nil, fmt.Errorf("disk %s: %w", id, err)
		}
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		stamps[id] = stampOf(st)
	}
	if in.kept > 0 {
		if err := syncDir(filepath.Join(in.host.dir, in.files)); err != nil {
			return nil, err
		}
	}
	return stamps, errors.Join(syncDir(filepath.Join(in.host.dir, "disks")), syncDir(filepath.Join(in.host.dir, "files")))
}

func (in *incoming) close() {
	for _, f := range in.disks {
		f.Close() // synced where it counts
	}
}

func stampOf(st os.FileInfo) stamp { return stamp{Size: st.Size(), Changed: st.ModTime().UnixNano()} }

// Package libvirt is the libvirtd of this machine as a host.Host: machines are
// domains, disks are raw volumes of storage pools, uploaded and read extent by
// extent. It speaks libvirt's own protocol and starts no program.
//
// What libvirt has no place for (the descriptor, kept files, which domains form
// a System) lies in volumes of the pool beside the disks (package ledger), so
// that every process that opens the same libvirtd sees the same Systems; each
// domain names its System and itself in its <metadata>.
//
// It promises that an import is all or nothing: what is about to be made is
// noted first, the record that lists the System is written last, and Open
// undoes what this owner left in the middle. Domains that were not made here
// are left alone.
package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
)

// Options of Open; the zero value takes the pool "default".
type Options struct {
	// Pool is the storage pool of records, and of disks that are not mapped to
	// another one.
	Pool string
	// Owner tells this process from others that work on the same libvirtd:
	// only what the same owner left in the middle is undone by Open.
	Owner string
	// DomainType is kvm or qemu; empty takes kvm where libvirt offers it, and
	// falls back to qemu when a machine does not start with it.
	DomainType string
	// ConsoleDir is a folder of the hypervisor that takes the serial output of
	// each machine as ID.log; empty gives machines a terminal instead.
	ConsoleDir string
}

// Host is a host.Host over one connection. Get one with Open.
type Host struct {
	conn   *lv.Libvirt
	opts   Options
	kvm    bool
	ledger *ledger.Ledger

	write sync.Mutex // changes of records, which read before they write
}

var (
	_ host.Host  = (*Host)(nil)
	_ host.Power = (*Host)(nil)
)

// Open connects to the libvirtd of this machine that a URI names (qemu:///system,
// qemu:///session?socket=…; the query parameter pool is ours and names the
// storage pool), and undoes what this owner left in the middle.
func Open(ctx context.Context, uri string, opts Options) (*Host, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("libvirt: %q is no URI", uri)
	}
	q := u.Query()
	if p := q.Get("pool"); p != "" {
		opts.Pool = p
		q.Del("pool")
		u.RawQuery = q.Encode()
	}
	if opts.Pool == "" {
		opts.Pool = "default"
	}
	conn, err := connect(u)
	if err != nil {
		return nil, fmt.Errorf("libvirt %s: %w", uri, err)
	}
	h := &Host{conn: conn, opts: opts}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("libvirt %s: %w", uri, err), h.Close())
	}
	return h, nil
}

func (h *Host) open(ctx context.Context) error {
	if _, err := h.pool(h.opts.Pool); err != nil {
		return err
	}
	caps, err := h.conn.ConnectGetCapabilities()
	if err != nil {
		return err
	}
	h.kvm = h.opts.DomainType == "kvm" || h.opts.DomainType == "" && strings.Contains(caps, "<domain type='kvm'")
	h.ledger = &ledger.Ledger{Shelf: shelf{h}, Owner: h.opts.Owner}
	left, err := h.ledger.Leftovers(ctx)
	if err != nil {
		return err
	}
	for id, note := range left {
		if err := h.undo(ctx, id, note); err != nil {
			return fmt.Errorf("removing what an interrupted change of system %s left: %w", id, err)
		}
	}
	return nil
}

// undo removes everything that a note names, and the note.
func (h *Host) undo(ctx context.Context, id string, note ledger.Note) error {
	for _, m := range note.Machines {
		if err := h.undefine(m); err != nil {
			return err
		}
	}
	for i, d := range note.Disks {
		pool := h.opts.Pool
		if i < len(note.Pools) {
			pool = note.Pools[i]
		}
		if err := h.removeVolume(pool, diskVolume(d)); err != nil {
			return err
		}
	}
	return h.ledger.Forget(ctx, id)
}

// Close ends the connection; what was opened through it ends with it.
func (h *Host) Close() error { return h.conn.Disconnect() }

func (h *Host) Capabilities() host.Capabilities {
	return host.Capabilities{
		VirtualSystemTypes: nil,
		FreeBytes: func(context.Context) (int64, error) {
			p, err := h.pool(h.opts.Pool)
			if err != nil {
				return -1, err
			}
			_, _, _, free, err := h.conn.StoragePoolGetInfo(p)
			return int64(free), err
		},
	}
}

// pool finds an active storage pool; where there is none of that name the
// error names those there are.
func (h *Host) pool(name string) (lv.StoragePool, error) {
	p, err := h.conn.StoragePoolLookupByName(name)
	if !is(err, lv.ErrNoStoragePool) {
		return p, err
	}
	pools, _, err := h.conn.ConnectListAllStoragePools(1, lv.ConnectListStoragePoolsActive)
	if err != nil {
		return p, err
	}
	names := make([]string, len(pools))
	for i, k := range pools {
		names[i] = k.Name
	}
	slices.Sort(names)
	return p, fmt.Errorf("storage pool %q: %w; there are: %s", name, host.ErrNotFound, strings.Join(names, ", "))
}

// is tells libvirt's errors apart.
func is(err error, code lv.ErrorNumber) bool {
	var e lv.Error
	return errors.As(err, &e) && e.Code == uint32(code)
}

// full makes a full file system of the hypervisor one of ours.
func full(err error) error {
	if err != nil && strings.Contains(err.Error(), "No space left on device") {
		return fmt.Errorf("%w: %w", syscall.ENOSPC, err)
	}
	return err
}

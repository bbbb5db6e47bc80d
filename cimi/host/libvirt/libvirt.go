// Package libvirt is a libvirtd as a host.Host: machines are domains, disks are
// volumes of storage pools. It speaks libvirt's own protocol over a unix
// socket, TLS or ssh, and starts no program, here or there.
//
// What libvirt has no place for (the descriptor, kept files) lies in volumes of
// the pool beside the disks (package ledger), so that every process that opens
// the same libvirtd sees the same Systems; each domain names its System, itself
// and when it starts in its <metadata>. A domain that was made by others is
// shown as a System of its own, can be exported and run, and is not changed.
//
// It promises that an import is all or nothing: what is about to be made is
// noted first, the record that lists the System is written last, and Open
// undoes what its owners left in the middle. A connection that is lost is made
// again, and an upload goes on where it was. What has arrived of an import that
// can be gone on with is kept, listed nowhere, until it is or is forgotten. What a
// machine writes to a qcow2 volume after a Live export is known as long as that is
// there, by a checkpoint that goes with it.
package libvirt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/cimi/host/libvirt/stream"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Options of Open; the zero value takes the pool "default" and raw volumes.
type Options struct {
	// Pool is the storage pool of records, and of disks that are not mapped to
	// another one. Empty is the pool "default", else the only one there is;
	// where there is none the default one is made, as virt-manager does.
	Pool string
	// Format of new volumes, raw (default) or qcow2; pools of block devices
	// have raw ones only.
	Format disk.Format
	// Owner tells this process from others that work on the same libvirtd:
	// only what Owner or one of Heirs' owners left in the middle is undone by Open.
	Owner string
	// Heirs are owners whose processes are known to be dead.
	Heirs []string
	// DomainType is kvm or qemu; empty takes kvm where libvirt offers it, and
	// falls back to qemu when a machine does not start with it.
	DomainType string
	// ConsoleDir is a folder of the hypervisor that takes the serial output of
	// each machine as ID.log; empty gives machines a terminal instead.
	ConsoleDir string

	// User and Password are for ssh; keys and an agent come first.
	User, Password string
	// CA holds certificate authorities in PEM, Pin the one certificate that
	// libvirtd must have (sha256:…); Insecure checks neither that nor ssh keys.
	CA       []byte
	Pin      string
	Insecure bool
	// Stall is how long libvirtd may be away or silent; 0 takes a minute.
	Stall time.Duration
	// Chunk is how many bytes of a disk may have to arrive twice after an import
	// broke off; 0: 64 MiB.
	Chunk int64
}

// Host is a host.Host over one libvirtd. Get one with Open.
type Host struct {
	conn   *connection
	opts   Options
	kvm    bool
	caps   capabilities
	ledger *ledger.Ledger

	write sync.Mutex // changes of records, which read before they write
	patch sync.Mutex // of parts of disks, and their proof

	arriving host.Claims // keys of imports at work

	snapshots host.Uses  // those that are open
	erasing   sync.Mutex // bitmaps
}

var (
	_ host.Host      = (*Host)(nil)
	_ host.Maker     = (*Host)(nil)
	_ host.Power     = (*Host)(nil)
	_ host.Pauser    = (*Host)(nil)
	_ host.Suspender = (*Host)(nil)
)

// Open connects to the libvirtd that a URI names: qemu:///system,
// qemu+ssh://h/system, qemu+tls://h/system. Parameters are those of libvirt
// (socket, keyfile, pkipath, …) and our own: pool and format stand for
// Options.Pool and Options.Format. What its owners left in the middle is undone.
func Open(ctx context.Context, uri string, opts Options) (*Host, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, errors.New("libvirt: not a URI, expected such as qemu:///system")
	}
	shown := u.Redacted()
	if driver, _, _ := strings.Cut(u.Scheme, "+"); driver != "qemu" {
		return nil, fmt.Errorf("libvirt %s: driver %q: %w, expected qemu", shown, driver, host.ErrUnsupported)
	}
	q := u.Query()
	opts.Pool = first(q.Get("pool"), opts.Pool)
	opts.Format = disk.Format(first(q.Get("format"), first(string(opts.Format), string(disk.Raw))))
	if opts.Format != disk.Raw && opts.Format != disk.QCOW2 {
		return nil, fmt.Errorf("libvirt %s: format %q: %w, expected raw or qcow2", shown, opts.Format, host.ErrUnsupported)
	}
	opts.ConsoleDir = first(q.Get("consoles"), opts.ConsoleDir)
	opts.DomainType = first(q.Get("type"), opts.DomainType)
	if opts.Stall <= 0 {
		opts.Stall = stream.DefaultStall
	}
	by, err := newTransport(u, opts)
	if err != nil {
		return nil, fmt.Errorf("libvirt %s: %w", shown, err)
	}
	h := &Host{conn: newConnection(by, localURI(u), opts.Stall), opts: opts}
	// The first connection is not waited for: what is misspelt is told at once.
	if _, err := h.conn.connected(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("libvirt %s: %w", shown, err), by.Close())
	}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("libvirt %s: %w", shown, err), h.Close())
	}
	return h, nil
}

func (h *Host) open(ctx context.Context) error {
	if h.opts.Pool == "" {
		if err := h.choosePool(ctx); err != nil {
			return err
		}
	}
	if _, err := h.pool(ctx, h.opts.Pool); err != nil {
		return err
	}
	if err := h.readCapabilities(ctx); err != nil {
		return err
	}
	h.kvm = h.opts.DomainType == "kvm" || h.opts.DomainType == "" && h.caps.kvm
	h.ledger = &ledger.Ledger{Shelf: shelf{h}, Owner: h.opts.Owner}
	for _, owner := range append([]string{h.opts.Owner}, h.opts.Heirs...) {
		left, err := (&ledger.Ledger{Shelf: shelf{h}, Owner: owner}).Leftovers(ctx)
		if err != nil {
			return err
		}
		for id, note := range left {
			if err := h.undo(ctx, id, note); err != nil {
				return fmt.Errorf("removing what an interrupted change of system %s left: %w", id, err)
			}
		}
	}
	return h.expired(ctx)
}

// undo removes everything that a note names, and the note.
func (h *Host) undo(ctx context.Context, id string, note ledger.Note) error {
	own, kept := map[place]bool{}, map[string]bool{}
	if note.Of != "" {
		e, err := h.ledger.Get(ctx, note.Of)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return err
		}
		if err == nil {
			for _, at := range placesOf(e, h.opts.Pool) {
				own[at] = true
			}
			for m := range e.System.AllMachines() {
				kept[m.ID] = true
			}
		}
	}
	waiting, err := h.waiting(ctx)
	if err != nil {
		return err
	}
	maps.Copy(own, waiting) // for an import that goes on
	for _, m := range note.Machines {
		if kept[m] {
			continue
		}
		if err := h.undefine(ctx, m); err != nil {
			return err
		}
		if err := h.removeVolume(ctx, place{h.opts.Pool, mediaVolume(m)}); err != nil {
			return err
		}
		if err := h.removeVolume(ctx, place{h.opts.Pool, nvramVolume(m)}); err != nil {
			return err
		}
	}
	for i, d := range note.Disks {
		pool := h.opts.Pool
		if i < len(note.Pools) {
			pool = note.Pools[i]
		}
		for _, f := range []disk.Format{disk.Raw, disk.QCOW2} {
			at := place{pool, diskVolume(d, f)}
			if own[at] {
				continue
			}
			if err := h.removeVolume(ctx, at); err != nil {
				return err
			}
		}
	}
	return h.ledger.Forget(ctx, id)
}

// Close ends the connections; what was opened through them ends with them.
func (h *Host) Close() error { return h.conn.Close() }

func (h *Host) Capabilities() host.Capabilities {
	return host.Capabilities{
		SharedDisks: true,
		Live:        h.caps.backup,
		Devices:     h.caps.devices(),
		FreeBytes: func(ctx context.Context) (int64, error) {
			free := int64(-1)
			err := h.conn.call(ctx, func(l *lv.Libvirt) error {
				p, err := l.StoragePoolLookupByName(h.opts.Pool)
				if err != nil {
					return err
				}
				_, _, _, n, err := l.StoragePoolGetInfo(p)
				free = int64(n)
				return err
			})
			return free, err
		},
	}
}

// is tells libvirt's errors apart.
func is(err error, code lv.ErrorNumber) bool {
	var e lv.Error
	var s *stream.Error
	return errors.As(err, &e) && e.Code == uint32(code) || errors.As(err, &s) && s.Code == uint32(code)
}

// full makes a full file system of the hypervisor one of ours.
func full(err error) error {
	if err != nil && (strings.Contains(err.Error(), "No space left on device") || strings.Contains(err.Error(), "insufficient free space")) {
		return fmt.Errorf("%w: %w", syscall.ENOSPC, err)
	}
	return err
}

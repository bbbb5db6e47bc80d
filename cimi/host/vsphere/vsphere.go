// Package vsphere is a datacenter of a vCenter as a host.Host: Systems are its
// vApps and the machines that are in none. It speaks vCenter's SOAP interface,
// and HTTP to the hosts that carry disks.
//
// A System that was imported here is known by its record (package ledger),
// which lies as files on a datastore, so that every process that opens the same
// vCenter sees the same Systems; each of its machines carries the machine's id
// as its instance UUID, so that it is found again wherever it was moved to.
// Machines that were made by others are Systems too, without a record.
//
// It promises that an import is all or nothing: the lease under which vCenter
// makes the machines is aborted on failure, and expires when this process dies,
// which takes back what it has made; what is about to be made is noted first,
// the record that lists the System is written last, and what this owner left in
// the middle is undone by Open.
//
// Disks arrive as they come: a streamOptimized image goes to the host that
// takes it byte by byte as it is read, while its content is digested. They leave
// through a lease as well; what is read out of order is first kept in a folder.
package vsphere

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Options of Open.
type Options struct {
	User, Password string
	// Connection says why the vCenter is trusted. Hosts that a lease names are
	// known by what the vCenter says of them.
	Connection fetch.Connection
	// Owner tells this process from others that work on the same vCenter: only
	// what the same owner left in the middle is undone by Open.
	Owner string
	// Heirs are owners that are no more; what they left is undone too.
	Heirs []string
	// Spool is the folder for disks that are read out of order; empty takes the
	// system's folder for temporary files.
	Spool string
	// Retry says how calls are repeated; the zero value is sensible.
	Retry fetch.Options
}

// Host is a host.Host over one session. Get one with Open.
type Host struct {
	conn   *connection
	opts   Options
	place  *place
	ledger *ledger.Ledger

	write      sync.Mutex  // changes of records, which read before they write
	folderMade atomic.Bool // the records' folder is there
	listing    listing
	fetched    fetched
	snapshots  host.Uses   // by the exports that are open
	keeps      atomic.Bool // snapshots for exports, perhaps
}

var _ host.Host = (*Host)(nil)

// Open logs in to the vCenter of vsphere://vcenter/datacenter and undoes what
// this owner left in the middle. The path is the datacenter's inventory path,
// which may be left out where there is one; the query says where imports go:
//
//	datastore  of disks that are not mapped to another one; may be a datastore cluster
//	records    datastore of records
//	pool       resource pool, or a cluster or host, whose own pool is taken
//	folder     of machines
//	network    of cards whose network has no counterpart
//	disk       thin (default), thick or eager
//	spool      Options.Spool
//
// All of them are names or inventory paths; what is not given is taken where
// there is only one, else where it serves best.
func Open(ctx context.Context, uri string, opts Options) (*Host, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "vsphere" || u.Host == "" {
		return nil, fmt.Errorf("%q: expected vsphere://vcenter/datacenter", uri)
	}
	if s := u.Query().Get("spool"); s != "" {
		opts.Spool = s
	}
	if opts.User == "" {
		return nil, errors.New("a vCenter asks for a user name and a password")
	}
	conn, err := connect(ctx, u, opts)
	if err != nil {
		return nil, fmt.Errorf("vCenter %s: %w", u.Host, err)
	}
	h := &Host{conn: conn, opts: opts}
	if h.place, err = findPlace(ctx, conn, u); err == nil {
		h.ledger = &ledger.Ledger{Shelf: shelf{h}, Owner: opts.Owner}
		err = h.undoLeftovers(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("vCenter %s: %w", u.Host, err), conn.close())
	}
	return h, nil
}

// Close ends the session. Disks and exports that are open stay readable.
func (h *Host) Close() error { return errors.Join(h.fetched.close(), h.conn.close()) }

// Capabilities: the hardware versions are those of the cluster or host.
func (h *Host) Capabilities() host.Capabilities {
	return host.Capabilities{VirtualSystemTypes: h.place.versions, Devices: []string{"ide", "sata", "nvme", "scsi", "e1000", "vmxnet", "pcnet"}, FreeBytes: h.freeBytes, Live: true}
}

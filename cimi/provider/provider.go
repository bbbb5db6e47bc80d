// Package provider shows any host.Host as a CIMI cloud (DSP0263 2.0): the one
// implementation of cimi.Provider over hosts. Collections, templates, jobs,
// queries, metadata, import and export live here once, and no host repeats them.
//
// Resources are a view of what the host holds (DSP0263 4.3, Annex A): a System
// with its Machines, Volumes and Networks is read from the host each time.
// What the host has no place for is kept in a database of the Provider's own:
// properties of resources, templates, configurations, credentials, services,
// Jobs, Events, Meters, and the frozen layouts of exports. A host that is a
// host.Maker takes all the changes of the standard: parts of Systems come, go
// and move; one that is not takes packages, and its cloud offers no more.
//
// Every change that takes time is a Job (5.17.1), which survives the process:
// one that was running when it died is FAILED after the next start, and the
// host has removed what it had made. An export that was ready goes on giving
// the same bytes.
//
// Ids are relative and without a leading slash: systems/ID, machines/ID,
// systems/ID/machines, jobs/ID, exports/ID.ova.
package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// Options of New.
type Options struct {
	// Database is the path of the Provider's own state, made when absent; empty
	// keeps it in memory, and it is gone after Close.
	Database string
	// Name and Description are the Cloud Entry Point's.
	Name, Description string
	// AllowSources are the networks that imports may fetch from and exports may
	// put to, by address after resolution, redirects included; empty allows none.
	AllowSources []netip.Prefix
	// AllowDirs are folders below which file: sources may lie; empty allows none.
	AllowDirs []string
	// Transport is the base of requests to sources and destinations, for TLS
	// settings; its dialer and proxy are replaced. Nil takes the defaults.
	Transport *http.Transport
	// StallTimeout is how long a source may give nothing, retries included,
	// before an import fails; 0 takes fetch's default.
	StallTimeout time.Duration
	// ExportIdle is how long an export stays without being read; 0 takes 24 hours.
	ExportIdle time.Duration
	// JobRetention is how long an ended Job is kept at least; 0 takes an hour.
	JobRetention time.Duration
	// KeepJobs is how many ended Jobs are kept beyond that; 0 takes 1000.
	KeepJobs int
}

// PackageImporter is a Provider in process that takes a package as it is, so
// that it needs no URL. a is the import Action without source; collection is
// "systems" or "systemTemplates". The package is closed when the Job has ended.
type PackageImporter interface {
	ImportPackage(ctx context.Context, collection string, pkg ovf.Package, a *cimi.Action) (*cimi.Accepted, error)
}

// Provider is a cimi.Provider over a host.Host.
type Provider struct {
	host    host.Host
	opts    Options
	db      *store
	jobs    *jobs
	exports *exports
	world   worldCache
	client  *http.Client
	acts    []act

	overlays *overlays
	links    *links
	passing  passing
	naming   sync.Mutex // held while an import takes a name
	meters   meters
	sums     knownSums
	changes  keyedLocks // of root Systems, and of resources of our own

	stop    context.CancelFunc // ends watch
	watched chan struct{}
}

var (
	_ cimi.Provider   = (*Provider)(nil)
	_ PackageImporter = (*Provider)(nil)
)

// New makes a Provider over h and takes h over: Close closes it; an error does not.
func New(ctx context.Context, h host.Host, opts Options) (*Provider, error) {
	if opts.ExportIdle <= 0 {
		opts.ExportIdle = 24 * time.Hour
	}
	if opts.KeepJobs <= 0 {
		opts.KeepJobs = 1000
	}
	if opts.JobRetention <= 0 {
		opts.JobRetention = time.Hour
	}
	db, err := openStore(ctx, opts.Database)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	p := &Provider{host: h, opts: opts, db: db, acts: actTable()}
	p.client = p.newClient()
	if err := p.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("provider: %w", err), db.close())
	}
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop, p.watched = stop, make(chan struct{})
	go p.watch(watch)
	return p, nil
}

// load reads what earlier processes left, and undoes what they did not finish.
func (p *Provider) load(ctx context.Context) (err error) {
	if p.overlays, err = openOverlays(ctx, p.db.db); err != nil {
		return err
	}
	if p.links, err = openLinks(ctx, p.db.db); err != nil {
		return err
	}
	if p.jobs, err = openJobs(ctx, p); err != nil {
		return err
	}
	if p.exports, err = openExports(ctx, p); err != nil {
		return err
	}
	if err := p.exports.retain(ctx); err != nil {
		return err
	}
	if p.db.fresh {
		c := &change{}
		for _, m := range meterConfigs() {
			c.put("meterConfigs", m)
		}
		if err := p.commit(c); err != nil {
			return err
		}
	}
	if err := p.openMeters(ctx); err != nil {
		return err
	}
	return p.sweep(ctx)
}

// Close stops running Jobs, which become FAILED, waits until what they had made
// is removed, and closes the host.
func (p *Provider) Close() error {
	p.stop()
	<-p.watched
	p.jobs.close()
	p.client.CloseIdleConnections()
	p.sums.close()
	return errors.Join(p.exports.close(), p.host.Close(), p.db.close())
}

// keyedLocks serialise changes of one System.
type keyedLocks struct {
	mu sync.Mutex
	m  map[string]*keyedLock
}

type keyedLock struct {
	sync.Mutex
	users int
}

// lock locks the key and gives what unlocks it.
func (k *keyedLocks) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.m == nil {
		k.m = map[string]*keyedLock{}
	}
	l := k.m[key]
	if l == nil {
		l = &keyedLock{}
		k.m[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.m, key)
		}
	}
}

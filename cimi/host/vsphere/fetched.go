package vsphere

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cimimove/cimimove/ovf/disk"
)

// fetched are disks of machines at rest that were fetched whole. Who reads a
// disk some at a time opens it again and again, and a lease gives it in one
// piece only: it is kept for a while after the last one has closed it.
type fetched struct {
	mu     sync.Mutex
	byID   map[string]*fetchedDisk
	closed bool
}

// fetchedIdle is how long a disk stays in the spool that nobody reads.
const fetchedIdle = 5 * time.Minute

type fetchedDisk struct {
	id      string
	version string
	ready   chan struct{} // closed when img or err is known
	img     disk.Image
	err     error

	users int  // mu of fetched is held for these
	gone  bool // nobody else may take it
	idle  *time.Timer
}

// open gives the disk as it is in a version, which fetch fetches where it is
// not there.
func (f *fetched) open(ctx context.Context, id, version string, fetch func(context.Context) (disk.Image, error)) (disk.Image, error) {
	for {
		d, mine := f.take(id, version)
		if mine {
			d.img, d.err = fetch(ctx)
			close(d.ready)
		}
		select {
		case <-d.ready:
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), f.leave(d))
		}
		if d.err == nil {
			return &sharedDisk{Image: d.img, version: version, leave: sync.OnceValue(func() error { return f.leave(d) })}, nil
		}
		if err := f.leave(d); mine || err != nil {
			return nil, errors.Join(d.err, err)
		}
		// Another's call failed, which may have been given up: this one is asked for still.
	}
}

// take finds the disk, or makes the place of one that the caller is to fetch.
func (f *fetched) take(id, version string) (d *fetchedDisk, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d = f.byID[id]; d != nil && d.version == version {
		d.users++
		if d.idle != nil {
			d.idle.Stop()
		}
		return d, false
	}
	if d != nil {
		_ = f.drop(d)
	}
	d = &fetchedDisk{id: id, version: version, ready: make(chan struct{}), users: 1}
	if f.byID == nil {
		f.byID = map[string]*fetchedDisk{}
	}
	f.byID[id] = d
	return d, true
}

// leave is the end of one use.
func (f *fetched) leave(d *fetchedDisk) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	d.users--
	if d.known() && d.err != nil || f.closed {
		return f.drop(d)
	}
	if d.users == 0 && !d.gone {
		d.idle = time.AfterFunc(fetchedIdle, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if d.users == 0 {
				_ = f.drop(d)
			}
		})
	}
	return d.release()
}

func (d *fetchedDisk) known() bool {
	select {
	case <-d.ready:
		return true
	default:
		return false
	}
}

// drop takes a disk out of the spool when nobody reads it any more; mu is held.
func (f *fetched) drop(d *fetchedDisk) error {
	d.gone = true
	if f.byID[d.id] == d {
		delete(f.byID, d.id)
	}
	return d.release()
}

// release closes what is gone and not read; mu is held.
func (d *fetchedDisk) release() error {
	if !d.gone || d.users > 0 || d.img == nil {
		return nil
	}
	if d.idle != nil {
		d.idle.Stop()
	}
	img := d.img
	d.img = nil
	return img.Close()
}

// close gives back what nobody reads; the rest goes with its readers.
func (f *fetched) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	var errs []error
	for _, d := range f.byID {
		errs = append(errs, f.drop(d))
	}
	return errors.Join(errs...)
}

// sharedDisk is the disk for one of its readers.
type sharedDisk struct {
	disk.Image
	version string
	leave   func() error
}

// Version tells the content from that of other times.
func (s *sharedDisk) Version() string { return s.version }
func (s *sharedDisk) Close() error    { return s.leave() }

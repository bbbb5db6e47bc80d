package libvirt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

const (
	// importChunk is how many bytes of a disk may have to come twice. Each costs
	// a file in the pool, which libvirt then reads anew.
	importChunk = 64 << 20
	// keepArrivals is how long what has arrived waits for the rest.
	keepArrivals = 7 * 24 * time.Hour
)

var (
	_ host.Keeper    = (*incoming)(nil)
	_ host.Forgetter = (*Host)(nil)
)

// ImportChunk is how many bytes of a disk may arrive twice, of raw volumes: those
// of a qcow2 volume have tables that are written last; 0 where those are made.
func (h *Host) ImportChunk() int64 {
	if h.opts.Format == disk.QCOW2 {
		return 0
	}
	if h.opts.Chunk > 0 {
		return h.opts.Chunk
	}
	return importChunk
}

// Forget removes what is kept under a key.
func (h *Host) Forget(ctx context.Context, key string) error {
	if !h.arriving.Take(key) {
		return fmt.Errorf("what has arrived of %s: %w", key, host.ErrBusy)
	}
	defer h.arriving.Give(key)
	a, err := h.ledger.Arrival(ctx, key)
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return h.dropArrival(ctx, a)
}

// dropArrival removes what is kept under a key, its volumes first: but for those
// that are a System's by now, where the process died before it could forget.
func (h *Host) dropArrival(ctx context.Context, a *ledger.Arrival) error {
	owned, err := h.owned(ctx)
	if err != nil {
		return err
	}
	for _, d := range a.Disks {
		if at := decodePlace(d.Place); !owned[at] {
			if err := h.removeVolume(ctx, at); err != nil {
				return err
			}
		}
	}
	return h.ledger.ForgetArrival(ctx, a.Key)
}

// owned are the places of all disks of Systems.
func (h *Host) owned(ctx context.Context) (map[place]bool, error) {
	all, err := h.ledger.All(ctx)
	if err != nil {
		return nil, err
	}
	out := map[place]bool{}
	for _, e := range all {
		for _, at := range placesOf(e, h.opts.Pool) {
			out[at] = true
		}
	}
	return out, nil
}

// waiting are the places of what is kept of imports that broke off.
func (h *Host) waiting(ctx context.Context) (map[place]bool, error) {
	all, err := h.ledger.Arrivals(ctx)
	if err != nil {
		return nil, err
	}
	out := map[place]bool{}
	for _, a := range all {
		for _, d := range a.Disks {
			out[decodePlace(d.Place)] = true
		}
	}
	return out, nil
}

// arrivedBefore takes over what an import of the same key kept of the same
// package; what is kept of another, or for too long, is removed: two are never
// spliced. A disk that is taken over gets the id that its volume is named by,
// which nobody has seen yet.
func (h *Host) arrivedBefore(ctx context.Context, in *incoming, a *host.Arrival, key string) error {
	identity := a.Identity()
	if key == "" || identity == "" || !h.arriving.Take(key) {
		return nil
	}
	in.arrival = &ledger.Arrival{Key: key, Identity: identity, Disks: map[string]ledger.Arrived{}}
	all, err := h.ledger.Arrivals(ctx)
	if err != nil {
		return err
	}
	owned, err := h.owned(ctx)
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.Key != key && time.Since(k.Time) < keepArrivals {
			continue
		}
		if k.Key != key || k.Identity != identity {
			if err := h.dropArrival(ctx, k); err != nil {
				return err
			}
			continue
		}
		for d := range a.System.AllDisks() {
			if was, ok := k.Disks[d.OVFID]; ok {
				if err := h.takeOver(ctx, in, a.System, d, was, owned); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// takeOver gives a disk what is kept of it, where its volume is there and where
// the disk shall be.
func (h *Host) takeOver(ctx context.Context, in *incoming, s *host.System, d *host.Disk, was ledger.Arrived, owned map[place]bool) error {
	at := decodePlace(was.Place)
	next := *d
	next.ID = was.ID
	wanted, _, err := h.wanted(ctx, &next)
	if err != nil || owned[at] || wanted != at {
		return err
	}
	if _, err := h.volume(ctx, at); errors.Is(err, host.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	for m := range s.AllMachines() {
		for i := range m.Attachments {
			if m.Attachments[i].DiskID == d.ID {
				m.Attachments[i].DiskID = was.ID
			}
		}
	}
	d.ID = was.ID
	in.arrival.Disks[d.OVFID] = was
	return nil
}

// Chunk is how many bytes may arrive between two marks: the next one is under way
// while the one before is being kept.
func (in *incoming) Chunk() int64 {
	if in.arrival == nil {
		return 0
	}
	return max(1, in.h.ImportChunk()/2)
}

// Kept is how far a disk had come.
func (in *incoming) Kept(d *host.Disk) (host.Kept, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.arrival == nil {
		return host.Kept{}, false
	}
	k, ok := in.arrival.Disks[d.OVFID]
	return k.Kept, ok
}

// Keep records how far a disk has come, when libvirt has written all before it.
// Neither is synced there: what a hypervisor loses that dies shows in the content
// digest, which is taken of the volume.
func (in *incoming) Keep(ctx context.Context, d *host.Disk, k host.Kept) error {
	at := in.places[d.ID]
	if formatOf(at.volume) != disk.Raw {
		return nil
	}
	in.mu.Lock()
	s := in.sinkOf[d.ID]
	in.mu.Unlock()
	if s != nil {
		to := k.Block * disk.BlockSize
		if k.Done {
			to = d.CapacityBytes
		}
		if err := s.settle(to); err != nil {
			return fmt.Errorf("disk %s: %w", d.OVFID, err)
		}
	}
	in.keeping.Lock()
	defer in.keeping.Unlock()
	in.mu.Lock()
	next := *in.arrival
	next.Disks = maps.Clone(next.Disks)
	next.Disks[d.OVFID] = ledger.Arrived{ID: d.ID, Place: at.String(), Kept: k}
	in.mu.Unlock()
	if err := in.h.ledger.KeepArrival(ctx, &next); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.arrival = &next
	return nil
}

// leave says whether another import may go on where this one has failed; what is
// wrong in itself is not gone on with, and removed.
func (in *incoming) leave(ctx context.Context, cause error) error {
	if in.arrival == nil {
		return nil
	}
	var integrity *ovf.IntegrityError
	var descriptor *ovf.DescriptorError
	wrong := errors.As(cause, &integrity) || errors.As(cause, &descriptor)
	for _, target := range []error{disk.ErrCorrupt, disk.ErrWrongFormat, host.ErrNoSpace, host.ErrUnsupported} {
		wrong = wrong || errors.Is(cause, target)
	}
	if !wrong {
		return nil
	}
	return in.h.dropArrival(ctx, in.arrival)
}

// expired removes what has been kept for too long.
func (h *Host) expired(ctx context.Context) error {
	all, err := h.ledger.Arrivals(ctx)
	if err != nil {
		return err
	}
	for _, a := range slices.DeleteFunc(all, func(a *ledger.Arrival) bool { return time.Since(a.Time) < keepArrivals }) {
		if err := h.dropArrival(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

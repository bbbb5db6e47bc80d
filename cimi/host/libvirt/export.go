package libvirt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Export reads through libvirt; machines must be stopped, but for a Live one.
func (h *Host) Export(ctx context.Context, id string, opts host.ExportOptions) (host.Export, error) {
	if name := host.FrozenSnapshot(opts.Frozen); name != "" {
		return h.openSnapshot(ctx, name, opts)
	}
	if opts.Live && opts.Frozen == nil && h.caps.backup {
		return h.exportLive(ctx, id, opts)
	}
	h.write.Lock()
	defer h.write.Unlock()
	e, err := h.stopped(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := host.Proved(e.System); err != nil {
		return nil, err
	}
	k := &holdings{h: h, e: e, places: placesOf(e, h.opts.Pool), opened: map[string]disk.Image{}}
	x, err := h.export(ctx, k, opts)
	if err != nil {
		return nil, errors.Join(err, k.close())
	}
	return x, nil
}

func (h *Host) export(ctx context.Context, k *holdings, opts host.ExportOptions) (host.Export, error) {
	foreign := h.isForeign(ctx, k.e.System.ID)
	if foreign {
		f, err := h.foreignSystem(ctx, k.e.System.ID)
		if err != nil {
			return nil, err
		}
		found, err := k.variables(ctx, f)
		if err != nil {
			return nil, err
		}
		opts.Findings = append(opts.Findings, found...)
	} else if _, err := h.voidDigests(ctx, k.e, k.places); err != nil {
		return nil, err
	}
	changed := false
	for d := range k.e.System.AllDisks() {
		if d.ContentDigest != "" || d.ContentBytes == 0 {
			continue
		}
		// It has run since, or was made by others: what it holds now is measured now.
		if !foreign {
			if err := h.dateDigest(ctx, k.e, d, k.places[d.ID]); err != nil {
				return nil, fmt.Errorf("disk %s: %w", d.Name, err)
			}
		}
		img, err := k.Disk(ctx, d)
		if err != nil {
			return nil, err
		}
		if d.CapacityBytes == 0 {
			d.CapacityBytes = (img.Size() + 511) &^ 511
		}
		d.ContentBytes = min(d.ContentBytes, img.Size())
		digest, err := disk.ContentDigest(ctx, img, d.ContentBytes, nil)
		if err != nil {
			return nil, fmt.Errorf("disk %s: %w", d.Name, err)
		}
		d.ContentDigest, changed = digest.String(), true
	}
	if changed && !foreign {
		if err := h.ledger.Replace(ctx, k.e); err != nil {
			return nil, err
		}
	}
	s := k.e.System
	if len(opts.Using) > 0 {
		var others []*host.System
		for _, id := range opts.Using {
			o, err := h.stopped(ctx, id)
			if err == nil {
				_, err = h.voidDigests(ctx, o, placesOf(o, h.opts.Pool))
			}
			if err != nil {
				return nil, err
			}
			maps.Copy(k.places, placesOf(o, h.opts.Pool))
			others = append(others, o.System)
		}
		var err error
		if s, err = host.Borrow(s, others); err != nil {
			return nil, err
		}
	}
	x, err := host.BuildExport(ctx, s, k, h.Capabilities(), opts)
	if err != nil {
		return nil, err
	}
	return &held{x, k}, nil
}

// held closes what was opened for an export with it.
type held struct {
	host.Export
	k *holdings
}

func (x *held) Close() error { return errors.Join(x.Export.Close(), x.k.close()) }

// stopped reads a System none of whose machines runs.
func (h *Host) stopped(ctx context.Context, id string) (*ledger.Entry, error) {
	e, err := h.entry(ctx, id)
	if err != nil {
		return nil, err
	}
	for m := range e.System.AllMachines() {
		if m.State != host.Stopped && m.State != host.Failed {
			return nil, fmt.Errorf("machine %s is %s: %w", m.Name, m.State, host.ErrBusy)
		}
	}
	return e, nil
}

// holdings open each disk once: what was read of its map stays known.
type holdings struct {
	h      *Host
	e      *ledger.Entry
	places map[string]place

	mu     sync.Mutex
	opened map[string]disk.Image
	nvram  []byte // of a domain of others
}

func (k *holdings) Disk(ctx context.Context, d *host.Disk) (disk.Image, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if img, ok := k.opened[d.ID]; ok {
		return kept{img}, nil
	}
	img, err := k.h.openDisk(ctx, k.places[d.ID], d)
	if err != nil {
		return nil, err
	}
	k.opened[d.ID] = img
	return kept{img}, nil
}

func (k *holdings) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, img := range k.opened {
		errs = append(errs, img.Close())
	}
	clear(k.opened)
	return errors.Join(errs...)
}

// kept is an image that others close.
type kept struct{ disk.Image }

func (kept) Close() error { return nil }

func (k *holdings) File(ctx context.Context, name string) (ovf.MemberFile, error) {
	if name == variablesName && k.nvram != nil {
		return inMemory{bytes.NewReader(k.nvram)}, nil
	}
	return k.h.ledger.OpenFile(ctx, k.e, name)
}

// OpenDisk opens a volume for reading, as it is now.
func (h *Host) OpenDisk(ctx context.Context, diskID string) (disk.Image, error) {
	d, at, err := h.findDisk(ctx, diskID)
	if err != nil {
		return nil, err
	}
	return h.openDisk(ctx, at, d)
}

// findDisk finds a disk, and where it lies.
func (h *Host) findDisk(ctx context.Context, diskID string) (*host.Disk, place, error) {
	all, err := h.ledger.All(ctx)
	if err != nil {
		return nil, place{}, err
	}
	for _, e := range all {
		if d := e.System.Disk(diskID); d != nil {
			return d, placesOf(e, h.opts.Pool)[d.ID], nil
		}
	}
	domains, err := h.domains(ctx)
	if err != nil {
		return nil, place{}, err
	}
	for id := range domains {
		f, err := h.foreignSystem(ctx, id)
		if err != nil {
			continue // one of ours, or gone meanwhile
		}
		if d := f.system.Disk(diskID); d != nil {
			return d, f.places[d.ID], nil
		}
	}
	return nil, place{}, fmt.Errorf("disk %s: %w", diskID, host.ErrNotFound)
}

// openDisk opens a disk where it is: a volume of ours, or one that others chose.
func (h *Host) openDisk(ctx context.Context, at place, d *host.Disk) (disk.Image, error) {
	size := d.CapacityBytes
	if size == 0 {
		size = -1
	}
	if strings.HasPrefix(at.volume, prefix+"disk-") || strings.HasPrefix(at.volume, prefix+"copy-") {
		return h.openPlace(ctx, at, formatOf(at.volume), size)
	}
	return h.openForeign(ctx, at, d)
}

// Places stand in the ledger as POOL/VOLUME.
func encodePlaces(places map[string]place) map[string]string {
	out := map[string]string{}
	for id, at := range places {
		out[id] = at.String()
	}
	return out
}

func (at place) String() string { return at.pool + "/" + at.volume }

func decodePlace(s string) place {
	pool, volume, _ := strings.Cut(s, "/")
	return place{pool, volume}
}

func placesOf(e *ledger.Entry, pool string) map[string]place {
	out := map[string]place{}
	for d := range e.System.AllDisks() {
		p, v, ok := strings.Cut(e.Places[d.ID], "/")
		if !ok {
			p, v = first(d.Storage, pool), diskVolume(contentID(d), disk.Raw)
		}
		out[d.ID] = place{p, v}
	}
	return out
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// path is where the hypervisor has a volume.
func (h *Host) path(ctx context.Context, at place) (path string, err error) {
	vol, err := h.volume(ctx, at)
	if err != nil {
		return "", err
	}
	err = h.conn.call(ctx, func(l *lv.Libvirt) error {
		var err error
		path, err = l.StorageVolGetPath(vol)
		return err
	})
	return path, err
}

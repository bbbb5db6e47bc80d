package libvirt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf/disk"
)

var _ host.Retainer = (*Host)(nil)

// exportLive exports a System as it is at this moment, over copies of its disks:
// volumes of their own, which stay until Retain. What is about to be made is
// recorded first, so that the death of the process leaves nothing that no record
// names, and no job that is not found.
func (h *Host) exportLive(ctx context.Context, id string, opts host.ExportOptions) (_ host.Export, err error) {
	name := host.NewID()
	leave := h.snapshots.Enter(name)
	kept := &ledger.Snapshot{Name: name}
	k := &holdings{h: h, opened: map[string]disk.Image{}}
	defer func() {
		if err != nil {
			clean := context.WithoutCancel(ctx)
			err = errors.Join(err, k.close(), h.removeCopies(clean, h.ledger, kept))
			leave()
		}
	}()
	all, err := h.copyFirst(ctx, id, kept, k, &opts)
	if err != nil {
		return nil, err
	}
	if err := h.copyDisks(ctx, all, name); err != nil {
		return nil, fmt.Errorf("system %s: a snapshot of its disks: %w", k.e.System.Name, err)
	}
	k.places = copiesOf(kept)
	for d := range k.e.System.AllDisks() {
		img, err := k.Disk(ctx, d)
		if err == nil {
			err = host.DigestCopy(ctx, d, img)
		}
		if err != nil {
			return nil, fmt.Errorf("disk %s: %w", d.Name, err)
		}
	}
	// What its machines wrote is whole, and no job of theirs is looked for any more.
	whole := *kept
	whole.Entry = k.e
	if k.nvram != nil {
		whole.Files = map[string][]byte{variablesName: k.nvram}
	}
	if err := h.ledger.KeepSnapshot(ctx, &whole); err != nil {
		return nil, err
	}
	opts.Snapshot, opts.PointsHeld = name, true
	if opts.Points, err = points(all, name); err != nil {
		return nil, err
	}
	x, err := host.BuildExport(ctx, k.e.System, k, h.Capabilities(), opts)
	if err != nil {
		return nil, err
	}
	return &host.UsedExport{Export: &held{x, k}, Leave: leave}, nil
}

// copyFirst reads what is to be exported into k, records what will be made of it,
// and copies the disks that nobody writes to, and that nobody may change meanwhile.
func (h *Host) copyFirst(ctx context.Context, id string, kept *ledger.Snapshot, k *holdings, opts *host.ExportOptions) ([]copying, error) {
	h.write.Lock()
	defer h.write.Unlock()
	var err error
	if k.e, err = h.entry(ctx, id); err != nil {
		return nil, err
	}
	k.places = placesOf(k.e, h.opts.Pool)
	if h.isForeign(ctx, id) {
		f, err := h.foreignSystem(ctx, id)
		if err != nil {
			return nil, err
		}
		found, err := k.variables(ctx, f)
		if err != nil {
			return nil, err
		}
		opts.Findings = append(opts.Findings, found...)
	}
	var others []*host.System
	for _, id := range opts.Using {
		o, err := h.entry(ctx, id)
		if err != nil {
			return nil, err
		}
		maps.Copy(k.places, placesOf(o, h.opts.Pool))
		others = append(others, o.System)
	}
	if len(others) > 0 {
		if k.e.System, err = host.Borrow(k.e.System, others); err != nil {
			return nil, err
		}
	}
	if err := host.Proved(k.e.System); err != nil {
		return nil, err
	}
	all, err := h.copies(ctx, k.e.System, k.places, kept.Name)
	if err != nil {
		return nil, fmt.Errorf("system %s: %w", k.e.System.Name, err)
	}
	kept.Places = map[string]string{}
	stale := map[string]bool{}
	if !h.isForeign(ctx, id) {
		if stale, err = h.voidDigests(ctx, k.e, k.places); err != nil {
			return nil, err
		}
	}
	if !opts.Untracked {
		if err := h.choose(ctx, all); err != nil {
			return nil, err
		}
	}
	for _, c := range all {
		kept.Places[c.d.ID] = c.to.String()
		if c.mark {
			if kept.Marked == nil {
				kept.Marked = map[string]string{}
			}
			kept.Marked[c.d.ID] = c.from.String()
		}
		if c.atRest() {
			continue
		}
		if c.d.ContentDigest != "" {
			stale[c.d.ID], c.d.ContentDigest = true, ""
		}
		if !slices.Contains(kept.Machines, c.by.machine) {
			kept.Machines = append(kept.Machines, c.by.machine)
		}
	}
	if err := h.forgetDigests(ctx, id, stale); err != nil {
		return nil, err
	}
	if err := h.ledger.KeepSnapshot(ctx, kept); err != nil {
		return nil, err
	}
	return all, h.copyResting(ctx, all)
}

// forgetDigests voids those of disks whose machines run: who started one may not
// have come through here.
func (h *Host) forgetDigests(ctx context.Context, id string, disks map[string]bool) error {
	if len(disks) == 0 {
		return nil
	}
	e, err := h.ledger.Get(ctx, id)
	if err != nil {
		return err
	}
	for d := range e.System.AllDisks() {
		if disks[d.ID] {
			d.ContentDigest = ""
		}
	}
	return h.ledger.Replace(ctx, e)
}

func copiesOf(s *ledger.Snapshot) map[string]place {
	out := map[string]place{}
	for id, at := range s.Places {
		out[id] = decodePlace(at)
	}
	return out
}

// owners are the ledgers of this process and of those whose heir it is.
func (h *Host) owners() []*ledger.Ledger {
	out := []*ledger.Ledger{h.ledger}
	for _, o := range h.opts.Heirs {
		out = append(out, &ledger.Ledger{Shelf: shelf{h}, Owner: o})
	}
	return out
}

// openSnapshot opens a Live export again.
func (h *Host) openSnapshot(ctx context.Context, name string, opts host.ExportOptions) (_ host.Export, err error) {
	leave := h.snapshots.Enter(name)
	var kept *ledger.Snapshot
	for _, l := range h.owners() {
		if kept, err = l.Snapshot(ctx, name); !errors.Is(err, host.ErrNotFound) {
			break
		}
	}
	if err != nil {
		leave()
		return nil, err
	}
	k := &holdings{h: h, e: kept.Entry, places: copiesOf(kept), opened: map[string]disk.Image{}, nvram: kept.Files[variablesName]}
	x, err := host.BuildExport(ctx, kept.Entry.System, k, h.Capabilities(), opts)
	if err != nil {
		leave()
		return nil, errors.Join(err, k.close())
	}
	return &host.UsedExport{Export: &held{x, k}, Leave: leave}, nil
}

// Retain removes the snapshots of exports that are no more, those of processes
// that died while they made one among them; see host.Retainer. What cannot be
// reached now is tried again the next time.
func (h *Host) Retain(ctx context.Context, states [][]byte) error {
	wanted := map[string]bool{}
	for _, state := range states {
		wanted[host.FrozenSnapshot(state)] = true
	}
	var errs []error
	for _, l := range h.owners() {
		all, err := l.Snapshots(ctx)
		if err != nil {
			return err
		}
		for _, s := range all {
			if h.snapshots.In(s.Name) || wanted[s.Name] {
				continue
			}
			if err := h.removeCopies(ctx, l, s); err != nil && !errors.Is(err, host.ErrBusy) && !errors.Is(err, errNoPool) {
				errs = append(errs, fmt.Errorf("removing the snapshot %s: %w", s.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

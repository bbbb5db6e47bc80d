package vsphere

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
)

var _ host.ChangeTracker = (*Host)(nil)

// point is a moment of a disk: the change id that it had in a snapshot, and what
// tells the disk from any other.
type point struct {
	Machine string `json:"machine"`
	Key     int32  `json:"key"`
	UUID    string `json:"uuid"`
	File    string `json:"file"`
	Size    int64  `json:"size"`
	Change  string `json:"change"`
}

// pointOf is that of a disk as a machine has it; false where its host does not
// track it, or it is a part of a chain.
func pointOf(vm *mo.VirtualMachine, d *types.VirtualDisk) (p point, ok bool) {
	change, ok := tracked(vm, d)
	file, flat := flatFile(d)
	if !ok || !flat {
		return p, false
	}
	uuid := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo).Uuid
	return point{Machine: vm.Self.Value, Key: d.Key, UUID: uuid, File: file.String(), Size: capacity(d), Change: change}, true
}

// notePoints notes where the tracking of a machine's disks stands.
func (k *holdings) notePoints(vm *mo.VirtualMachine, m *host.Machine) error {
	for id, at := range places(vm, m, k.noted) {
		p, ok := pointOf(vm, at.disk)
		if !ok {
			continue
		}
		b, err := json.Marshal(p)
		if err != nil {
			return err
		}
		k.points[id] = string(b)
	}
	return nil
}

// ChangedSince asks the vCenter for what has changed since the snapshot of an
// export; see host.ChangeTracker.
func (h *Host) ChangedSince(ctx context.Context, diskID, since string) ([]disk.Extent, error) {
	var then point
	if err := json.Unmarshal([]byte(since), &then); err != nil {
		return nil, fmt.Errorf("disk %s: the point is none of this host (%v): %w", diskID, err, host.ErrChanged)
	}
	m, d, k, err := h.attachedDisk(ctx, diskID)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fmt.Errorf("disk %s: no machine has it: %w", d.Name, host.ErrChanged)
	}
	vm, err := h.machine(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	if vm == nil || vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		return nil, fmt.Errorf("disk %s: machine %s is not at rest: %w", d.Name, m.Name, host.ErrBusy)
	}
	at, ok := places(vm, m, k.noted)[diskID]
	if !ok {
		return nil, fmt.Errorf("disk %s: machine %s does not have it any more: %w", d.Name, m.Name, host.ErrChanged)
	}
	if err := then.follows(vm, at.disk); err != nil {
		return nil, fmt.Errorf("disk %s: %w: %w", d.Name, err, host.ErrChanged)
	}
	areas, err := h.areas(ctx, vm.Self, nil, at.disk, then.Change)
	if err != nil {
		return nil, fmt.Errorf("disk %s: what has changed since %s: %w: %w", d.Name, then.Change, err, host.ErrChanged)
	}
	return areas, nil
}

// follows tells whether the tracking of a disk goes on from a point without a
// break, as far as can be seen.
func (then point) follows(vm *mo.VirtualMachine, d *types.VirtualDisk) error {
	now, ok := pointOf(vm, d)
	switch {
	case vm.Snapshot != nil && len(vm.Snapshot.RootSnapshotList) > 0:
		return errors.New("its machine has snapshots")
	case !ok:
		return errors.New("its host does not track its changes any more")
	}
	was, counted, ok := cutChangeID(then.Change)
	is, counts, _ := cutChangeID(now.Change)
	if !ok || was != is || counts < counted {
		return fmt.Errorf("the tracking of its changes began anew: it is at %s, it was at %s", now.Change, then.Change)
	}
	now.Change = then.Change
	if now != then {
		return fmt.Errorf("it is another disk: %+v, it was %+v", now, then)
	}
	return nil
}

// OpenFew reads a disk of a machine at rest where it lies, thin ones too: of
// these the file access of the datastore gives zeros for holes. What it does not
// give is fetched; see host.ChangeTracker.
func (h *Host) OpenFew(ctx context.Context, diskID string) (disk.Image, error) {
	m, d, k, err := h.attachedDisk(ctx, diskID)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return h.OpenDisk(ctx, diskID)
	}
	vm, err := h.machine(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	if vm != nil && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOff && vm.Config.ChangeVersion != "" {
		if at, ok := places(vm, m, k.noted)[d.ID]; ok {
			img, err := h.whereItLies(ctx, at.disk, nil, d)
			if err != nil {
				return nil, err
			}
			if img != nil {
				return versioned{img, atRest(vm, d)}, nil
			}
		}
	}
	return k.openNow(ctx, m, d)
}

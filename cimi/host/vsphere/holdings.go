package vsphere

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// holdings are the disks of Systems as they were fetched.
type holdings struct {
	h      *Host
	e      *ledger.Entry
	system string                // id of the one that the disk is of, where it is one disk
	noted  map[string]string     // places of disks, of all records
	images map[string]disk.Image // by id of the disk, not yet taken
	keys   map[string]string     // of the devices in their leases, by id of the disk
	stored map[string]int64      // sizes of the images as they came

	points   map[string]string              // where the tracking of disks stands, by id of the disk
	live     bool                           // machines may run
	name     string                         // of the export that snapshots are for; empty: there are none
	taken    []types.ManagedObjectReference // snapshots
	inPlace  bool                           // a disk is read where it lies
	spools   bool                           // none may be
	whole    bool                           // what is no disk counts too: there is no record that has it
	nvram    []variables
	findings []ovf.Finding
}

func (h *Host) newHoldings(e *ledger.Entry) *holdings {
	k := &holdings{h: h, e: e, noted: map[string]string{}, images: map[string]disk.Image{}, keys: map[string]string{}, stored: map[string]int64{}, points: map[string]string{}}
	k.note(e)
	return k
}

func (k *holdings) note(e *ledger.Entry) {
	if e != nil {
		maps.Copy(k.noted, e.Places)
	}
}

func (k *holdings) close() error {
	var errs []error
	for id, img := range k.images {
		errs = append(errs, img.Close())
		delete(k.images, id)
	}
	return errors.Join(errs...)
}

// fetch fetches every disk of a System, and puts down what it holds.
func (k *holdings) fetch(ctx context.Context, s *host.System) error {
	for m := range s.AllMachines() {
		if m.State != host.Stopped && !(k.name != "" && m.State == host.Started) {
			return fmt.Errorf("machine %s is %s: %w", m.Name, m.State, host.ErrBusy)
		}
	}
	for m := range s.AllMachines() {
		wanted := map[string]*host.Disk{}
		for _, a := range m.Attachments {
			if d := s.Disk(a.DiskID); d != nil {
				wanted[d.ID] = d
			}
		}
		if err := k.fetchOf(ctx, m, wanted); err != nil {
			return fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	for d := range s.AllDisks() {
		if k.images[d.ID] == nil {
			img, err := k.h.openLoose(ctx, s.ID, d)
			if err != nil {
				return fmt.Errorf("disk %s: %w", d.Name, err)
			}
			k.images[d.ID] = img
		}
		if err := k.digest(ctx, d); err != nil {
			return fmt.Errorf("disk %s: %w", d.Name, err)
		}
	}
	return nil
}

// digest notes what a disk holds now. A disk that the package had blank stays
// so as long as it is. One that is not here yet is not read for it.
func (k *holdings) digest(ctx context.Context, d *host.Disk) error {
	img := k.images[d.ID]
	_, away := img.(versioned)
	size := img.Size()
	if d.ContentBytes > 0 {
		size = min(size, d.ContentBytes)
	} else if d.OVFID != "" || d.ContentDigest != "" {
		if data, err := disk.FirstData(ctx, img, 0); err != nil || data < 0 {
			return err
		}
	}
	if away {
		d.ContentBytes, d.ContentDigest = size, ""
		return nil
	}
	sum, err := disk.ContentDigest(ctx, img, size, nil)
	if err != nil {
		return err
	}
	d.ContentBytes, d.ContentDigest = size, sum.String()
	return nil
}

func (k *holdings) Disk(ctx context.Context, d *host.Disk) (disk.Image, error) {
	img := k.images[d.ID]
	if img == nil {
		return nil, fmt.Errorf("disk %s: %w", d.Name, host.ErrNotFound)
	}
	delete(k.images, d.ID)
	return img, nil
}

func (k *holdings) File(ctx context.Context, name string) (ovf.MemberFile, error) {
	for _, v := range k.nvram {
		if v.href == name {
			return inMemory{bytes.NewReader(v.content)}, nil
		}
	}
	if k.e == nil {
		return nil, fmt.Errorf("file %s: %w", name, host.ErrNotFound)
	}
	return k.h.ledger.OpenFile(ctx, k.e, name)
}

// fetchOf fetches disks of one machine under one lease.
func (k *holdings) fetchOf(ctx context.Context, m *host.Machine, wanted map[string]*host.Disk) (err error) {
	if len(wanted) == 0 {
		return nil
	}
	vm, err := k.h.machine(ctx, m.ID)
	if err != nil {
		return err
	}
	if vm == nil {
		return fmt.Errorf("it is gone from the vCenter: %w", host.ErrNotFound)
	}
	snap, err := k.snapshotOf(ctx, m, vm)
	if err != nil {
		return err
	}
	found := places(vm, m, k.noted)
	if snap != nil && k.live {
		if err := k.notePoints(snap.of(vm), m); err != nil {
			return err
		}
	}
	if snap != nil && !k.spools {
		if err := k.readInPlace(ctx, m, vm, snap, wanted); err != nil {
			return err
		}
	}
	missing := slices.ContainsFunc(m.Attachments, func(a host.Attachment) bool { return wanted[a.DiskID] != nil && k.images[a.DiskID] == nil })
	if !missing {
		if k.whole {
			k.variables(ctx, nil, vm)
		}
		return nil
	}
	l, err := k.h.lease(ctx, vm, snap)
	if err != nil {
		return err
	}
	return k.h.leased(ctx, l, func(ctx context.Context, l *lease) error {
		var need int64
		for id := range wanted {
			if at, ok := found[id]; ok {
				need += capacity(at.disk)
			}
		}
		var done int64
		for _, a := range m.Attachments {
			d := wanted[a.DiskID]
			if d == nil || k.images[d.ID] != nil {
				continue
			}
			at, ok := found[d.ID]
			if !ok {
				return fmt.Errorf("disk %s: the machine does not have it any more: %w", d.Name, host.ErrNotFound)
			}
			img, err := l.fetch(ctx, at, d, func(n int64) { done += n; l.progress(done, need) })
			if err != nil {
				return err
			}
			k.images[d.ID] = img
			if u := l.device(at.key); u != nil {
				k.keys[d.ID], k.stored[d.ID] = u.Key, l.storedSize(u)
			}
		}
		if k.whole {
			k.variables(ctx, l, vm)
		}
		return nil
	})
}

// snapshotOf is the snapshot that a machine is read by; nil where it rests, and
// is read as it is.
func (k *holdings) snapshotOf(ctx context.Context, m *host.Machine, vm *mo.VirtualMachine) (*snapshot, error) {
	runs := vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
	switch {
	case k.name == "" && runs:
		return nil, fmt.Errorf("machine %s runs: %w", m.Name, host.ErrBusy)
	case k.name == "", k.live && !runs:
		return nil, nil
	case k.live:
		if err := unprotected(vm); err != nil {
			return nil, err
		}
		k.findings = append(k.findings, snapshotTaken(m))
		snap, err := k.h.takeSnapshot(ctx, vm, k.name)
		if snap != nil {
			k.taken = append(k.taken, snap.ref)
		}
		return snap, err
	}
	snap, err := k.h.findSnapshot(ctx, vm, k.name)
	if err == nil && snap == nil && runs {
		err = fmt.Errorf("the snapshot %.40q: %w", k.name, host.ErrNotFound)
	}
	return snap, err
}

// readInPlace opens those disks of a snapshot that the datastore gives ranges of.
func (k *holdings) readInPlace(ctx context.Context, m *host.Machine, vm *mo.VirtualMachine, snap *snapshot, wanted map[string]*host.Disk) error {
	for id, at := range places(snap.of(vm), m, k.noted) {
		d := wanted[id]
		if d == nil || k.images[id] != nil {
			continue
		}
		// What is told wrongly is found when the machine rests: then all is read.
		areas, err := k.h.allocated(ctx, vm.Self, snap, at.disk)
		if err != nil {
			k.findings = append(k.findings, areasUnknown(d, err))
		}
		img, err := k.h.inPlace(ctx, at.disk, areas, d)
		if err != nil {
			return err
		}
		if img == nil {
			continue // a lease gives it
		}
		k.images[id] = versioned{img, fmt.Sprintf("%s %s %s", k.name, snap.ref.Value, id)}
		k.keys[id], k.stored[id] = "/"+vm.Self.Value+"/"+at.key, capacity(at.disk)
		k.inPlace = true
	}
	return nil
}

// removeTaken removes the snapshots that were made.
func (k *holdings) removeTaken(ctx context.Context) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	var errs []error
	for _, ref := range k.taken {
		errs = append(errs, k.h.removeSnapshot(clean, ref))
	}
	k.taken = nil
	return errors.Join(errs...)
}

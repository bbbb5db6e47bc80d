package vsphere

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/nfc"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// Export fetches the disks of a System into the spool, digests them, and
// freezes the package over them. Its machines must be stopped, unless
// opts.Live: then one that runs is exported as a snapshot shows it. Its flat
// disks are read where they lie then, and the snapshot stays until Retain.
func (h *Host) Export(ctx context.Context, id string, opts host.ExportOptions) (_ host.Export, err error) {
	s, e, err := h.system(ctx, id)
	if err != nil {
		return nil, err
	}
	using := opts.Using
	if opts.Frozen != nil {
		using = host.FrozenUsing(opts.Frozen)
	}
	k := h.newHoldings(e)
	k.live, k.whole = opts.Live && opts.Frozen == nil, e == nil
	if k.name = host.FrozenSnapshot(opts.Frozen); k.live {
		k.name = host.NewID()
	}
	leave := h.snapshots.Enter(k.name)
	defer func() {
		if err != nil {
			err = errors.Join(err, k.close(), k.removeTaken(ctx))
			leave()
		}
	}()
	if err := k.fetch(ctx, s); err != nil {
		return nil, err
	}
	if e == nil && opts.Frozen == nil && opts.Descriptor == nil {
		var found []ovf.Finding
		if s, found, err = k.described(ctx, s); err != nil {
			return nil, err
		}
		k.findings = append(k.findings, found...)
	}
	opts.Findings = append(opts.Findings, k.findings...)
	k.whole = false
	var others []*host.System
	for _, id := range using {
		o, oe, err := h.system(ctx, id)
		if err != nil {
			return nil, err
		}
		k.note(oe)
		if err := k.fetch(ctx, o); err != nil {
			return nil, err
		}
		others = append(others, o)
	}
	if len(others) > 0 {
		if s, err = host.Borrow(s, others); err != nil {
			return nil, err
		}
	}
	if opts.Descriptor != nil {
		if s, err = host.Redescribe(s, opts.Descriptor, h.Capabilities()); err != nil {
			return nil, err
		}
	}
	if k.inPlace {
		opts.Snapshot = k.name
	}
	opts.Points = k.points
	x, err := host.BuildExport(ctx, s, k, h.Capabilities(), opts)
	if err != nil {
		return nil, err
	}
	err = k.close() // what the export did not take
	if !k.inPlace && err == nil {
		err = k.removeTaken(ctx) // all of it is here
	}
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return &host.UsedExport{Export: x, Leave: leave}, nil
}

// leased does something under a lease of an export, and ends it.
func (h *Host) leased(ctx context.Context, l *nfc.Lease, f func(context.Context, *lease) error) error {
	open, ctx, err := h.open(ctx, l)
	if err != nil {
		return err
	}
	err = f(ctx, open)
	if lost := open.failure(); lost != nil {
		err = lost
	}
	if err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		return errors.Join(err, open.abort(clean))
	}
	return open.complete(ctx)
}

// places leads from ids of a machine's disks to where they are. Those of a
// record are known by what is noted of them: the UUID of the disk, or the
// device that it was put on.
func places(vm *mo.VirtualMachine, m *host.Machine, noted map[string]string) map[string]attached {
	out := map[string]attached{}
	for _, at := range disksOf(object.VirtualDeviceList(vm.Config.Hardware.Device)) {
		out[diskID(m.ID, at.disk.Key)] = at
		for _, a := range m.Attachments {
			if is := noted[a.DiskID]; is != "" && (is == at.uuid() || is == at.key) {
				delete(out, diskID(m.ID, at.disk.Key))
				out[a.DiskID] = at
			}
		}
	}
	return out
}

// fetch spools one disk of a lease.
func (l *lease) fetch(ctx context.Context, at attached, d *host.Disk, told func(int64)) (disk.Image, error) {
	u := l.device(at.key)
	if u == nil {
		var have []string
		for _, u := range l.info.DeviceUrl {
			have = append(have, u.Key)
		}
		return nil, fmt.Errorf("disk %s: the lease has no file for %s, it has %s", d.Name, at.key, strings.Join(have, ", "))
	}
	if err := l.h.room("disk "+d.Name, l.storedSize(u)); err != nil {
		return nil, err
	}
	file, err := l.h.newSpool()
	if err != nil {
		return nil, err
	}
	img, err := l.download(ctx, u, d.Name, file, told)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("disk %s: %w", d.Name, err), file.Close())
	}
	sized, err := withSize(ctx, img, d.CapacityBytes)
	if err != nil {
		return nil, errors.Join(err, img.Close())
	}
	return sized, nil
}

// storedSize is how large the vCenter says a file is, 0 when it does not.
func (l *lease) storedSize(u *types.HttpNfcLeaseDeviceUrl) int64 { return max(u.FileSize, 0) }

// OpenDisk gives a disk as it is now; that of a machine that runs as a snapshot
// shows it.
func (h *Host) OpenDisk(ctx context.Context, diskID string) (disk.Image, error) {
	m, d, k, err := h.attachedDisk(ctx, diskID)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return h.openLoose(ctx, k.system, d)
	}
	return k.openNow(ctx, m, d)
}

// attachedDisk finds a disk and the machine that has it, nil where none does.
func (h *Host) attachedDisk(ctx context.Context, diskID string) (*host.Machine, *host.Disk, *holdings, error) {
	recorded, _, err := h.recorded(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	all, err := h.all(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, s := range all {
		d := s.Disk(diskID)
		if d == nil {
			continue
		}
		k := h.newHoldings(nil)
		k.system = s.ID
		for _, e := range recorded {
			if e.System.ID == s.ID {
				k.note(e)
			}
		}
		for m := range s.AllMachines() {
			for _, a := range m.Attachments {
				if a.DiskID == diskID {
					return m, d, k, nil
				}
			}
		}
		return nil, d, k, nil
	}
	return nil, nil, nil, fmt.Errorf("disk %s: %w", diskID, host.ErrNotFound)
}

// openNow opens one disk of a machine. That of one at rest is read where it lies,
// or fetched once as long as the machine rests.
func (k *holdings) openNow(ctx context.Context, m *host.Machine, d *host.Disk) (disk.Image, error) {
	vm, err := k.h.machine(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	if vm == nil || vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff || vm.Config.ChangeVersion == "" {
		return k.open(ctx, m, d)
	}
	if at, ok := places(vm, m, k.noted)[d.ID]; ok {
		img, err := k.h.inPlace(ctx, at.disk, nil, d)
		if img != nil || err != nil {
			return versioned{img, atRest(vm, d)}, err
		}
	}
	return k.h.fetched.open(ctx, d.ID, atRest(vm, d), func(ctx context.Context) (disk.Image, error) { return k.open(ctx, m, d) })
}

// atRest tells the content of a disk of a stopped machine from that of times
// before it ran, or was changed.
func atRest(vm *mo.VirtualMachine, d *host.Disk) string {
	return vm.Self.Value + " " + vm.Config.ChangeVersion + " " + d.ID
}

// open fetches one disk of a machine, that of one that runs as a snapshot shows
// it, which is gone then.
func (k *holdings) open(ctx context.Context, m *host.Machine, d *host.Disk) (disk.Image, error) {
	if m.State == host.Started {
		k.live, k.spools, k.name = true, true, host.NewID()
		defer k.h.snapshots.Enter(k.name)()
	}
	err := k.fetchOf(ctx, m, map[string]*host.Disk{d.ID: d})
	if err = errors.Join(err, k.removeTaken(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("machine %s: %w", m.Name, err), k.close())
	}
	return k.Disk(ctx, d)
}

// openLoose opens a disk that no machine has: an image beside the records, or
// nothing but zeros.
func (h *Host) openLoose(ctx context.Context, system string, d *host.Disk) (disk.Image, error) {
	f, err := h.ledger.Shelf.Open(ctx, diskFile(system, d))
	if errors.Is(err, host.ErrNotFound) && d.ContentBytes == 0 {
		return &sized{nothing{}, d.CapacityBytes}, nil
	}
	if err != nil {
		return nil, err
	}
	img, err := vmdk.Open(f, f.Size(), d.Name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return withSize(ctx, disk.Owning(img, f), d.CapacityBytes)
}

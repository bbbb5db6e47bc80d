package vsphere

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/vmware/govmomi/nfc"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// Export fetches the disks of a System into the spool, digests them, and
// freezes the package over them. Its machines must be stopped, unless
// opts.Live: then one that runs is exported as a snapshot shows it.
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
	defer func() {
		if err != nil {
			err = errors.Join(err, k.close())
		}
	}()
	k.live = opts.Live
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
	x, err := host.BuildExport(ctx, s, k, h.Capabilities(), opts)
	if err != nil {
		return nil, err
	}
	return x, k.close() // what the export did not take
}

// holdings are the disks of Systems as they were fetched.
type holdings struct {
	h      *Host
	e      *ledger.Entry
	noted  map[string]string     // places of disks, of all records
	images map[string]disk.Image // by id of the disk, not yet taken
	keys   map[string]string     // of the devices in their leases, by id of the disk
	stored map[string]int64      // sizes of the images as they came

	live     bool // machines may run
	findings []ovf.Finding
}

func (h *Host) newHoldings(e *ledger.Entry) *holdings {
	k := &holdings{h: h, e: e, noted: map[string]string{}, images: map[string]disk.Image{}, keys: map[string]string{}, stored: map[string]int64{}}
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
		if m.State != host.Stopped && !(k.live && m.State == host.Started) {
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
		if err := digest(ctx, d, k.images[d.ID]); err != nil {
			return fmt.Errorf("disk %s: %w", d.Name, err)
		}
	}
	return nil
}

// digest notes what a disk holds now. A disk that the package had blank stays
// so as long as it is.
func digest(ctx context.Context, d *host.Disk, img disk.Image) error {
	size := img.Size()
	if d.ContentBytes > 0 {
		size = min(size, d.ContentBytes)
	} else {
		data, err := disk.Allocated(ctx, img)
		if err != nil || data == 0 && (d.OVFID != "" || d.ContentDigest != "") {
			return err
		}
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
	places := places(vm, m, k.noted)
	if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		if err := unprotected(vm); err != nil {
			return err
		}
		k.findings = append(k.findings, snapshotTaken(m))
	}
	l, done, err := k.h.exported(ctx, vm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return k.h.leased(ctx, l, func(ctx context.Context, l *lease) error {
		var need int64
		for id := range wanted {
			if at, ok := places[id]; ok {
				need += capacity(at.disk)
			}
		}
		var done int64
		for _, a := range m.Attachments {
			d := wanted[a.DiskID]
			if d == nil || k.images[d.ID] != nil {
				continue
			}
			at, ok := places[d.ID]
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
		return nil
	})
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

// OpenDisk fetches a disk as it is now. The machine that has it must be stopped:
// vSphere leases no other for export, and no snapshot is made for it.
func (h *Host) OpenDisk(ctx context.Context, diskID string) (disk.Image, error) {
	recorded, _, err := h.recorded(ctx)
	if err != nil {
		return nil, err
	}
	all, err := h.all(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		d := s.Disk(diskID)
		if d == nil {
			continue
		}
		for m := range s.AllMachines() {
			for _, a := range m.Attachments {
				if a.DiskID == diskID {
					k := h.newHoldings(nil)
					for _, e := range recorded {
						if e.System.ID == s.ID {
							k.note(e)
						}
					}
					return k.open(ctx, m, d)
				}
			}
		}
		return h.openLoose(ctx, s.ID, d)
	}
	return nil, fmt.Errorf("disk %s: %w", diskID, host.ErrNotFound)
}

// open fetches one disk of a machine.
func (k *holdings) open(ctx context.Context, m *host.Machine, d *host.Disk) (disk.Image, error) {
	if err := k.fetchOf(ctx, m, map[string]*host.Disk{d.ID: d}); err != nil {
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

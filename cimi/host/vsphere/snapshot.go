package vsphere

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/nfc"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

var _ host.Retainer = (*Host)(nil)

// A machine that runs is read as a snapshot shows it that is made for the
// purpose: its disks are as after a power failure at that moment. The snapshot
// bears the owner's name and that of the export, so that one whose process died
// is found again, or removed.

// snapshotPrefix begins the names of our snapshots; the owner follows, and the
// name of the export.
const snapshotPrefix = "cimimove-"

func (h *Host) snapshotName(export string) string {
	return snapshotPrefix + h.opts.Owner + "." + export
}

// snapshotOf takes the name of a snapshot apart.
func snapshotOf(name string) (owner, export string, ours bool) {
	owner, ours = strings.CutPrefix(name, snapshotPrefix)
	if i := strings.LastIndexByte(owner, '.'); i >= 0 {
		owner, export = owner[:i], owner[i+1:]
	}
	return owner, export, ours
}

// snapshot is one of a machine that an export reads.
type snapshot struct {
	ref types.ManagedObjectReference
	// devices are those of the machine then: their disks are not written to.
	devices object.VirtualDeviceList
}

// of is the machine with the devices that it had then.
func (s *snapshot) of(vm *mo.VirtualMachine) *mo.VirtualMachine {
	then, config := *vm, *vm.Config
	config.Hardware.Device = s.devices
	then.Config = &config
	return &then
}

// takeSnapshot makes the snapshot of a machine for an export; it is there where
// it is not nil, whatever the error.
func (h *Host) takeSnapshot(ctx context.Context, vm *mo.VirtualMachine, export string) (*snapshot, error) {
	o := object.NewVirtualMachine(h.conn.Client, vm.Self)
	task, err := o.CreateSnapshot(ctx, h.snapshotName(export), "while cimimove reads the disks", false, false)
	if err != nil {
		return nil, fmt.Errorf("a snapshot of it: %w", explain(err))
	}
	// Made it is, whoever waits: only then can it be removed.
	info, err := task.WaitForResult(context.WithoutCancel(ctx))
	if err != nil {
		return nil, fmt.Errorf("a snapshot of it: %w", explain(err))
	}
	ref, ok := info.Result.(types.ManagedObjectReference)
	if !ok {
		return nil, fmt.Errorf("a snapshot of it: the answer is a %T", info.Result)
	}
	h.keeps.Store(true)
	s, err := h.readSnapshot(ctx, ref)
	if err != nil {
		return &snapshot{ref: ref}, err
	}
	return s, nil
}

// readSnapshot is the snapshot that there is.
func (h *Host) readSnapshot(ctx context.Context, ref types.ManagedObjectReference) (*snapshot, error) {
	var m mo.VirtualMachineSnapshot
	if err := property.DefaultCollector(h.conn.Client).RetrieveOne(ctx, ref, []string{"config.hardware.device"}, &m); err != nil {
		return nil, fmt.Errorf("a snapshot of it: %w", explain(err))
	}
	return &snapshot{ref, m.Config.Hardware.Device}, nil
}

// findSnapshot finds the snapshot of a machine for an export; nil where it has none.
func (h *Host) findSnapshot(ctx context.Context, vm *mo.VirtualMachine, export string) (*snapshot, error) {
	if vm.Snapshot == nil {
		return nil, nil
	}
	for _, s := range flattened(vm.Snapshot.RootSnapshotList) {
		if s.Name == h.snapshotName(export) {
			return h.readSnapshot(ctx, s.Snapshot)
		}
	}
	return nil, nil
}

// lease asks for the lease of a machine's disks, as a snapshot shows them where
// there is one.
func (h *Host) lease(ctx context.Context, vm *mo.VirtualMachine, snap *snapshot) (*nfc.Lease, error) {
	if snap == nil {
		l, err := object.NewVirtualMachine(h.conn.Client, vm.Self).Export(ctx)
		return l, explain(err)
	}
	res, err := methods.ExportSnapshot(ctx, h.conn, &types.ExportSnapshot{This: snap.ref})
	if err != nil {
		return nil, explain(err)
	}
	return nfc.NewLease(h.conn.Client, res.Returnval), nil
}

func (h *Host) removeSnapshot(ctx context.Context, ref types.ManagedObjectReference) error {
	res, err := methods.RemoveSnapshot_Task(ctx, h.conn, &types.RemoveSnapshot_Task{This: ref, RemoveChildren: false, Consolidate: types.NewBool(true)})
	if err == nil {
		err = object.NewTask(h.conn.Client, res.Returnval).Wait(ctx)
	}
	if isFault[*types.ManagedObjectNotFound](err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing the snapshot %s: %w", ref.Value, explain(err))
	}
	return nil
}

// Retain removes the snapshots of exports that are no more; see host.Retainer.
func (h *Host) Retain(ctx context.Context, states [][]byte) error {
	if !h.keeps.Load() {
		return nil
	}
	wanted := map[string]bool{}
	for _, state := range states {
		wanted[host.FrozenSnapshot(state)] = true
	}
	left, err := h.removeSnapshots(ctx, func(owner, export string) bool {
		return owner == h.opts.Owner && !wanted[export] && !h.snapshots.In(export)
	})
	if err == nil {
		h.keeps.Store(left)
	}
	return err
}

// removeSnapshots removes those of ours that are not wanted any more; left says
// whether this owner has others.
func (h *Host) removeSnapshots(ctx context.Context, unwanted func(owner, export string) bool) (left bool, err error) {
	v, err := h.view(ctx, "VirtualMachine")
	if err != nil {
		return false, err
	}
	defer v.Destroy(context.WithoutCancel(ctx))
	var machines []mo.VirtualMachine
	if err := v.Retrieve(ctx, []string{"VirtualMachine"}, []string{"name", "snapshot"}, &machines); err != nil {
		return false, explain(err)
	}
	var errs []error
	for _, vm := range machines {
		if vm.Snapshot == nil {
			continue
		}
		for _, s := range flattened(vm.Snapshot.RootSnapshotList) {
			owner, export, ours := snapshotOf(s.Name)
			if !ours || !unwanted(owner, export) {
				left = left || ours && owner == h.opts.Owner
				continue
			}
			var denied *PermissionError
			if err := h.removeSnapshot(ctx, s.Snapshot); err != nil && !errors.As(err, &denied) {
				errs = append(errs, fmt.Errorf("machine %s: %w", vm.Name, err))
			}
		}
	}
	return left, errors.Join(errs...)
}

func flattened(trees []types.VirtualMachineSnapshotTree) (out []types.VirtualMachineSnapshotTree) {
	for _, t := range trees {
		out = append(append(out, t), flattened(t.ChildSnapshotList)...)
	}
	return out
}

// unprotected are disks that no snapshot holds still: independent ones, which a
// running machine goes on writing to, and devices mapped raw in physical mode.
func unprotected(vm *mo.VirtualMachine) error {
	for _, at := range disksOf(object.VirtualDeviceList(vm.Config.Hardware.Device)) {
		var mode string
		switch b := at.disk.Backing.(type) {
		case *types.VirtualDiskFlatVer2BackingInfo:
			mode = b.DiskMode
		case *types.VirtualDiskSeSparseBackingInfo:
			mode = b.DiskMode
		case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
			mode = b.DiskMode
			if b.CompatibilityMode == string(types.VirtualDiskCompatibilityModePhysicalMode) {
				mode = "physical mode"
			}
		}
		if strings.HasPrefix(mode, "independent") || mode == "physical mode" {
			return fmt.Errorf("machine %s runs, and its disk %s is %s, which a snapshot does not hold still: stop it first: %w", vm.Name, label(at.disk, at.key), mode, host.ErrBusy)
		}
	}
	return nil
}

// snapshotTaken tells that a package shows a machine at one moment of its run.
func snapshotTaken(m *host.Machine) ovf.Finding {
	return ovf.Finding{ID: "VSPHERE-SNAP-001", Severity: ovf.Info, Object: "machine " + m.Name,
		Message: "it runs, and is exported as a snapshot shows it: its disks are as after a power failure at that moment"}
}

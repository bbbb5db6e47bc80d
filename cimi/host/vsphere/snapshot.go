package vsphere

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/nfc"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// A machine that runs is read as a snapshot shows it that is made for the
// purpose: its disks are as after a power failure at that moment. The snapshot
// bears the owner's name, so that one whose process died is removed by Open.

// snapshotPrefix begins the names of our snapshots; the owner follows.
const snapshotPrefix = "cimimove-"

// exported asks for the lease of a machine's disks; done removes what was made
// for it.
func (h *Host) exported(ctx context.Context, vm *mo.VirtualMachine) (l *nfc.Lease, done func() error, err error) {
	o := object.NewVirtualMachine(h.conn.Client, vm.Self)
	if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		l, err = o.Export(ctx)
		return l, func() error { return nil }, explain(err)
	}
	task, err := o.CreateSnapshot(ctx, snapshotPrefix+h.opts.Owner, "while cimimove reads the disks", false, false)
	if err != nil {
		return nil, nil, fmt.Errorf("a snapshot of it: %w", explain(err))
	}
	// Made it is, whoever waits: only then can it be removed.
	info, err := task.WaitForResult(context.WithoutCancel(ctx))
	if err != nil {
		return nil, nil, fmt.Errorf("a snapshot of it: %w", explain(err))
	}
	ref, ok := info.Result.(types.ManagedObjectReference)
	if !ok {
		return nil, nil, fmt.Errorf("a snapshot of it: the answer is a %T", info.Result)
	}
	done = func() error {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		return h.removeSnapshot(clean, ref)
	}
	res, err := methods.ExportSnapshot(ctx, h.conn, &types.ExportSnapshot{This: ref})
	if err != nil {
		return nil, nil, errors.Join(explain(err), done())
	}
	return nfc.NewLease(h.conn.Client, res.Returnval), done, nil
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

// removeSnapshots removes what owners that are no more left of theirs.
func (h *Host) removeSnapshots(ctx context.Context, owners []string) error {
	inv, err := h.look(ctx)
	if err != nil {
		return err
	}
	for k := range inv.machines {
		if inv.machines[k].Snapshot == nil {
			continue
		}
		for _, s := range flattened(inv.machines[k].Snapshot.RootSnapshotList) {
			owner, ours := strings.CutPrefix(s.Name, snapshotPrefix)
			if !ours || !slices.Contains(owners, owner) {
				continue
			}
			var denied *PermissionError
			if err := h.removeSnapshot(ctx, s.Snapshot); err != nil && !errors.As(err, &denied) {
				return fmt.Errorf("machine %s: %w", inv.machines[k].Name, err)
			}
		}
	}
	return nil
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

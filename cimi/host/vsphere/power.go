package vsphere

import (
	"context"
	"fmt"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
)

var (
	_ host.Power     = (*Host)(nil)
	_ host.Suspender = (*Host)(nil)
)

// Start powers a machine on; a suspended one goes on. What its disks hold is not
// known from then on.
func (h *Host) Start(ctx context.Context, machineID string) error {
	vm, err := h.powered(ctx, machineID)
	if err != nil || vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		return err
	}
	if err := h.forgetDigests(ctx, machineID); err != nil {
		return err
	}
	t, err := object.NewVirtualMachine(h.conn.Client, vm.Self).PowerOn(ctx)
	return h.ran(ctx, vm, t, err)
}

// forgetDigests makes the digests of a recorded machine's disks void.
func (h *Host) forgetDigests(ctx context.Context, machineID string) error {
	h.write.Lock()
	defer h.write.Unlock()
	recorded, _, err := h.recorded(ctx)
	if err != nil {
		return err
	}
	for _, e := range recorded {
		for m := range e.System.AllMachines() {
			if m.ID != machineID || e.Versions[m.ID] == "" {
				continue
			}
			e.Versions[m.ID] = ""
			return h.ledger.Replace(ctx, e)
		}
	}
	return nil
}

// Stop asks the guest to shut down and waits until it has, or ctx ends; with
// force it takes the power away. A guest without VMware Tools cannot be asked.
func (h *Host) Stop(ctx context.Context, machineID string, force bool) error {
	vm, err := h.powered(ctx, machineID)
	if err != nil || vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOff {
		return err
	}
	o := object.NewVirtualMachine(h.conn.Client, vm.Self)
	if force {
		t, err := o.PowerOff(ctx)
		return h.ran(ctx, vm, t, err)
	}
	switch err := o.ShutdownGuest(ctx); {
	case isFault[*types.ToolsUnavailable](err):
		return fmt.Errorf("machine %s: its guest has no VMware Tools that run, so it cannot be asked to shut down; force takes the power away: %w", vm.Name, host.ErrUnsupported)
	case isFault[*types.InvalidPowerState](err): // it is on its way, or off
	case err != nil:
		return fmt.Errorf("machine %s: %w", vm.Name, explain(err))
	}
	return h.waitOff(ctx, machineID, vm.Name)
}

// poll is how often waitOff looks.
const poll = 500 * time.Millisecond

func (h *Host) waitOff(ctx context.Context, machineID, name string) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		vm, err := h.machine(ctx, machineID)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("machine %s has not shut down: %w", name, context.Cause(ctx))
		case err != nil:
			return fmt.Errorf("machine %s: %w", name, err)
		case vm == nil || vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOff:
			return nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Suspend puts a machine's memory on disk.
func (h *Host) Suspend(ctx context.Context, machineID string) error {
	vm, err := h.powered(ctx, machineID)
	if err != nil || vm.Runtime.PowerState == types.VirtualMachinePowerStateSuspended {
		return err
	}
	t, err := object.NewVirtualMachine(h.conn.Client, vm.Self).Suspend(ctx)
	return h.ran(ctx, vm, t, err)
}

func (h *Host) powered(ctx context.Context, machineID string) (*mo.VirtualMachine, error) {
	vm, err := h.machine(ctx, machineID)
	if err == nil && vm == nil {
		err = fmt.Errorf("machine %s: %w", machineID, host.ErrNotFound)
	}
	return vm, err
}

// ran waits for a task of a machine.
func (h *Host) ran(ctx context.Context, vm *mo.VirtualMachine, t *object.Task, err error) error {
	if err == nil {
		err = t.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("machine %s: %w", vm.Name, explain(err))
	}
	return nil
}

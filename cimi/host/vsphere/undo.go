package vsphere

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vmware/govmomi/nfc"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
)

// undoLeftovers undoes what this owner and dead ones left in the middle. An
// account that cannot look at the records cannot have left anything.
func (h *Host) undoLeftovers(ctx context.Context) error {
	// What this owner keeps for an export goes when Retain says so.
	left, err := h.removeSnapshots(ctx, func(owner, export string) bool {
		return owner == h.opts.Owner && export == "" || slices.Contains(h.opts.Heirs, owner)
	})
	if err != nil {
		return err
	}
	h.keeps.Store(left)
	for _, owner := range append([]string{h.opts.Owner}, h.opts.Heirs...) {
		of := &ledger.Ledger{Shelf: shelf{h}, Owner: owner}
		left, err := of.Leftovers(ctx)
		var denied *PermissionError
		if errors.As(err, &denied) {
			return nil
		}
		if err != nil {
			return err
		}
		for id, note := range left {
			bounded, cancel := context.WithTimeout(ctx, cleanTimeout)
			err := h.undo(bounded, id, note)
			cancel()
			if errors.Is(err, errHeld) && ctx.Err() == nil {
				continue // its lease expires; the next time then
			}
			if err != nil {
				return fmt.Errorf("removing what an interrupted change of system %s left: %w", id, err)
			}
		}
	}
	return nil
}

// undo removes everything that a note names, and the note. Leases are given
// back first, which has the vCenter take back what was made under them.
func (h *Host) undo(ctx context.Context, id string, note ledger.Note) error {
	for _, value := range note.Leases {
		l := nfc.NewLease(h.conn.Client, types.ManagedObjectReference{Type: "HttpNfcLease", Value: value})
		if err := l.Abort(ctx, nil); err != nil && !isFault[*types.ManagedObjectNotFound](err) && !isFault[*types.InvalidState](err) {
			return explain(err)
		}
	}
	if err := h.destroy(ctx, note.Machines); err != nil {
		return err
	}
	names, err := h.ledger.Shelf.Names(ctx)
	if err != nil {
		return err
	}
	for _, n := range names {
		if diskFileOf(n, id) {
			if err := h.ledger.Shelf.Remove(ctx, n); err != nil {
				return err
			}
		}
	}
	return h.ledger.Forget(ctx, id)
}

// errHeld: a lease that cannot be given back still holds a machine.
var errHeld = errors.New("a lease holds it")

// destroy removes machines and vApps by id, those that are there.
func (h *Host) destroy(ctx context.Context, ids []string) error {
	inv, err := h.look(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		var ref types.ManagedObjectReference
		switch vm, app := inv.byID[id], inv.byApp[id]; {
		case vm != nil && vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff:
			return fmt.Errorf("machine %s: %w", vm.Name, host.ErrBusy)
		case vm != nil:
			ref = vm.Self
		case app != nil:
			ref = app.Self
		default:
			continue
		}
		if err := h.destroyOne(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

// heldTimeout bounds the wait for a lease to let go of a machine.
const heldTimeout = 20 * time.Second

func (h *Host) destroyOne(ctx context.Context, ref types.ManagedObjectReference) error {
	end := time.Now().Add(heldTimeout)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		t, err := object.NewCommon(h.conn.Client, ref).Destroy(ctx)
		if err == nil {
			err = t.Wait(ctx)
		}
		switch {
		case err == nil, isFault[*types.ManagedObjectNotFound](err):
			return nil
		case !isFault[*types.TaskInProgress](err) && !isFault[*types.InvalidState](err) && !isFault[*types.MethodDisabled](err):
			return explain(err)
		case time.Now().After(end):
			return fmt.Errorf("%s %s: %w: %w", ref.Type, ref.Value, errHeld, explain(err))
		}
		// A lease that was given back is taking it away.
		select {
		case <-ctx.Done():
			return errors.Join(explain(err), ctx.Err())
		case <-time.After(wait):
		}
	}
}

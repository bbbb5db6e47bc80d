package vsphere

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
)

// Update changes machines in the vCenter where they differ, and the record.
// Names in the vCenter stay; of a System without record they are its names.
func (h *Host) Update(ctx context.Context, s *host.System) error {
	h.write.Lock()
	defer h.write.Unlock()
	was, e, err := h.system(ctx, s.ID)
	if err != nil {
		return err
	}
	next, err := host.ApplyUpdate(was, s)
	if err != nil {
		return err
	}
	if was.Holder == host.HoldsNetwork {
		return fmt.Errorf("network %s is the vCenter's: %w", was.Name, host.ErrUnsupported)
	}
	if e == nil {
		if err := nativeOnly(was, next); err != nil {
			return err
		}
	}
	old := map[string]*host.Machine{}
	for m := range was.AllMachines() {
		old[m.ID] = m
	}
	for m := range next.AllMachines() {
		if err := h.reconfigure(ctx, old[m.ID], m, e == nil); err != nil {
			return fmt.Errorf("machine %s: %w", m.Name, err)
		}
	}
	if e == nil {
		return nil
	}
	next.Updated = time.Now().UTC()
	e.System = next
	versions := e.Versions
	if err := h.settle(ctx, e); err != nil {
		return err
	}
	for m := range next.AllMachines() {
		// Digests that did not hold before do not hold now.
		if !digestsHold(was, m) {
			e.Versions[m.ID] = versions[m.ID]
		}
	}
	return h.ledger.Replace(ctx, e)
}

// digestsHold tells whether the digests of a machine's disks are known.
func digestsHold(s *host.System, m *host.Machine) bool {
	for _, a := range m.Attachments {
		if d := s.Disk(a.DiskID); d != nil && d.ContentBytes > 0 && d.ContentDigest == "" {
			return false
		}
	}
	return true
}

// nativeOnly refuses changes that only a record could hold.
func nativeOnly(was, next *host.System) error {
	for i, d := range slices.Collect(next.AllDisks()) {
		if d.Name != slices.Collect(was.AllDisks())[i].Name {
			return fmt.Errorf("the name of disk %s: %w", d.Name, host.ErrUnsupported)
		}
	}
	for i, n := range slices.Collect(next.AllNetworks()) {
		if o := slices.Collect(was.AllNetworks())[i]; n.Name != o.Name || n.Description != o.Description {
			return fmt.Errorf("network %s is the vCenter's: %w", o.Name, host.ErrUnsupported)
		}
	}
	if len(next.Properties) > 0 {
		return fmt.Errorf("properties of a System that was not imported here: %w", host.ErrUnsupported)
	}
	return nil
}

// reconfigure changes a machine in the vCenter where it differs.
func (h *Host) reconfigure(ctx context.Context, was, m *host.Machine, rename bool) error {
	vm, err := h.machine(ctx, m.ID)
	if err != nil {
		return err
	}
	if vm == nil {
		return fmt.Errorf("it is gone from the vCenter: %w", host.ErrNotFound)
	}
	var spec types.VirtualMachineConfigSpec
	changed := false
	if rename && m.Name != was.Name {
		spec.Name, changed = escaped(m.Name), true
	}
	if m.Description != was.Description {
		spec.Annotation, changed = m.Description, true
	}
	if m.CPUs != was.CPUs {
		spec.NumCPUs, changed = int32(m.CPUs), true
		if c := vm.Config.Hardware.NumCoresPerSocket; c != nil && *c > 0 && spec.NumCPUs%*c != 0 {
			spec.NumCoresPerSocket = types.NewInt32(1)
		}
	}
	if m.MemoryBytes != was.MemoryBytes {
		spec.MemoryMB, changed = memory(m.MemoryBytes), true
	}
	if cards := changedCards(vm, was, m); len(cards) > 0 {
		spec.DeviceChange, changed = cards, true
	}
	if !changed {
		return nil
	}
	t, err := object.NewVirtualMachine(h.conn.Client, vm.Self).Reconfigure(ctx, spec)
	if err == nil {
		err = t.Wait(ctx)
	}
	return explain(err)
}

// changedCards are the cards whose address or connection differs.
func changedCards(vm *mo.VirtualMachine, was, m *host.Machine) []types.BaseVirtualDeviceConfigSpec {
	var out []types.BaseVirtualDeviceConfigSpec
	cards := ethernetCards(vm)
	for i, n := range m.NICs {
		if i >= len(cards) || i >= len(was.NICs) || n.MAC == was.NICs[i].MAC && n.Disabled == was.NICs[i].Disabled {
			continue
		}
		device := object.VirtualDeviceList(vm.Config.Hardware.Device).FindByKey(cards[i].Key)
		c := device.(types.BaseVirtualEthernetCard).GetVirtualEthernetCard()
		c.AddressType, c.MacAddress = string(types.VirtualEthernetCardMacTypeGenerated), ""
		if n.MAC != "" {
			c.AddressType, c.MacAddress = string(types.VirtualEthernetCardMacTypeManual), n.MAC
		}
		if c.Connectable == nil {
			c.Connectable = &types.VirtualDeviceConnectInfo{AllowGuestControl: true}
		}
		c.Connectable.StartConnected = !n.Disabled
		out = append(out, &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: device})
	}
	return out
}

// memory is in MiB, a multiple of 4 as vSphere asks for.
func memory(bytes int64) int64 { return max(mebibytes(bytes)+3, 4) &^ 3 }

// Delete removes a System with its machines.
func (h *Host) Delete(ctx context.Context, id string) error {
	h.write.Lock()
	defer h.write.Unlock()
	s, e, err := h.system(ctx, id)
	if err != nil {
		return err
	}
	if s.Holder == host.HoldsNetwork {
		return fmt.Errorf("network %s is the vCenter's: %w", s.Name, host.ErrUnsupported)
	}
	for m := range s.AllMachines() {
		if m.State != host.Stopped {
			return fmt.Errorf("machine %s is %s: %w", m.Name, m.State, host.ErrBusy)
		}
	}
	if e == nil {
		return h.destroy(ctx, parts(s))
	}
	note := ledger.Note{Machines: owned(e)}
	if err := h.ledger.BeginRemove(ctx, id, note); err != nil {
		return err
	}
	return h.undo(context.WithoutCancel(ctx), id, note)
}

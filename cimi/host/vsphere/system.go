package vsphere

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
)

// Systems lists what was imported here, then vApps and machines of others, then
// the datacenter's networks. What an import is still making is not among them.
func (h *Host) Systems(ctx context.Context) iter.Seq2[*host.System, error] {
	return func(yield func(*host.System, error) bool) {
		all, err := h.all(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, s := range all {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (h *Host) all(ctx context.Context) ([]*host.System, error) {
	recorded, making, err := h.recorded(ctx)
	if err != nil {
		return nil, err
	}
	inv, err := h.look(ctx)
	if err != nil {
		return nil, err
	}
	var out []*host.System
	taken := making
	for _, e := range recorded {
		s := inv.merge(e)
		if s == nil {
			continue // somebody else has removed its machines
		}
		for _, id := range owned(e) {
			taken[id] = true
		}
		out = append(out, s)
	}
	networks, err := h.networkPlaces(ctx, inv)
	if err != nil {
		return nil, err
	}
	return slices.Concat(out, inv.native(taken), networks), nil
}

// owned are the ids of all that a recorded System is in vSphere: vApps, the
// outermost one first, and machines.
func owned(e *ledger.Entry) []string {
	out := parts(e.System)
	if app := e.Places[e.System.ID]; app != "" {
		out = append([]string{app}, out...)
	}
	return out
}

// parts are the ids of a System, of those in it, and of their machines.
func parts(s *host.System) []string {
	var out []string
	for k := range s.All() {
		out = append(out, k.ID)
	}
	for m := range s.AllMachines() {
		out = append(out, m.ID)
	}
	return out
}

// recorded reads the records, and the ids of what an import is making now or a
// deletion is removing. An account that may not read the datastore sees none.
func (h *Host) recorded(ctx context.Context) ([]*ledger.Entry, map[string]bool, error) {
	all, err := h.ledger.All(ctx)
	var denied *PermissionError
	if errors.As(err, &denied) {
		return nil, map[string]bool{}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	notes, err := h.ledger.Notes(ctx)
	if err != nil {
		return nil, nil, err
	}
	making := map[string]bool{}
	for _, n := range notes {
		for _, id := range n.Machines {
			making[id] = true
		}
	}
	for _, e := range all {
		for _, id := range owned(e) {
			delete(making, id) // committed, its note about to go
		}
	}
	return all, making, nil
}

// System reads one System with what its machines are now.
func (h *Host) System(ctx context.Context, id string) (*host.System, error) {
	s, _, err := h.system(ctx, id)
	return s, err
}

// system is System with its record, nil for a System of others.
func (h *Host) system(ctx context.Context, id string) (*host.System, *ledger.Entry, error) {
	recorded, making, err := h.recorded(ctx)
	if err != nil {
		return nil, nil, err
	}
	inv, err := h.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range recorded {
		if e.System.ID == id {
			if s := inv.merge(e); s != nil {
				return s, e, nil
			}
			break
		}
		for _, k := range owned(e) {
			making[k] = true
		}
	}
	networks, err := h.networkPlaces(ctx, inv)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range append(inv.native(making), networks...) {
		if s.ID == id {
			return s, nil, nil
		}
	}
	return nil, nil, fmt.Errorf("system %s: %w", id, host.ErrNotFound)
}

// merge is a recorded System with what its machines are now; nil when none of
// them is there any more.
func (i *inventory) merge(e *ledger.Entry) *host.System {
	s := e.System
	found, machines := 0, 0
	for m := range s.AllMachines() {
		machines++
		vm := i.byID[m.ID]
		m.State = host.Stopped
		if vm == nil {
			continue
		}
		found++
		m.State = state(vm)
		m.CPUs, m.MemoryBytes = int(vm.Config.Hardware.NumCPU), memoryNow(vm, m.MemoryBytes)
		cards := ethernetCards(vm)
		for k := range m.NICs {
			// An address that was left to the vCenter is none of the System's.
			if k < len(cards) && m.NICs[k].MAC != "" {
				m.NICs[k].MAC = strings.ToLower(cards[k].MacAddress)
			}
		}
		for id, at := range places(vm, m, e.Places) {
			if d := s.Disk(id); d != nil {
				_, d.Tracked = tracked(vm, at.disk)
			}
		}
		if e.Versions[m.ID] != vm.Config.ChangeVersion {
			// It was changed or has run since: what its disks hold is not known.
			for _, a := range m.Attachments {
				if d := s.Disk(a.DiskID); d != nil {
					d.ContentDigest = ""
				}
			}
		}
	}
	if machines > 0 && found == 0 {
		return nil
	}
	return s
}

// memoryNow is the memory in bytes; what vSphere rounded up is what was asked for.
func memoryNow(vm *mo.VirtualMachine, asked int64) int64 {
	now := int64(vm.Config.Hardware.MemoryMB) << 20
	if now == memory(asked)<<20 {
		return asked
	}
	return now
}

// native are the vApps and machines that no record or note accounts for.
func (i *inventory) native(taken map[string]bool) []*host.System {
	var out []*host.System
	apps := map[types.ManagedObjectReference]*mo.VirtualApp{}
	for k := range i.apps {
		apps[i.apps[k].Self] = &i.apps[k]
	}
	inApp := map[types.ManagedObjectReference][]*mo.VirtualMachine{}
	for k := range i.machines {
		vm := &i.machines[k]
		if vm.Config == nil || vm.Config.Template || taken[machineID(vm)] {
			continue
		}
		if vm.ResourcePool != nil {
			if _, ok := apps[*vm.ResourcePool]; ok {
				inApp[*vm.ResourcePool] = append(inApp[*vm.ResourcePool], vm)
				continue
			}
		}
		s := &host.System{ID: machineID(vm), Name: unescaped(vm.Name), Description: vm.Config.Annotation}
		stamp(s, vm)
		i.machineIn(s, s, vm)
		out = append(out, s)
	}
	var fill func(root, s *host.System, a *mo.VirtualApp)
	fill = func(root, s *host.System, a *mo.VirtualApp) {
		s.ID, s.Name, s.Collection = appID(a), unescaped(a.Name), true
		if a.VAppConfig != nil {
			s.Description = a.VAppConfig.Annotation
		}
		members := inApp[a.Self]
		slices.SortStableFunc(members, func(x, y *mo.VirtualMachine) int { return startOrder(a, x.Self) - startOrder(a, y.Self) })
		for _, vm := range members {
			i.machineIn(root, s, vm).StartOrder = startOrder(a, vm.Self)
			if root.Created.IsZero() {
				stamp(root, vm)
			}
		}
		for k := range i.apps {
			if inner := &i.apps[k]; inner.Parent != nil && *inner.Parent == a.Self {
				nested := &host.System{}
				s.Systems = append(s.Systems, nested)
				fill(root, nested, inner)
			}
		}
	}
	for k := range i.apps {
		a := &i.apps[k]
		if a.Parent != nil && apps[*a.Parent] != nil || taken[appID(a)] {
			continue
		}
		s := &host.System{}
		fill(s, s, a)
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b *host.System) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

func stamp(s *host.System, vm *mo.VirtualMachine) {
	s.Updated = vm.Config.Modified.UTC()
	s.Created = s.Updated
	if vm.Config.CreateDate != nil {
		s.Created = vm.Config.CreateDate.UTC()
	}
	if s.Created.IsZero() || s.Created.Unix() <= 0 {
		s.Created = time.Unix(0, 0).UTC()
		s.Updated = s.Created
	}
}

// startOrder is a machine's in its vApp's configuration.
func startOrder(a *mo.VirtualApp, ref types.ManagedObjectReference) int {
	if a.VAppConfig == nil {
		return 0
	}
	for _, c := range a.VAppConfig.EntityConfig {
		if c.Key != nil && *c.Key == ref {
			return int(c.StartOrder)
		}
	}
	return 0
}

// machineIn adds a machine to s, with its disks; networks go to root.
func (i *inventory) machineIn(root, s *host.System, vm *mo.VirtualMachine) *host.Machine {
	m := &host.Machine{ID: machineID(vm), Name: unescaped(vm.Name), Description: vm.Config.Annotation, State: state(vm),
		CPUs: int(vm.Config.Hardware.NumCPU), MemoryBytes: int64(vm.Config.Hardware.MemoryMB) << 20, CPUArch: "x86_64"}
	devices := object.VirtualDeviceList(vm.Config.Hardware.Device)
	for n, at := range disksOf(devices) {
		_, kept := tracked(vm, at.disk)
		d := &host.Disk{Tracked: kept, ID: diskID(m.ID, at.disk.Key), Name: label(at.disk, fmt.Sprintf("disk%d", n+1)), CapacityBytes: capacity(at.disk), Boot: n == 0}
		if b, ok := at.disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
			var p object.DatastorePath
			if p.FromString(b.GetVirtualDeviceFileBackingInfo().FileName) {
				d.Storage = p.Datastore
			}
		}
		s.Disks = append(s.Disks, d)
		m.Attachments = append(m.Attachments, host.Attachment{DiskID: d.ID, Controller: at.controller, Bus: at.bus, Unit: at.unit, Boot: n == 0})
	}
	for _, c := range ethernetCards(vm) {
		nic := host.NIC{Name: label(c, "Network adapter"), MAC: strings.ToLower(c.MacAddress), Type: c.kind, Disabled: c.Connectable != nil && !c.Connectable.StartConnected}
		if key, name := i.networkOf(c.VirtualEthernetCard); key != "" {
			nic.Network = root.ID + "-" + key
			if !slices.ContainsFunc(root.Networks, func(n *host.Network) bool { return n.ID == nic.Network }) {
				root.Networks = append(root.Networks, &host.Network{ID: nic.Network, Name: name, External: true})
			}
		}
		m.NICs = append(m.NICs, nic)
	}
	s.Machines = append(s.Machines, m)
	return m
}

func diskID(machine string, key int32) string { return fmt.Sprintf("%s-%d", machine, key) }

// networkOf is the key and the name of a card's network.
func (i *inventory) networkOf(c *types.VirtualEthernetCard) (key, name string) {
	switch b := c.Backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		if b.Network != nil {
			return b.Network.Value, b.DeviceName
		}
		return "name", b.DeviceName
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		key = b.Port.PortgroupKey
	case *types.VirtualEthernetCardOpaqueNetworkBackingInfo:
		key = b.OpaqueNetworkId
	default:
		return "", ""
	}
	if name = i.networks[key]; name == "" {
		name = key
	}
	return key, name
}

func state(vm *mo.VirtualMachine) host.PowerState {
	switch vm.Runtime.PowerState {
	case types.VirtualMachinePowerStatePoweredOn:
		return host.Started
	case types.VirtualMachinePowerStateSuspended:
		return host.Suspended
	}
	return host.Stopped
}

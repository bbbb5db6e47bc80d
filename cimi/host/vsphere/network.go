package vsphere

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
)

// network is what cards of a System's network are connected to.
type network struct {
	backing   types.BaseVirtualDeviceBackingInfo
	connected bool
}

// networks finds the counterpart of each network of the System: the one it is
// mapped to, the one of its name, or the default. Without any of them its cards
// stay, not connected, on a network that there is.
func (p *planner) networks(ctx context.Context, inv *inventory) error {
	at := p.h.place
	names := slices.Sorted(maps.Keys(inv.byName))
	for n := range p.s.AllNetworks() {
		net, err := p.h.findNetwork(ctx, inv, n.Name)
		if err == nil {
			p.nets[n.ID] = network{net, true}
			continue
		}
		if !errors.Is(err, host.ErrNotFound) {
			return err
		}
		if n.External {
			return fmt.Errorf("network %s: %w: %w", n.OVFID, err, host.ErrUnsupported)
		}
		instead, connected := at.network, at.network != ""
		if instead == "" && len(names) > 0 {
			instead = names[0]
			if slices.Contains(names, "VM Network") {
				instead = "VM Network"
			}
		}
		if instead == "" {
			return fmt.Errorf("network %s: the datacenter has no network: %w", n.Name, host.ErrUnsupported)
		}
		if net, err = p.h.findNetwork(ctx, inv, instead); err != nil {
			return err
		}
		p.nets[n.ID] = network{net, connected}
		how := "its cards are not connected"
		if connected {
			how = "its cards are on " + instead
		}
		p.finding(ovf.Finding{ID: "VSPHERE-NET-001", Severity: ovf.Warning, Object: "network " + n.Name, Clause: "DSP0243 9.2",
			Message: fmt.Sprintf("the datacenter has no network of that name: %s; there are: %s", how, strings.Join(names, ", ")),
			Hint:    "--net " + n.OVFID + "=NETWORK"})
	}
	return nil
}

// networkPlaces are the networks of the datacenter, which no System owns: each stands
// in a place of its own (host.Maker), under the name that --net takes. Of
// several of one name each goes by its inventory path.
func (h *Host) networkPlaces(ctx context.Context, inv *inventory) ([]*host.System, error) {
	var out []*host.System
	for _, name := range slices.Sorted(maps.Keys(inv.byName)) {
		for _, ref := range inv.byName[name] {
			label := name
			if len(inv.byName[name]) > 1 {
				at, err := h.place.finder.Element(ctx, ref)
				if err != nil {
					return nil, explain(err)
				}
				label = at.Path
			}
			id := derived("network", ref.Value)
			out = append(out, &host.System{ID: id, Name: label, Holder: host.HoldsNetwork, Networks: []*host.Network{
				{ID: id, Name: label, Description: "a network of the vCenter's", External: true}}})
		}
	}
	return out, nil
}

// derived is an id for what has none of its own, the same each time.
func derived(kind, value string) string {
	sum := sha256.Sum256([]byte(kind + "/" + value))
	return hex.EncodeToString(sum[:16])
}

// findNetwork finds a network, a distributed port group or an opaque network by
// name or inventory path, as the backing of a card.
func (h *Host) findNetwork(ctx context.Context, inv *inventory, name string) (types.BaseVirtualDeviceBackingInfo, error) {
	var ref object.NetworkReference
	switch refs := inv.byName[name]; {
	case len(refs) == 1:
		found, err := h.place.finder.ObjectReference(ctx, refs[0])
		if err != nil {
			return nil, explain(err)
		}
		ref, _ = found.(object.NetworkReference)
	case len(refs) > 1:
		return nil, fmt.Errorf("network %s: there are %d of that name; give the inventory path of one: %w", name, len(refs), host.ErrUnsupported)
	case strings.Contains(name, "/"):
		found, err := h.place.finder.Network(ctx, name)
		if err != nil {
			return nil, h.place.candidates(ctx, "network", err)
		}
		ref = found
	}
	if ref == nil {
		return nil, fmt.Errorf("network %s: %w; there are: %s", name, host.ErrNotFound, strings.Join(slices.Sorted(maps.Keys(inv.byName)), ", "))
	}
	backing, err := ref.EthernetCardBackingInfo(ctx)
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", name, explain(err))
	}
	return backing, nil
}

// addresses warns of MAC addresses that machines here have already (AC-25).
func (p *planner) addresses(inv *inventory) {
	used := map[string]string{}
	for k := range inv.machines {
		if vm := &inv.machines[k]; vm.Config != nil {
			for _, c := range ethernetCards(vm) {
				used[strings.ToLower(c.MacAddress)] = vm.Name
			}
		}
	}
	for m := range p.s.AllMachines() {
		for _, n := range m.NICs {
			mac := strings.ToLower(n.MAC)
			if mac == "" {
				continue
			}
			if by := used[mac]; by != "" {
				p.finding(ovf.Finding{ID: "VSPHERE-MAC-001", Severity: ovf.Warning, Object: "machine " + m.Name,
					Message: fmt.Sprintf("machine %s has the address %s too: do not run both on one network", by, mac), Hint: "--mac regenerate"})
			}
			used[mac] = m.Name
		}
	}
}

// datastore is the name of a datastore that a disk is mapped to.
func (p *planner) datastore(ctx context.Context, name string) (string, error) {
	if name == "" {
		return p.h.place.datastore.Name(), nil
	}
	ds, err := p.h.place.findDatastore(ctx, name)
	if errors.Is(err, host.ErrNotFound) {
		err = fmt.Errorf("%w: %w", err, host.ErrUnsupported)
	}
	if err != nil {
		return "", err
	}
	return ds.Name(), nil
}

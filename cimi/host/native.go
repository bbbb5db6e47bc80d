package host

import (
	"fmt"
	"iter"
	"slices"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// build makes the descriptor of a System that has no kept one, and edit that of
// one whose parts are others than the kept descriptor's.

func build(s *System, finding func(ovf.Finding)) (*ovf.Envelope, error) {
	v := &viewer{of: &systemtemplate.View{System: &systemtemplate.System{Name: s.Name, Description: s.Description, Quantity: 1}}, root: &System{},
		networks: map[*systemtemplate.Network]*Network{}, volumes: map[*Disk]*systemtemplate.Volume{}}
	v.systems = []*systemtemplate.System{v.of.System}
	if err := v.reshape(s); err != nil {
		return nil, err
	}
	env, findings, err := systemtemplate.Build(v.of, systemtemplate.Options{})
	if err != nil {
		return nil, refused(err)
	}
	for _, f := range findings {
		finding(f)
	}
	return env, nil
}

// named gives parts that never were in a descriptor the ids they get there.
func named(s *System) (*System, error) {
	s2, err := clone(s)
	if err != nil {
		return nil, err
	}
	for d := range s2.AllDisks() {
		if d.OVFID == "" {
			d.OVFID = "disk-" + d.ID
		}
	}
	for n := range s2.AllNetworks() {
		if n.OVFID == "" {
			n.OVFID = n.Name
		}
	}
	return s2, nil
}

// Keys that tell which element a part is a view of.
func systemKey(s *System) string   { return s.OVFID }
func machineKey(m *Machine) string { return fmt.Sprintf("%s#%d", m.OVFID, m.Instance) }

// sameParts tells whether two Systems have the same parts, so that only what is
// said of them can differ.
func sameParts(a, b *System) bool {
	return equalKeys(a.All(), b.All(), systemKey) && equalKeys(a.AllMachines(), b.AllMachines(), partsOf) &&
		equalKeys(a.AllDisks(), b.AllDisks(), func(d *Disk) string { return d.OVFID }) &&
		equalKeys(a.AllNetworks(), b.AllNetworks(), func(n *Network) string { return n.OVFID })
}

func partsOf(m *Machine) string {
	key := machineKey(m)
	for _, a := range m.Attachments {
		key += "/" + a.OVFID
	}
	for _, n := range m.NICs {
		key += "+" + n.OVFID
	}
	return key
}

func equalKeys[T any](a, b iter.Seq[T], key func(T) string) bool {
	return slices.EqualFunc(slices.Collect(a), slices.Collect(b), func(x, y T) bool { return key(x) == key(y) })
}

// reshape makes v the view of a System whose parts are s's: those the view has
// stay as they are, others come and go. A part that is one of several of a
// quantity cannot go alone.
func (v *viewer) reshape(s *System) error {
	networks := map[string]*systemtemplate.Network{} // by id in s
	was := map[string]*systemtemplate.Network{}
	for i, n := range slices.Collect(v.root.AllNetworks()) {
		was[n.OVFID] = v.of.Networks[i]
	}
	v.of.Networks = nil
	for n := range s.AllNetworks() {
		of := was[n.OVFID]
		if of == nil {
			of = &systemtemplate.Network{Name: n.Name, Description: n.Description, OVFID: n.OVFID}
		}
		networks[n.ID] = of
		v.of.Networks = append(v.of.Networks, of)
	}
	volumes, users := map[string]*systemtemplate.Volume{}, map[string]int{}
	old := map[string][]*systemtemplate.Volume{}
	for d := range v.root.AllDisks() {
		old[d.OVFID] = append(old[d.OVFID], v.volumes[d])
	}
	for m := range s.AllMachines() {
		for _, a := range m.Attachments {
			users[a.DiskID]++
		}
	}
	v.of.Volumes = nil
	for d := range s.AllDisks() {
		var of *systemtemplate.Volume
		if left := old[d.OVFID]; len(left) > 0 {
			of, old[d.OVFID] = left[0], left[1:]
		} else {
			of = &systemtemplate.Volume{Name: d.Name, CapacityBytes: d.CapacityBytes, Bootable: d.Boot,
				Disk: &systemtemplate.Disk{OVFID: d.OVFID, CapacityBytes: d.CapacityBytes, Shared: d.Shared || users[d.ID] > 1}}
			if d.ContentDigest != "" {
				of.Disk.Href = d.OVFID + ".vmdk"
			}
			v.of.Disks = append(v.of.Disks, of.Disk)
		}
		volumes[d.ID] = of
		if users[d.ID] != 1 || d.Shared {
			v.of.Volumes = append(v.of.Volumes, of)
		}
	}
	machines, several := map[string]*systemtemplate.Machine{}, map[string]bool{}
	for i, m := range slices.Collect(v.root.AllMachines()) {
		if v.machines[i] == nil || v.machines[i].Quantity > 1 {
			several[m.OVFID] = true
		}
		machines[machineKey(m)] = v.machines[i]
	}
	systems := map[string]*systemtemplate.System{}
	for i, k := range slices.Collect(v.root.All()) {
		if i > 0 {
			systems[systemKey(k)] = v.systems[i]
		}
	}
	if len(several) > 0 {
		return fmt.Errorf("system %s: parts of a scaled-out System came or went: %w", s.Name, ErrUnsupported)
	}
	var fill func(of *systemtemplate.System, s *System)
	fill = func(of *systemtemplate.System, s *System) {
		of.Children = nil
		for _, m := range s.Machines {
			mv := machines[machineKey(m)]
			if m.OVFID == "" || mv == nil {
				mv = &systemtemplate.Machine{Name: m.Name, Description: m.Description, Quantity: 1, CPUs: m.CPUs, MemoryBytes: m.MemoryBytes, CPUArch: m.CPUArch}
			}
			shape(mv, m, volumes, networks)
			of.Children = append(of.Children, systemtemplate.Child{Machine: mv})
		}
		for _, k := range s.Systems {
			kv := systems[systemKey(k)]
			if k.OVFID == "" || kv == nil {
				kv = &systemtemplate.System{Name: k.Name, Description: k.Description, Quantity: 1}
			}
			fill(kv, k)
			of.Children = append(of.Children, systemtemplate.Child{System: kv})
		}
	}
	if v.of.Single && (len(s.Machines) != 1 || len(s.Systems) > 0) {
		v.of.Single = false
	}
	fill(v.of.System, s)
	return nil
}

// shape gives a machine the disks and cards that m has.
func shape(of *systemtemplate.Machine, m *Machine, volumes map[string]*systemtemplate.Volume, networks map[string]*systemtemplate.Network) {
	attached, cards := of.Attachments, of.NICs
	of.Attachments, of.NICs = nil, nil
	for _, a := range m.Attachments {
		x := volumes[a.DiskID]
		if x == nil {
			continue // of another System; export brings it in or it stays behind
		}
		i := slices.IndexFunc(attached, func(o *systemtemplate.Attachment) bool { return a.OVFID != "" && o.OVFID == a.OVFID })
		if i >= 0 {
			attached[i].Volume = x
			of.Attachments = append(of.Attachments, attached[i])
			continue
		}
		of.Attachments = append(of.Attachments, &systemtemplate.Attachment{Volume: x, Controller: a.Controller, Bus: a.Bus, Unit: a.Unit})
	}
	for _, n := range m.NICs {
		i := slices.IndexFunc(cards, func(o *systemtemplate.NIC) bool { return n.OVFID != "" && o.OVFID == n.OVFID })
		if i >= 0 {
			of.NICs = append(of.NICs, cards[i])
			continue
		}
		card := &systemtemplate.NIC{MAC: n.MAC, Disabled: n.Disabled, Type: n.Type}
		if net := networks[n.Network]; net != nil {
			card.Endpoints = []*systemtemplate.Endpoint{{Network: net, Address: n.MAC}}
		}
		of.NICs = append(of.NICs, card)
	}
}

package migrate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/recipe"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// assembly says how a System is made at the destination from its parts, on the
// way by resources. The plan decides, so that a resumed run does the same.
type assembly struct {
	Version cimi.Version `json:"version"` // the dialect of the destination
	// Whole: one SystemCreate makes everything. Else each part is made by itself.
	Whole bool `json:"whole,omitempty"`
	// Names are those at the destination, by id at the source: unique over the
	// whole tree (DSP0263 5.13.4).
	Names map[string]string `json:"names"`
	// Keys are what reports call the disks, by id at the source.
	Keys map[string]string `json:"keys"`
	// Configurations are MachineConfigurations of the destination, by id of the
	// machine; one that has none is made from a configuration by value.
	Configurations map[string]string `json:"configurations,omitempty"`
	// Storage are VolumeConfigurations of the destination, by id of the disk.
	Storage map[string]string `json:"storage,omitempty"`
	// Networks are those of the destination, by id of the System's.
	Networks map[string]string `json:"networks,omitempty"`
	// Extensions: the destination's templates take the attributes of this project.
	Extensions bool `json:"extensions,omitempty"`
	// ByReference are the types whose templates and configurations the
	// destination does not take by value (5.11.1).
	ByReference map[string]bool `json:"byReference,omitempty"`
	// MACs: the destination can be told addresses.
	MACs bool `json:"macs,omitempty"`
}

// label is the name at the destination.
func (a *assembly) label(id, name string) string {
	if n, ok := a.Names[id]; ok {
		return n
	}
	return name
}

// name gives every part a name that is unique over the whole tree: Systems and
// machines first, then networks and disks, as mapping.md has it.
func (a *assembly) name(s *Shape) {
	a.Names, a.Keys = map[string]string{}, map[string]string{}
	taken, keys := map[string]bool{}, map[string]bool{}
	for _, n := range s.Systems {
		a.Names[n.ID] = unique(taken, n.Name, "system")
	}
	for _, m := range s.Machines {
		a.Names[m.ID] = unique(taken, m.Name, "machine")
	}
	for _, n := range s.Networks {
		a.Names[n.ID] = unique(taken, n.Name, "network")
	}
	for _, d := range s.Disks {
		if !d.Kept { // which is no component, and named by the cloud
			a.Names[d.ID] = unique(taken, d.Name, "disk")
		}
		key := d.OVFID
		def(&key, d.Name)
		a.Keys[d.ID] = unique(keys, key, "disk")
	}
}

// unique is the name, or that with -2, -3, … where it is taken.
func unique(taken map[string]bool, name, kind string) string {
	def(&name, kind)
	out := name
	for n := 2; taken[out]; n++ {
		out = name + "-" + strconv.Itoa(n)
	}
	taken[out] = true
	return out
}

// view is the System as package systemtemplate knows it.
func (a *assembly) view(s *Shape, name, mac string) *systemtemplate.View {
	v := &systemtemplate.View{System: &systemtemplate.System{Name: name, Description: s.Description, Quantity: 1}}
	systems := map[string]*systemtemplate.System{"": v.System}
	for _, n := range s.Systems {
		x := &systemtemplate.System{Name: a.label(n.ID, n.Name), Description: n.Description, Quantity: 1}
		systems[n.ID] = x
		in := systems[n.In]
		in.Children = append(in.Children, systemtemplate.Child{System: x})
	}
	networks := map[string]*systemtemplate.Network{}
	for _, n := range s.Networks {
		x := &systemtemplate.Network{Name: a.label(n.ID, n.Name), OVFID: n.OVFID, Description: n.Description}
		networks[n.ID] = x
		v.Networks = append(v.Networks, x)
	}
	volumes := map[string]*systemtemplate.Volume{}
	for _, d := range s.Disks {
		shared := strings.HasSuffix(d.Type, "/mapped")
		x := &systemtemplate.Volume{Name: a.label(d.ID, d.Name), CapacityBytes: d.Capacity * 1000, Bootable: d.Bootable, Local: d.Kept,
			Disk: &systemtemplate.Disk{OVFID: d.OVFID, CapacityBytes: d.Capacity * 1000, Href: d.ID, Shared: shared}}
		volumes[d.ID] = x
		v.Disks = append(v.Disks, x.Disk)
		if shared || !s.attaches(d.ID) {
			v.Volumes = append(v.Volumes, x)
		}
	}
	for _, m := range s.Machines {
		x := &systemtemplate.Machine{Name: a.label(m.ID, m.Name), OVFID: m.OVFID, Description: m.Description, Quantity: 1,
			CPUs: int(m.CPU), MemoryBytes: m.MemoryKiB * 1024, CPUArch: m.CPUArch}
		if order, err := strconv.Atoi(m.StartOrder); err == nil {
			x.Startup = &systemtemplate.Startup{Order: order}
		}
		for _, id := range m.Attached {
			if d, ok := volumes[id]; ok {
				x.Attachments = append(x.Attachments, &systemtemplate.Attachment{Volume: d, InitialLocation: m.Places[id], Unit: -1})
			}
		}
		for i, c := range m.Cards {
			nic := &systemtemplate.NIC{Disabled: c.State == cimi.StateDisabled}
			if mac == "keep" && a.MACs {
				nic.MAC = c.MAC
			}
			if n := networks[c.Network]; n != nil {
				nic.Endpoints = append(nic.Endpoints, &systemtemplate.Endpoint{Name: fmt.Sprintf("%s.%s.%d", n.Name, x.Name, i+1), Network: n, Address: nic.MAC})
			}
			x.NICs = append(x.NICs, nic)
		}
		in := systems[m.In]
		in.Children = append(in.Children, systemtemplate.Child{Machine: x})
	}
	return v
}

// attaches tells whether a machine has a disk.
func (s *Shape) attaches(disk string) bool {
	return slices.ContainsFunc(s.Machines, func(m MachineShape) bool { return slices.Contains(m.Attached, disk) })
}

// recipe is what the destination is asked to make. image gives the image for a
// disk, by the disk's id at the source.
func (a *assembly) recipe(s *Shape, name, mac string, image func(disk string) string) *cimi.SystemTemplate {
	t, _ := systemtemplate.Template(a.view(s, name, mac), systemtemplate.Options{Lacks: systemtemplate.Lacks{Extensions: !a.Extensions}})
	t.Name, t.Description = "", "" // they are the request's
	byName := map[string]string{}
	for id, label := range a.Names {
		byName[label] = id
	}
	recipe.Images(t, func(volume string) string { return image(byName[volume]) })
	recipe.MachineImages(t, func(machine string) string {
		i := slices.IndexFunc(s.Disks, func(d DiskShape) bool { return d.Kept && d.Of == byName[machine] })
		if i < 0 {
			return ""
		}
		return image(s.Disks[i].ID)
	})
	recipe.Storage(t, func(volume string) string { return a.Storage[byName[volume]] })
	recipe.Configurations(t, func(machine string) string { return a.Configurations[byName[machine]] })
	recipe.Networks(t, a.Version, func(network string) string { return a.Networks[byName[network]] })
	if a.Version == cimi.V1 {
		recipe.Version1(t)
	}
	return t
}

// restore calls what is at the destination by what it is called at the source,
// so that the two can be compared.
func (a *assembly) restore(src, dst *Shape) {
	same := func(id, name, there string) bool { return a.label(id, name) == there }
	for i := range dst.Machines {
		d := &dst.Machines[i]
		if k := slices.IndexFunc(src.Machines, func(m MachineShape) bool { return same(m.ID, m.Name, d.Name) }); k >= 0 {
			d.Name, d.OVFID = src.Machines[k].Name, src.Machines[k].OVFID
		}
	}
	for i := range dst.Disks {
		d := &dst.Disks[i]
		if k := slices.IndexFunc(src.Disks, func(s DiskShape) bool { return !s.Kept && same(s.ID, s.Name, d.Name) }); k >= 0 {
			d.Name, d.OVFID = src.Disks[k].Name, src.Disks[k].OVFID
		}
	}
	for i := range dst.Networks {
		d := &dst.Networks[i]
		if k := slices.IndexFunc(src.Networks, func(n NetworkShape) bool { return same(n.ID, n.Name, d.Name) && a.Networks[n.ID] == "" }); k >= 0 {
			d.Name, d.OVFID = src.Networks[k].Name, src.Networks[k].OVFID
		}
	}
}

package provider

import (
	"fmt"
	"maps"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

func ref(id string) *cimi.Ref[cimi.Unknown]           { return cimi.RefTo[cimi.Unknown](id) }
func collection(id string) *cimi.Ref[cimi.Collection] { return cimi.RefTo[cimi.Collection](id) }

func operation(rel, href string) cimi.Operation { return cimi.Operation{Rel: rel, Href: href} }

// common fills what every view of a host's resource has.
func common(c *cimi.Common, h held, name, description, ovfID, parent, typeName string) {
	c.ID, c.Name, c.Description = h.id(), name, description
	c.Created = cimi.TimeOf(h.created())
	c.Updated = c.Created // until a consumer changes it: see lay
	c.Parent = ref(parent)
	c.ResourceMetadata = cimi.RefTo[cimi.ResourceMetadata]("resourceMetadata/" + typeName)
	if ovfID != "" {
		c.SetExtra(cimi.OVFID, ovfID)
	}
}

// show is the view of what the host holds, with what consumers laid over it
// and the operations that its state allows.
func (p *Provider) show(w *world, h held) cimi.Resource {
	var r cimi.Resource
	switch h.kind {
	case "systems":
		r = p.showSystem(w, h)
	case "machines":
		r = p.showMachine(h)
	case "volumes":
		r = p.showVolume(h)
	case "disks":
		r = p.showDisk(w, h)
	case "networks":
		r = p.showNetwork(h)
	case "segments":
		r = p.showSegment(h)
	case "interfaces":
		r = p.showInterface(h)
	case "endpoints":
		r = p.showEndpoint(w, h)
	case "machineImages":
		r = p.showMachineImage(w, h)
	case "volumeImages":
		r = p.showVolumeImage(h)
	}
	p.lay(r)
	if state := p.passing.of(r.Base().ID); state != "" {
		setState(r, state)
	}
	r.Base().Operations = p.operations(w, subject{held: h, id: r.Base().ID, kind: h.kind, r: r})
	return r
}

// parentOf is the collection that a part of a System stands in: the System's,
// or the entry point's where the System is but its place.
func parentOf(h held, kind string) string {
	if h.in.Holder != "" {
		return kind
	}
	return "systems/" + h.in.ID + "/" + kind
}

func (p *Provider) showSystem(w *world, h held) *cimi.System {
	s, id := h.system, "systems/"+h.system.ID
	parent := "systems"
	if h.parent != nil {
		parent = "systems/" + h.parent.ID + "/systems"
	}
	r := &cimi.System{State: p.systemState(w, s),
		Systems: collection(id + "/systems"), Machines: collection(id + "/machines"), Volumes: collection(id + "/volumes"),
		Networks: collection(id + "/networks"), Credentials: collection(id + "/credentials"),
		NetworkServices: collection(id + "/networkServices"), Services: collection(id + "/services"),
		NetworkPorts: collection(id + "/networkPorts"), Addresses: collection(id + "/addresses"), ForwardingGroups: collection(id + "/forwardingGroups"),
		Meters: collection(id + "/meters"), EventLog: p.logOf(id)}
	common(&r.Common, h, s.Name, s.Description, s.OVFID, parent, "System")
	if h.parent == nil {
		r.SetExtra(cimi.OVFConfiguration, s.Configuration)
		if s.DescriptorName != "" {
			r.SetExtra(cimi.OVFDescriptor, id+"/descriptor")
		}
		if shown := shownProperties(s); len(shown) > 0 {
			r.SetExtra(cimi.OVFProperties, shown)
		}
	}
	return r
}

// shownProperties leaves the values of passwords out.
func shownProperties(s *host.System) map[string]string {
	out := maps.Clone(s.Properties)
	for _, k := range s.Passwords {
		delete(out, k)
	}
	return out
}

// systemState is the state that all machines of a System have, those it is
// associated with included, else MIXED (T9).
func (p *Provider) systemState(w *world, s *host.System) string {
	state := ""
	for _, m := range w.machinesOf(s) {
		is := string(m.State)
		if passing := p.passing.of("machines/" + m.ID); passing != "" {
			is = passing
		}
		if state != "" && state != is {
			return cimi.StateMixed
		}
		state = is
	}
	switch state {
	case "", cimi.StateCapturing, cimi.StateRestoring:
		return cimi.StateMixed
	case cimi.StateFailed:
		return cimi.StateError
	}
	return state
}

// machinesOf are the machines of a System and of those nested in it, and those
// that any of them is associated with.
func (w *world) machinesOf(s *host.System) []machineAt {
	var out []machineAt
	seen := map[string]bool{}
	add := func(m machineAt) {
		if m.Machine != nil && !seen[m.ID] {
			seen[m.ID] = true
			out = append(out, m)
		}
	}
	visited := map[string]bool{} // Systems may be associated in a circle
	var walk func(s *host.System)
	walk = func(s *host.System) {
		if visited[s.ID] {
			return
		}
		visited[s.ID] = true
		for _, m := range s.Machines {
			add(w.machine[m.ID])
		}
		for _, k := range s.Systems {
			walk(k)
		}
		for _, id := range s.Associated {
			kind, key, _ := strings.Cut(id, "/")
			if kind == "machines" {
				add(w.machine[key])
			} else if k := w.system[key]; kind == "systems" && k.System != nil {
				walk(k.System)
			}
		}
	}
	walk(s)
	return out
}

func (p *Provider) showMachine(h held) *cimi.Machine {
	m, id := h.machine, "machines/"+h.machine.ID
	r := &cimi.Machine{State: string(m.State), CPU: cimi.Int(int64(m.CPUs)), CPUArch: m.CPUArch, Memory: cimi.Int(roundUp(m.MemoryBytes, 1024)),
		Disks: collection(id + "/disks"), Volumes: collection(id + "/volumes"), Interfaces: collection(id + "/interfaces"),
		Snapshots: collection(id + "/snapshots"), Meters: collection(id + "/meters"), EventLog: p.logOf(id)}
	common(&r.Common, h, m.Name, m.Description, m.OVFID, parentOf(h, "machines"), "Machine")
	if m.StartOrder != 0 {
		r.SetExtra(cimi.OVFStartup, map[string]any{"order": m.StartOrder})
	}
	return r
}

func (p *Provider) showVolume(h held) *cimi.Volume {
	d, id := h.disk, "volumes/"+h.disk.ID
	r := &cimi.Volume{State: cimi.StateAvailable, Capacity: cimi.Int(capacity(d)), Bootable: cimi.Bool(d.Boot),
		Images: collection(id + "/images"), Meters: collection(id + "/meters"), EventLog: p.logOf(id)}
	if d.Shared {
		r.Type = cimi.VolumeMapped
	}
	common(&r.Common, h, d.Name, "", d.OVFID, parentOf(h, "volumes"), "Volume")
	if d.ContentDigest != "" {
		r.SetExtra(cimi.ContentDigest, map[string]any{"digest": d.ContentDigest, "size": d.ContentBytes})
	}
	if d.Tracked {
		r.SetExtra(cimi.ChangesTracked, true)
	}
	return r
}

// showLocated is a Volume as an entry of Machine.volumes (T18).
func (p *Provider) showLocated(w *world, h held, location string) *cimi.LocatedVolume {
	return &cimi.LocatedVolume{Volume: *p.show(w, h).(*cimi.Volume), InitialLocation: location}
}

// showDisk is local storage of a machine (T17).
func (p *Provider) showDisk(w *world, h held) *cimi.Disk {
	r := &cimi.Disk{Capacity: cimi.Int(capacity(h.disk))}
	parent := parentOf(h, "machines")
	for _, m := range w.usersOf(diskAt{h.disk, h.in, h.root}) {
		parent = "machines/" + m.ID + "/disks"
		for _, a := range m.Attachments {
			if a.DiskID == h.disk.ID {
				r.InitialLocation = a.Location
			}
		}
	}
	common(&r.Common, h, h.disk.Name, "", h.disk.OVFID, parent, "Disk")
	return r
}

func (p *Provider) showNetwork(h held) *cimi.Network {
	n, id := h.network, "networks/"+h.network.ID
	r := &cimi.Network{State: cimi.StateStarted, Segments: collection(id + "/segments"), Subnetworks: collection(id + "/subnetworks"),
		Services: collection(id + "/services"), NetworkPorts: collection(id + "/networkPorts"), Meters: collection(id + "/meters"), EventLog: p.logOf(id)}
	parent := parentOf(h, "networks")
	if n.External {
		parent = "networks" // associated with the System only (5.13.1)
	}
	common(&r.Common, h, n.Name, n.Description, n.OVFID, parent, "Network")
	return r
}

// showSegment is the one Ethernet segment that every Network has (mapping.md).
func (p *Provider) showSegment(h held) *cimi.ProtocolSegment {
	id := "segments/" + h.network.ID
	r := &cimi.ProtocolSegment{State: cimi.StateStarted, Protocol: "Ethernet", Endpoints: collection(id + "/endpoints"), Meters: collection(id + "/meters"), EventLog: p.logOf(id)}
	common(&r.Common, h, h.network.Name, "", h.network.OVFID, "networks/"+h.network.ID+"/segments", "ProtocolSegment")
	return r
}

func (p *Provider) showInterface(h held) *cimi.NetworkInterface {
	id, nic := h.id(), h.machine.NICs[h.card]
	r := &cimi.NetworkInterface{State: enabled(nic), Endpoints: collection(id + "/endpoints"), Meters: collection(id + "/meters"), EventLog: p.logOf(id)}
	common(&r.Common, h, nic.Name, "", nic.OVFID, "machines/"+h.machine.ID+"/interfaces", "NetworkInterface")
	return r
}

func (p *Provider) showEndpoint(w *world, h held) *cimi.ProtocolEndpoint {
	id, nic := h.id(), h.machine.NICs[h.card]
	r := &cimi.ProtocolEndpoint{State: enabled(nic), Protocol: "Ethernet", Address: nic.MAC, Origin: "DYNAMIC",
		Interface: cimi.RefTo[cimi.NetworkInterface]("interfaces/" + cardKey(h.machine, h.card)), Meters: collection(id + "/meters"), EventLog: p.logOf(id)}
	if nic.MAC != "" {
		r.Origin = "STATIC"
	}
	name, parent := fmt.Sprintf("%s.%d", h.machine.Name, h.card+1), "endpoints"
	if n, ok := w.network[nic.Network]; ok {
		name, parent = fmt.Sprintf("%s.%s.%d", n.Name, h.machine.Name, h.card+1), "segments/"+nic.Network+"/endpoints"
	}
	common(&r.Common, h, name, "", nic.OVFID, parent, "ProtocolEndpoint")
	return r
}

// showMachineImage is a machine as it was (5.14.7).
func (p *Provider) showMachineImage(w *world, h held) *cimi.MachineImage {
	r := &cimi.MachineImage{State: cimi.StateAvailable, Type: "IMAGE", ImageLocation: h.id() + "/content"}
	common(&r.Common, h, h.root.Name, h.root.Description, "", "machineImages", "MachineImage")
	return r
}

// showVolumeImage is a disk as it was, or as a template has it (5.15.7).
func (p *Provider) showVolumeImage(h held) *cimi.VolumeImage {
	r := &cimi.VolumeImage{State: cimi.StateAvailable, ImageLocation: h.id() + "/content", Bootable: cimi.Bool(false)}
	name, d := h.root.Name, h.disk
	if d != nil {
		name = d.Name
	} else if len(h.root.Disks) > 0 {
		d = h.root.Disks[0]
	}
	if d != nil {
		r.Bootable = cimi.Bool(d.Boot)
		if d.ContentDigest != "" {
			r.SetExtra(cimi.ContentDigest, map[string]any{"digest": d.ContentDigest, "size": d.ContentBytes})
		}
	}
	common(&r.Common, h, name, h.root.Description, "", "volumeImages", "VolumeImage")
	return r
}

func enabled(n host.NIC) string {
	if n.Disabled {
		return cimi.StateDisabled
	}
	return cimi.StateEnabled
}

func roundUp(n, unit int64) int64 {
	q := n / unit
	if n%unit > 0 {
		q++
	}
	return q
}

// setState sets the state of a resource that has one.
func setState(r cimi.Resource, state string) {
	switch r := r.(type) {
	case *cimi.System:
		r.State = state
	case *cimi.Machine:
		r.State = state
	case *cimi.Volume:
		r.State = state
	case *cimi.Network:
		r.State = state
	case *cimi.NetworkService:
		r.State = state
	case *cimi.ProtocolSegment:
		r.State = state
	case *cimi.ProtocolEndpoint:
		r.State = state
	case *cimi.NetworkInterface:
		r.State = state
	case *cimi.NetworkPort:
		r.State = state
	case *cimi.MachineImage:
		r.State = state
	case *cimi.VolumeImage:
		r.State = state
	}
}

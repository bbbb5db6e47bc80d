package provider

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

func ref(id string) *cimi.Ref[cimi.Unknown]           { return cimi.RefTo[cimi.Unknown](id) }
func collection(id string) *cimi.Ref[cimi.Collection] { return cimi.RefTo[cimi.Collection](id) }

func interfaceID(m *host.Machine, i int) string { return fmt.Sprintf("interfaces/%s.%d", m.ID, i) }
func endpointID(m *host.Machine, i int) string  { return fmt.Sprintf("endpoints/%s.%d", m.ID, i) }

// cutCard takes the last part of an interface's or endpoint's id apart.
func cutCard(id string) (machine string, card int, ok bool) {
	machine, number, ok := strings.Cut(id, ".")
	if !ok {
		return "", 0, false
	}
	card, err := strconv.Atoi(number)
	return machine, card, err == nil && card >= 0
}

// common fills what every view of a host's resource has.
func (w *world) common(c *cimi.Common, id, name, description, ovfID, parent, typeName string, root *host.System) {
	c.ID, c.Name, c.Description = id, name, description
	c.Created, c.Updated = cimi.TimeOf(root.Created), cimi.TimeOf(root.Updated)
	c.Parent = ref(parent)
	c.ResourceMetadata = cimi.RefTo[cimi.ResourceMetadata]("resourceMetadata/" + typeName)
	if o, ok := w.overlays[id]; ok {
		c.Properties = o.properties
		if o.updated.After(root.Updated) {
			c.Updated = cimi.TimeOf(o.updated)
		}
	}
	if ovfID != "" {
		c.SetExtra(cimi.OVFID, ovfID)
	}
}

func operation(rel, href string) cimi.Operation { return cimi.Operation{Rel: rel, Href: href} }

func (p *Provider) showSystem(w *world, s systemAt) *cimi.System {
	id := "systems/" + s.ID
	parent := "systems"
	if s.parent != nil {
		parent = "systems/" + s.parent.ID + "/systems"
	}
	r := &cimi.System{State: systemState(s.System),
		Systems: collection(id + "/systems"), Machines: collection(id + "/machines"), Volumes: collection(id + "/volumes"),
		Networks: collection(id + "/networks"), Credentials: collection(id + "/credentials")}
	w.common(&r.Common, id, s.Name, s.Description, s.OVFID, parent, "System", s.root)
	r.Operations = []cimi.Operation{operation(cimi.RelEdit, id)}
	if s.parent == nil {
		r.SetExtra(cimi.OVFConfiguration, s.Configuration)
		r.SetExtra(cimi.OVFDescriptor, id+"/descriptor")
		if shown := shownProperties(s.System); len(shown) > 0 {
			r.SetExtra(cimi.OVFProperties, shown)
		}
		r.Operations = append(r.Operations, operation(cimi.RelDelete, id))
		if stopped(s.System) {
			r.Operations = append(r.Operations, operation(cimi.ActionExport, id))
		}
	}
	if _, ok := p.host.(host.Power); ok {
		r.Operations = append(r.Operations, powerOperations(id, r.State)...)
	}
	return r
}

// shownProperties leaves the values of passwords out.
func shownProperties(s *host.System) map[string]string {
	out := map[string]string{}
	for k, v := range s.Properties {
		out[k] = v
	}
	for _, k := range s.Passwords {
		delete(out, k)
	}
	return out
}

// systemState is the state that all machines have, else MIXED (T9).
func systemState(s *host.System) string {
	state := ""
	for m := range s.AllMachines() {
		if state != "" && state != string(m.State) {
			return cimi.StateMixed
		}
		state = string(m.State)
	}
	if state == "" {
		return cimi.StateMixed
	}
	return state
}

func stopped(s *host.System) bool {
	for m := range s.AllMachines() {
		if m.State != host.Stopped {
			return false
		}
	}
	return true
}

func powerOperations(id, state string) []cimi.Operation {
	switch state {
	case cimi.StateStopped:
		return []cimi.Operation{operation(cimi.ActionStart, id)}
	case cimi.StateStarted:
		return []cimi.Operation{operation(cimi.ActionStop, id)}
	case cimi.StateMixed:
		return []cimi.Operation{operation(cimi.ActionStart, id), operation(cimi.ActionStop, id)}
	}
	return []cimi.Operation{operation(cimi.ActionStart, id), operation(cimi.ActionStop, id)}
}

func (p *Provider) showMachine(w *world, m machineAt) *cimi.Machine {
	id := "machines/" + m.ID
	r := &cimi.Machine{State: string(m.State), CPU: cimi.Int(int64(m.CPUs)), CPUArch: m.CPUArch, Memory: cimi.Int(roundUp(m.MemoryBytes, 1024)),
		Disks: collection(id + "/disks"), Volumes: collection(id + "/volumes"), Interfaces: collection(id + "/interfaces"),
		Snapshots: collection(id + "/snapshots")}
	w.common(&r.Common, id, m.Name, m.Description, m.OVFID, "systems/"+m.in.ID+"/machines", "Machine", m.root)
	if m.StartOrder != 0 {
		r.SetExtra(cimi.OVFStartup, map[string]any{"order": m.StartOrder})
	}
	r.Operations = []cimi.Operation{operation(cimi.RelEdit, id)}
	if _, ok := p.host.(host.Power); ok {
		r.Operations = append(r.Operations, powerOperations(id, r.State)...)
	}
	return r
}

func (w *world) showVolume(d diskAt) *cimi.Volume {
	id := "volumes/" + d.ID
	r := &cimi.Volume{State: cimi.StateAvailable, Capacity: cimi.Int(roundUp(d.CapacityBytes, 1000)), Bootable: cimi.Bool(d.Boot),
		Images: collection(id + "/images")}
	if d.Shared {
		r.Type = cimi.VolumeMapped
	}
	w.common(&r.Common, id, d.Name, "", d.OVFID, "systems/"+d.in.ID+"/volumes", "Volume", d.root)
	if d.ContentDigest != "" {
		r.SetExtra(cimi.ContentDigest, map[string]any{"digest": d.ContentDigest, "size": d.ContentBytes})
	}
	r.Operations = []cimi.Operation{operation(cimi.RelEdit, id)}
	return r
}

// showLocated is a Volume as an entry of Machine.volumes (T18). Where the
// guest's system sees it first, its path there, nobody knows who does not run it.
func (w *world) showLocated(a host.Attachment) *cimi.LocatedVolume {
	return &cimi.LocatedVolume{Volume: *w.showVolume(w.disk[a.DiskID])}
}

func (w *world) showNetwork(n networkAt) *cimi.Network {
	id := "networks/" + n.ID
	r := &cimi.Network{State: cimi.StateStarted, Segments: collection(id + "/segments"), Subnetworks: collection(id + "/subnetworks"),
		Services: collection(id + "/services")}
	parent := "systems/" + n.in.ID + "/networks"
	if n.External {
		parent = "networks" // associated with the System only (5.13.1)
	}
	w.common(&r.Common, id, n.Name, n.Description, n.OVFID, parent, "Network", n.root)
	r.Operations = []cimi.Operation{operation(cimi.RelEdit, id)}
	return r
}

// showSegment is the one Ethernet segment that a Network has (mapping.md).
func (w *world) showSegment(n networkAt) *cimi.ProtocolSegment {
	id := "segments/" + n.ID
	r := &cimi.ProtocolSegment{State: cimi.StateStarted, Protocol: "Ethernet", Endpoints: collection(id + "/endpoints")}
	w.common(&r.Common, id, n.Name, "", n.OVFID, "networks/"+n.ID+"/segments", "ProtocolSegment", n.root)
	return r
}

func (w *world) showInterface(m machineAt, i int) *cimi.NetworkInterface {
	id, nic := interfaceID(m.Machine, i), m.NICs[i]
	r := &cimi.NetworkInterface{State: enabled(nic), Endpoints: collection(id + "/endpoints")}
	w.common(&r.Common, id, nic.Name, "", nic.OVFID, "machines/"+m.ID+"/interfaces", "NetworkInterface", m.root)
	return r
}

func (w *world) showEndpoint(m machineAt, i int) *cimi.ProtocolEndpoint {
	id, nic := endpointID(m.Machine, i), m.NICs[i]
	r := &cimi.ProtocolEndpoint{State: enabled(nic), Protocol: "Ethernet", Address: nic.MAC, Origin: "DYNAMIC",
		Interface: cimi.RefTo[cimi.NetworkInterface](interfaceID(m.Machine, i))}
	if nic.MAC != "" {
		r.Origin = "STATIC"
	}
	name := fmt.Sprintf("%s.%d", m.Name, i+1)
	if n, ok := w.network[nic.Network]; ok {
		name = fmt.Sprintf("%s.%s.%d", n.Name, m.Name, i+1)
	}
	w.common(&r.Common, id, name, "", nic.OVFID, "segments/"+nic.Network+"/endpoints", "ProtocolEndpoint", m.root)
	r.Operations = []cimi.Operation{operation(cimi.RelEdit, id)}
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

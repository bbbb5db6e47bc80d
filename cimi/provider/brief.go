package provider

import (
	"slices"

	"github.com/cimimove/cimimove/cimi"
)

// brief makes views with no more than what a query compares, to be looked at
// and thrown away: each call uses the resource of the one before. Whatever it
// does not do is shown in full.
type brief struct {
	enough  bool
	machine cimi.Machine
	volume  cimi.Volume
	cpu     int64
	memory  int64
}

// briefly are the attributes that a brief view has.
var briefly = []string{"id", "name", "description", "state", "cpu", "memory", "cpuArch", "capacity", "bootable", "type", "properties"}

func newBrief(attributes []string) *brief {
	return &brief{enough: !slices.ContainsFunc(attributes, func(a string) bool { return !slices.Contains(briefly, a) })}
}

func (b *brief) of(p *Provider, w *world, h held) cimi.Resource {
	switch {
	case b.enough && h.kind == "machines":
		m := h.machine
		b.cpu, b.memory = int64(m.CPUs), roundUp(m.MemoryBytes, 1024)
		b.machine = cimi.Machine{State: string(m.State), CPU: &b.cpu, Memory: &b.memory, CPUArch: m.CPUArch}
		b.machine.ID, b.machine.Name, b.machine.Description = "machines/"+m.ID, m.Name, m.Description
		return p.laid(&b.machine)
	case b.enough && h.kind == "volumes":
		d := h.disk
		b.memory = capacity(d)
		b.volume = cimi.Volume{State: cimi.StateAvailable, Capacity: &b.memory, Bootable: &d.Boot}
		if d.Shared {
			b.volume.Type = cimi.VolumeMapped
		}
		b.volume.ID, b.volume.Name = "volumes/"+d.ID, d.Name
		return p.laid(&b.volume)
	}
	return p.show(w, h)
}

// laid puts what consumers gave over a brief view, which shares it: nobody
// changes a brief view.
func (p *Provider) laid(r cimi.Resource) cimi.Resource {
	id := r.Base().ID
	if o := p.overlays.get(id); o != nil {
		cimi.Lay(r, o.r)
	}
	if state := p.passing.of(id); state != "" {
		setState(r, state)
	}
	return r
}

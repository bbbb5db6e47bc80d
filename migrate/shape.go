package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// Shape is the configuration of a System: what has to be the same on both
// sides, in CIMI's units.
type Shape struct {
	Name     string         `json:"name"`
	Machines []MachineShape `json:"machines,omitempty"`
	Disks    []DiskShape    `json:"disks,omitempty"`
	Networks []NetworkShape `json:"networks,omitempty"`
}

// MachineShape is a Machine. Disks and Networks are how many hang on it.
type MachineShape struct {
	ID        string `json:"id"`
	OVFID     string `json:"ovfId,omitempty"`
	Name      string `json:"name"`
	State     string `json:"state,omitempty"`
	CPU       int64  `json:"cpu"`
	MemoryKiB int64  `json:"memoryKiB"`
	Disks     int    `json:"disks"`
	NICs      int    `json:"nics"`
}

// DiskShape is a Volume. Capacity is in kilobytes.
type DiskShape struct {
	ID       string `json:"id"`
	OVFID    string `json:"ovfId,omitempty"`
	Name     string `json:"name"`
	Capacity int64  `json:"capacityKB"`
	// Digest is the content digest that the cloud gives, empty when it gives none.
	Digest string `json:"digest,omitempty"`
}

// NetworkShape is a Network of the System.
type NetworkShape struct {
	ID    string `json:"id"`
	OVFID string `json:"ovfId,omitempty"`
	Name  string `json:"name"`
}

// maxNesting bounds Systems within Systems.
const maxNesting = 32

// readShape reads the configuration of a System and those nested in it.
func readShape(ctx context.Context, p cimi.Provider, s *cimi.System) (*Shape, error) {
	shape := &Shape{Name: s.Name}
	return shape, shape.add(ctx, p, s, 0)
}

func (shape *Shape) add(ctx context.Context, p cimi.Provider, s *cimi.System, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("system %s: nested more than %d deep", s.ID, maxNesting)
	}
	machines, err := listAll(ctx, p, cimi.HrefOf(s.Machines))
	if err != nil {
		return err
	}
	for _, r := range machines {
		m, ok := r.(*cimi.Machine)
		if !ok {
			continue
		}
		ms := MachineShape{ID: m.ID, OVFID: m.ExtraString(cimi.OVFID), Name: m.Name, State: m.State, CPU: cimi.IntValue(m.CPU), MemoryKiB: cimi.IntValue(m.Memory)}
		for _, c := range []struct {
			href string
			n    *int
		}{{cimi.HrefOf(m.Volumes), &ms.Disks}, {cimi.HrefOf(m.Interfaces), &ms.NICs}} {
			items, err := listAll(ctx, p, c.href)
			if err != nil {
				return err
			}
			*c.n = len(items)
		}
		shape.Machines = append(shape.Machines, ms)
	}
	volumes, err := listAll(ctx, p, cimi.HrefOf(s.Volumes))
	if err != nil {
		return err
	}
	for _, r := range volumes {
		if v, ok := r.(*cimi.Volume); ok {
			shape.Disks = append(shape.Disks, DiskShape{ID: v.ID, OVFID: v.ExtraString(cimi.OVFID), Name: v.Name,
				Capacity: cimi.IntValue(v.Capacity), Digest: cloudDigest(v.ExtraValue(cimi.ContentDigest))})
		}
	}
	networks, err := listAll(ctx, p, cimi.HrefOf(s.Networks))
	if err != nil {
		return err
	}
	for _, r := range networks {
		if n, ok := r.(*cimi.Network); ok {
			shape.Networks = append(shape.Networks, NetworkShape{ID: n.ID, OVFID: n.ExtraString(cimi.OVFID), Name: n.Name})
		}
	}
	nested, err := listAll(ctx, p, cimi.HrefOf(s.Systems))
	if err != nil {
		return err
	}
	for _, r := range nested {
		if n, ok := r.(*cimi.System); ok {
			if err := shape.add(ctx, p, n, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// cloudDigest reads the extension attribute contentDigest: an object with the
// digest, or the digest itself.
func cloudDigest(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimPrefix(v, "sha256:")
	case map[string]any:
		s, _ := v["digest"].(string)
		return s
	}
	return ""
}

// difference is an attribute that is not what it was.
type difference struct {
	object, attribute string
	want, got         any
}

func (d difference) String() string {
	return fmt.Sprintf("%s: %s is %v, at the source it is %v", d.object, d.attribute, d.got, d.want)
}

// compareShapes lists, attribute by attribute, what differs at the
// destination. Networks that were mapped are not expected there; a disk may be
// larger, as formats round up.
func compareShapes(src, dst *Shape, mapped func(network string) bool) []difference {
	var out []difference
	differs := func(object, attribute string, want, got any) {
		if want != got {
			out = append(out, difference{object, attribute, want, got})
		}
	}
	dm := match(src.Machines, dst.Machines, func(m MachineShape) (string, string) { return m.OVFID, m.Name })
	for i, m := range src.Machines {
		if dm[i] < 0 {
			out = append(out, difference{"machine " + m.Name, "presence", "there", "missing"})
			continue
		}
		g := dst.Machines[dm[i]]
		object := "machine " + m.Name
		differs(object, "cpu", m.CPU, g.CPU)
		differs(object, "memory (KiB)", m.MemoryKiB, g.MemoryKiB)
		differs(object, "number of disks", m.Disks, g.Disks)
		differs(object, "number of network interfaces", m.NICs, g.NICs)
	}
	differs("system "+src.Name, "number of machines", len(src.Machines), len(dst.Machines))
	dd := match(src.Disks, dst.Disks, func(d DiskShape) (string, string) { return d.OVFID, d.Name })
	for i, d := range src.Disks {
		switch {
		case dd[i] < 0:
			out = append(out, difference{"disk " + d.Name, "presence", "there", "missing"})
		case dst.Disks[dd[i]].Capacity < d.Capacity:
			out = append(out, difference{"disk " + d.Name, "capacity (kB)", d.Capacity, dst.Disks[dd[i]].Capacity})
		}
	}
	differs("system "+src.Name, "number of disks", len(src.Disks), len(dst.Disks))
	dn := match(src.Networks, dst.Networks, func(n NetworkShape) (string, string) { return n.OVFID, n.Name })
	for i, n := range src.Networks {
		if dn[i] < 0 && !mapped(n.Name) && !mapped(n.OVFID) {
			out = append(out, difference{"network " + n.Name, "presence", "there", "missing"})
		}
	}
	return out
}

// match pairs entries by the descriptor's id where both have one, else by
// name; -1 where there is no partner.
func match[T any](src, dst []T, keys func(T) (id, name string)) []int {
	out := make([]int, len(src))
	taken := make([]bool, len(dst))
	find := func(ok func(T) bool) int {
		for j, d := range dst {
			if !taken[j] && ok(d) {
				taken[j] = true
				return j
			}
		}
		return -1
	}
	for i, s := range src {
		id, name := keys(s)
		out[i] = -1
		if id != "" {
			out[i] = find(func(d T) bool { did, dname := keys(d); return did == id && dname == name })
		}
		if out[i] < 0 && id != "" {
			out[i] = find(func(d T) bool { did, _ := keys(d); return did == id })
		}
		if out[i] < 0 {
			out[i] = find(func(d T) bool { did, dname := keys(d); return dname == name && (id == "" || did == "") })
		}
	}
	return out
}

// disk finds the disk with an id of the descriptor.
func (shape *Shape) disk(ovfID string) (DiskShape, bool) {
	i := slices.IndexFunc(shape.Disks, func(d DiskShape) bool { return d.OVFID == ovfID })
	if i < 0 {
		i = slices.IndexFunc(shape.Disks, func(d DiskShape) bool { return d.OVFID == "" && strings.EqualFold(d.Name, ovfID) })
	}
	if i < 0 {
		return DiskShape{}, false
	}
	return shape.Disks[i], true
}

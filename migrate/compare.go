package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// Comparison is one attribute of the configuration on both sides.
type Comparison struct {
	Object      string `json:"object"`
	Attribute   string `json:"attribute"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Equal       bool   `json:"equal"`
	// Note says why a difference is as it should be; it counts as equal then.
	Note string `json:"note,omitempty"`
}

func (c Comparison) String() string {
	return fmt.Sprintf("%s: %s is %s, at the source it is %s", c.Object, c.Attribute, orNone(c.Destination), orNone(c.Source))
}

func orNone(s string) string {
	if s == "" {
		return "absent"
	}
	return s
}

// expected are the differences that were asked for.
type expected struct {
	// mapped tells whether a network goes to one of the destination's own.
	mapped func(network string) bool
	mac    string // keep, regenerate or strip
	// noMACs: the destination cannot be told addresses.
	noMACs bool
	// larger tells that a machine may have more than at the source: the
	// destination offers only certain configurations.
	larger bool
}

// compareShapes compares two Systems attribute by attribute. What a cloud does
// not tell is not compared.
func compareShapes(src, dst *Shape, want expected) []Comparison {
	c := &comparer{src: src, dst: dst, want: want}
	c.diskOf = match(src.Disks, dst.Disks, func(d DiskShape) (string, string) { return d.OVFID, d.Name })
	c.networkOf = match(src.Networks, dst.Networks, func(n NetworkShape) (string, string) { return n.OVFID, n.Name })
	c.machines()
	c.disks()
	c.networks()
	return c.out
}

type comparer struct {
	src, dst          *Shape
	want              expected
	diskOf, networkOf []int // partners at the destination, -1 for none
	out               []Comparison
}

func (c *comparer) add(object, attribute string, src, dst any) *Comparison {
	x := Comparison{Object: object, Attribute: attribute, Source: fmt.Sprint(src), Destination: fmt.Sprint(dst)}
	x.Equal = x.Source == x.Destination
	c.out = append(c.out, x)
	return &c.out[len(c.out)-1]
}

// told is add for what a cloud may leave out.
func (c *comparer) told(object, attribute, src, dst string) {
	if src != "" && dst != "" {
		c.add(object, attribute, src, dst)
	}
}

func (c *comparer) missing(object string) { c.add(object, "presence", "there", "missing") }

func (c *comparer) machines() {
	pairs := match(c.src.Machines, c.dst.Machines, func(m MachineShape) (string, string) { return m.OVFID, m.Name })
	c.add("system "+c.src.Name, "number of machines", len(c.src.Machines), len(c.dst.Machines))
	for i, m := range c.src.Machines {
		object := "machine " + m.Name
		if pairs[i] < 0 {
			c.missing(object)
			continue
		}
		g := c.dst.Machines[pairs[i]]
		c.atLeast(object, "cpu", m.CPU, g.CPU)
		c.atLeast(object, "memory (KiB)", m.MemoryKiB, g.MemoryKiB)
		c.told(object, "cpuArch", m.CPUArch, g.CPUArch)
		c.told(object, "description", m.Description, g.Description)
		c.told(object, "start order", m.StartOrder, g.StartOrder)
		c.add(object, "number of disks", m.Disks, g.Disks)
		c.attached(object, m, g)
		c.add(object, "number of network interfaces", m.NICs, g.NICs)
		for k := range min(len(m.Cards), len(g.Cards)) {
			c.card(fmt.Sprintf("%s, network interface %d", object, k+1), m.Cards[k], g.Cards[k])
		}
	}
}

func (c *comparer) atLeast(object, attribute string, src, dst int64) {
	x := c.add(object, attribute, src, dst)
	if !x.Equal && c.want.larger && dst > src {
		x.Equal, x.Note = true, "the nearest that the destination offers"
	}
}

func (c *comparer) card(object string, src, dst CardShape) {
	a := slices.IndexFunc(c.src.Networks, func(n NetworkShape) bool { return n.ID == src.Network })
	b := slices.IndexFunc(c.dst.Networks, func(n NetworkShape) bool { return n.ID == dst.Network })
	if a >= 0 && b >= 0 {
		n := c.src.Networks[a]
		x := c.add(object, "network", n.Name, c.dst.Networks[b].Name)
		switch {
		case c.want.goesElsewhere(n):
			x.Equal, x.Note = true, "mapped"
		default:
			x.Equal = c.networkOf[a] == b
		}
	}
	c.told(object, "state", src.State, dst.State)
	if src.MAC == "" {
		return
	}
	x := c.add(object, "MAC address", src.MAC, dst.MAC)
	switch c.want.mac {
	case "strip":
		x.Equal, x.Note = dst.MAC == "", "stripped"
	case "regenerate":
		x.Equal, x.Note = dst.MAC != src.MAC, "regenerated"
	default:
		if c.want.noMACs {
			x.Equal, x.Note = true, "the destination cannot be told addresses"
		}
		if dst.MAC == "" && dst.Network == "" {
			// The cloud tells nothing of the card at all.
			c.out = c.out[:len(c.out)-1]
		}
	}
}

func (c *comparer) disks() {
	c.add("system "+c.src.Name, "number of disks", len(c.src.Disks), len(c.dst.Disks))
	for i, d := range c.src.Disks {
		object := "disk " + d.Name
		if c.diskOf[i] < 0 {
			c.missing(object)
			continue
		}
		g := c.dst.Disks[c.diskOf[i]]
		x := c.add(object, "capacity (kB)", d.Capacity, g.Capacity)
		if !x.Equal && g.Capacity > d.Capacity {
			x.Equal, x.Note = true, "formats round up; what is behind is checked to be zero"
		}
		c.told(object, "type", d.Type, g.Type)
		if d.Bootable {
			c.add(object, "bootable", d.Bootable, g.Bootable)
		}
	}
}

func (c *comparer) networks() {
	for i, n := range c.src.Networks {
		switch mapped := c.want.goesElsewhere(n); {
		case c.networkOf[i] >= 0:
			x := c.add("network "+n.Name, "name", n.Name, c.dst.Networks[c.networkOf[i]].Name)
			if !x.Equal && mapped {
				x.Equal, x.Note = true, "mapped"
			}
		case !mapped:
			c.missing("network " + n.Name)
		}
	}
}

func (e expected) goesElsewhere(n NetworkShape) bool { return e.mapped(n.Name) || e.mapped(n.OVFID) }

// attached compares which disks hang on a machine, by the names they have at
// the source. A cloud that names its Volumes otherwise there is not compared.
func (c *comparer) attached(object string, src, dst MachineShape) {
	names := func(ids []string, of func(id string) int) (out []string, ok bool) {
		for _, id := range ids {
			i := of(id)
			if i < 0 {
				return nil, false
			}
			out = append(out, c.src.Disks[i].Name)
		}
		slices.Sort(out)
		return out, true
	}
	a, ok := names(src.Attached, func(id string) int {
		return slices.IndexFunc(c.src.Disks, func(d DiskShape) bool { return d.ID == id })
	})
	b, okay := names(dst.Attached, func(id string) int {
		k := slices.IndexFunc(c.dst.Disks, func(d DiskShape) bool { return d.ID == id })
		if k < 0 {
			return -1
		}
		return slices.Index(c.diskOf, k)
	})
	if ok && okay {
		c.add(object, "disks", strings.Join(a, ", "), strings.Join(b, ", "))
	}
}

// unequal are those that differ and should not.
func unequal(all []Comparison) []Comparison {
	return slices.DeleteFunc(slices.Clone(all), func(c Comparison) bool { return c.Equal })
}

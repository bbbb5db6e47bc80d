package systemtemplate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cimimove/cimimove/ovf"
)

// machine edits a VirtualSystem; parent is nil for a lone one.
func (e *editor) machine(b, w *Machine, parent *System) error {
	object := "machine " + w.Name
	e.matched[b] = true
	n := b.Content.Node()
	if w.Name != b.Name {
		e.setName(n, w.Name)
	}
	if w.Description != b.Description {
		e.setAnnotation(b.Content, w.Description)
	}
	if parent != nil {
		if err := e.startup(parent.Content, b.OVFID, b.Startup, w.Startup); err != nil {
			return err
		}
		if err := e.quantity(parent.Content, b.OVFID, b.Quantity, w.Quantity, object); err != nil {
			return err
		}
	}
	if err := e.properties(b.Content, b.Properties, w.Properties, object); err != nil {
		return err
	}
	e.userData(b, w)
	if !maps.Equal(w.Attributes.Properties, b.Attributes.Properties) || w.CPUArch != b.CPUArch || w.CPUSpeed != b.CPUSpeed {
		err := e.setAttributes(n, object, func(a *Attributes) {
			a.Properties = w.Attributes.Properties
			if w.CPUArch != b.CPUArch {
				a.CPUArch = w.CPUArch
			}
			a.CPUSpeed = w.CPUSpeed
		})
		if err != nil {
			return err
		}
	}
	if b.Hardware.Node() == nil {
		if w.CPUs > 0 && w.CPUs != b.CPUs || w.MemoryBytes > 0 || len(w.Attachments)+len(w.NICs) > 0 {
			f, err := e.hardware(w)
			if err != nil {
				return err
			}
			e.insertSection(n, f)
		}
		return nil
	}
	if w.CPUs > 0 && w.CPUs != b.CPUs {
		if err := e.cpus(b.Hardware, w.CPUs); err != nil {
			return err
		}
	}
	if w.MemoryBytes > 0 && roundUp(w.MemoryBytes, 1024) != roundUp(max(b.MemoryBytes, 0), 1024) {
		if err := e.memory(b.Hardware, w.MemoryBytes, object); err != nil {
			return err
		}
	}
	if err := e.ranges(b, w); err != nil {
		return err
	}
	if err := e.attachments(b, w, object); err != nil {
		return err
	}
	return e.nics(b, w)
}

func (e *editor) ofType(h ovf.VirtualHardware, resource int) []ovf.Item {
	return slices.DeleteFunc(h.EffectiveItems(e.config), func(it ovf.Item) bool { return it.ResourceType != resource })
}

// cpus puts the difference to the first processor Item; the others keep theirs
// where that leaves it at least one.
func (e *editor) cpus(h ovf.VirtualHardware, want int) error {
	items := e.ofType(h, ovf.ResourceProcessor)
	if len(items) == 0 {
		_, err := e.addItem(h, processor(want), Attributes{})
		return err
	}
	rest := 0
	for _, it := range items[1:] {
		if it.VirtualQuantity == nil {
			rest++
		} else {
			rest += int(*it.VirtualQuantity)
		}
	}
	if rest >= want {
		for _, it := range items[1:] {
			if err := e.setField(h, it, "VirtualQuantity", "0"); err != nil {
				return err
			}
		}
		rest = 0
	}
	return e.setField(h, items[0], "VirtualQuantity", strconv.Itoa(want-rest))
}

// memory is put to the first memory Item, in its unit where that is whole.
func (e *editor) memory(h ovf.VirtualHardware, want int64, object string) error {
	items := e.ofType(h, ovf.ResourceMemory)
	if len(items) == 0 {
		_, err := e.addItem(h, memory(want), Attributes{})
		return err
	}
	var rest int64
	for _, it := range items[1:] {
		v, err := it.MemoryBytes()
		if err != nil {
			return err
		}
		rest += v
	}
	if rest >= want {
		for _, it := range items[1:] {
			if err := e.setField(h, it, "VirtualQuantity", "0"); err != nil {
				return err
			}
		}
		rest = 0
	}
	quantity, unit := inUnit(want-rest, items[0].AllocationUnits)
	if unit != items[0].AllocationUnits {
		if err := e.keepUnits(h, items[0]); err != nil {
			return err
		}
		if err := e.setField(h, items[0], "AllocationUnits", unit); err != nil {
			return err
		}
	}
	return e.setField(h, items[0], "VirtualQuantity", quantity)
}

// keepUnits has the range markers of a memory Item that count in its unit say so
// themselves, before it gets another one (DSP0243 8.4: a marker overrides only
// what it names).
func (e *editor) keepUnits(h ovf.VirtualHardware, it ovf.Item) error {
	unit := it.AllocationUnits
	if unit == "" {
		unit = megabytes
	}
	for _, x := range h.Items() {
		if x.Bound == "" || x.InstanceID != it.InstanceID || x.AllocationUnits != "" || !x.In(e.config) {
			continue
		}
		if err := setFieldOf(x.Node(), spaceOf(x), "AllocationUnits", []string{unit}); err != nil {
			return err
		}
	}
	return nil
}

// megabytes is the unit of memory where none is given.
const megabytes = "byte * 2^20"

// inUnit expresses bytes in a unit where that is whole, else in MiB, else in
// KiB, else in bytes.
func inUnit(bytes int64, unit string) (quantity, of string) {
	of = unit
	if unit == "" {
		unit = megabytes
	}
	if one, err := ovf.Quantity("1", unit, "byte"); err == nil && one > 0 && bytes%one == 0 {
		return strconv.FormatInt(bytes/one, 10), of
	}
	switch {
	case bytes%(1<<20) == 0:
		return strconv.FormatInt(bytes>>20, 10), megabytes
	case bytes%(1<<10) == 0:
		return strconv.FormatInt(bytes>>10, 10), "byte * 2^10"
	}
	return strconv.FormatInt(bytes, 10), "byte"
}

// ranges edits range markers (DSP0243 8.4) that the template bounds otherwise.
func (e *editor) ranges(b, w *Machine) error {
	for _, x := range []struct {
		resource   int
		have, want *Range
		unit       int64
	}{{ovf.ResourceProcessor, b.CPURange, w.CPURange, 1}, {ovf.ResourceMemory, b.MemoryRange, w.MemoryRange, 1024}} {
		if x.want == nil {
			continue
		}
		have := x.have
		if have == nil {
			have = &Range{}
		}
		for _, bound := range []struct {
			name       string
			have, want *int64
		}{{"min", have.Min, x.want.Min}, {"max", have.Max, x.want.Max}} {
			if bound.want == nil || bound.have != nil && roundUp(*bound.have, x.unit) == roundUp(*bound.want, x.unit) {
				continue
			}
			if err := e.bound(b.Hardware, x.resource, bound.name, *bound.want); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *editor) bound(h ovf.VirtualHardware, resource int, name string, value int64) error {
	items := e.ofType(h, resource)
	if len(items) == 0 {
		return nil
	}
	it := items[0]
	quantity, unit := strconv.FormatInt(value, 10), it.AllocationUnits
	if resource == ovf.ResourceMemory {
		quantity, unit = inUnit(value, it.AllocationUnits)
	}
	for _, x := range h.Items() {
		if x.Bound == name && x.InstanceID == it.InstanceID && x.In(e.config) && !e.servesOthers(x.Configuration) {
			if resource == ovf.ResourceMemory && unit != "" {
				if err := setFieldOf(x.Node(), spaceOf(x), "AllocationUnits", []string{unit}); err != nil {
					return err
				}
			}
			return setFieldOf(x.Node(), spaceOf(x), "VirtualQuantity", []string{quantity})
		}
	}
	fields := []field{{"ElementName", fmt.Sprintf("%s of %s", name, or(it.ElementName, it.InstanceID))}, {"InstanceID", it.InstanceID},
		{"ResourceType", strconv.Itoa(resource)}, {"VirtualQuantity", quantity}}
	if unit != "" {
		fields = append(fields, field{"AllocationUnits", unit})
	}
	f := e.item(spaceOf(it), fields)
	f.Attrs = e.attrs("bound", name)
	if e.servesOthers(nil) {
		f.Attrs = append(f.Attrs, e.attrs("configuration", e.config)...)
	}
	group := e.group(h, it)
	last := group[len(group)-1].Node()
	_, err := last.Parent().Insert(f, last, true)
	return err
}

func processor(n int) []field {
	return []field{{"ElementName", fmt.Sprintf("%d virtual CPU", n)}, {"ResourceType", "3"}, {"VirtualQuantity", strconv.Itoa(n)}}
}

func memory(bytes int64) []field {
	quantity, unit := inUnit(bytes, "byte * 2^20")
	return []field{{"AllocationUnits", unit}, {"ElementName", fmt.Sprintf("%d MiB of memory", bytes>>20)}, {"ResourceType", "4"}, {"VirtualQuantity", quantity}}
}

func attributesEmpty(a Attributes) bool {
	return a.Name == "" && a.Description == "" && len(a.Properties) == 0 && a.CPUArch == "" && a.CPUSpeed == 0 &&
		a.InitialLocation == "" && len(a.Parameters) == 0 && a.System == nil
}

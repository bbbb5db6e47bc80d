package systemtemplate

import (
	"errors"
	"math"

	"github.com/cimimove/cimimove/ovf"
)

// ranges reads the range markers of processors and memory (DSP0243 8.4).
func (r *reader) ranges(m *Machine) error {
	for _, g := range m.Hardware.Ranges(r.config) {
		var out **Range
		value := func(it *ovf.Item) (int64, error) {
			if it.VirtualQuantity == nil || *it.VirtualQuantity > math.MaxInt64 {
				return 0, errNoBound
			}
			return int64(*it.VirtualQuantity), nil
		}
		switch g.ResourceType {
		case ovf.ResourceProcessor:
			out = &m.CPURange
		case ovf.ResourceMemory:
			out = &m.MemoryRange
			units := m.unitsOf(g.InstanceID, r.config)
			value = func(it *ovf.Item) (int64, error) {
				if it.Field("VirtualQuantity") == "" {
					return 0, errNoBound
				}
				if it.AllocationUnits == "" {
					n, err := ovf.Quantity(it.Field("VirtualQuantity"), units, "byte")
					return n, err
				}
				return it.MemoryBytes()
			}
		default:
			continue
		}
		var got Range
		for _, b := range []struct {
			it *ovf.Item
			to **int64
		}{{g.Min, &got.Min}, {g.Max, &got.Max}} {
			if b.it == nil {
				continue
			}
			v, err := value(b.it)
			if err == errNoBound {
				continue // it bounds a reservation
			}
			if err != nil {
				return err
			}
			*b.to = &v
		}
		// Several Items of one type make no single range.
		if *out != nil || got == (Range{}) {
			continue
		}
		*out = &got
	}
	return nil
}

var errNoBound = errors.New("the range marker has no VirtualQuantity")

// unitsOf is the unit of a memory Item, for a marker without one: the marker
// overrides only what it names.
func (m *Machine) unitsOf(instance, config string) string {
	for _, it := range m.Hardware.EffectiveItems(config) {
		if it.InstanceID == instance && it.AllocationUnits != "" {
			return it.AllocationUnits
		}
	}
	return megabytes
}

package host

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// setCPUs makes the processor Items add up to n.
func (e *editor) setCPUs(hw ovf.VirtualHardware, n int) error {
	items := e.items(hw, ovf.ResourceProcessor)
	if len(items) == 0 {
		return e.appendItem(hw, "Processors", ovf.ResourceProcessor, strconv.Itoa(n), "hertz * 10^6")
	}
	all, err := hw.CPUs(e.cfg)
	if err != nil {
		return err
	}
	own := 1
	if q := items[0].VirtualQuantity; q != nil {
		own = int(*q)
	}
	if n -= all - own; n < 1 {
		return fmt.Errorf("%d processors over %d Items: %w", n+all-own, len(items), ErrUnsupported)
	}
	return e.setField(hw, items[0].InstanceID, "VirtualQuantity", strconv.Itoa(n))
}

// setMemory makes the memory Items add up to n bytes, in the unit that stands
// there where that gives a whole number.
func (e *editor) setMemory(hw ovf.VirtualHardware, n int64) error {
	items := e.items(hw, ovf.ResourceMemory)
	units := "byte"
	switch {
	case n%(1<<20) == 0:
		units = "byte * 2^20"
	case n%(1<<10) == 0:
		units = "byte * 2^10"
	}
	if len(items) == 0 {
		q, err := quantity(n, units)
		if err != nil {
			return err
		}
		return e.appendItem(hw, "Memory", ovf.ResourceMemory, q, units)
	}
	all, err := hw.MemoryBytes(e.cfg)
	if err != nil {
		return err
	}
	own, err := items[0].MemoryBytes()
	if err != nil {
		return err
	}
	if n -= all - own; n < 0 {
		return fmt.Errorf("%d bytes of memory over %d Items: %w", n+all-own, len(items), ErrUnsupported)
	}
	id := items[0].InstanceID
	if there := items[0].AllocationUnits; there != "" {
		if q, err := quantity(n, there); err == nil {
			return e.setField(hw, id, "VirtualQuantity", q)
		}
	}
	q, err := quantity(n, units)
	if err != nil {
		return err
	}
	if err := e.setField(hw, id, "VirtualQuantity", q); err != nil {
		return err
	}
	return e.setField(hw, id, "AllocationUnits", units)
}

// quantity is n bytes in a unit; an error where it is no whole number of it.
func quantity(n int64, units string) (string, error) {
	one, err := ovf.Quantity("1", units, "byte")
	if err != nil {
		return "", err
	}
	if one == 0 || n%one != 0 {
		return "", fmt.Errorf("%d is no whole number of %s", n, units)
	}
	return strconv.FormatInt(n/one, 10), nil
}

func (e *editor) items(hw ovf.VirtualHardware, resourceType int) []ovf.Item {
	return slices.DeleteFunc(hw.EffectiveItems(e.cfg), func(it ovf.Item) bool { return it.ResourceType != resourceType })
}

// setField changes a field of the combined Item with that InstanceID: in the
// Item that supplies the value, or, where that one serves other configurations
// too, in a new one of this configuration alone (DSP0243 9.8). An empty value
// removes the field.
func (e *editor) setField(hw ovf.VirtualHardware, instanceID, field, value string) error {
	for _, it := range hw.EffectiveItems(e.cfg) {
		if it.InstanceID != instanceID {
			continue
		}
		supplier := it.Node()
		if n := it.FieldNode(field); n != nil {
			supplier = n.Parent()
			if value == "" {
				n.Remove()
				return nil
			}
		} else if value == "" {
			return nil
		}
		if e.servesOthers(hw, supplier) {
			return e.override(hw, it, field, value)
		}
		return setItemField(supplier, it, field, value)
	}
	return fmt.Errorf("the kept descriptor has no Item %q", instanceID)
}

// servesOthers says whether an Item is selected under another configuration.
func (e *editor) servesOthers(hw ovf.VirtualHardware, item *xmltree.Node) bool {
	for _, it := range hw.Items() {
		if it.Node() != item {
			continue
		}
		for _, c := range e.env.Configurations() {
			if c.ID != e.cfg && it.In(c.ID) {
				return true
			}
		}
	}
	return false
}

// setItemField keeps the alphabetical order in which the schema of OVF 1 has
// the fields.
func setItemField(item *xmltree.Node, it ovf.Item, field, value string) error {
	space, hint := fieldSpace(it)
	var before *xmltree.Node
	for n := range item.Children() {
		if n.Name().Space != space {
			continue
		}
		if n.Name().Local == field {
			n.SetText(value)
			return nil
		}
		if before == nil && n.Name().Local > field {
			before = n
		}
	}
	_, err := item.Insert(xmltree.Fragment{Name: xmltree.Name{Space: space, Local: field}, Hint: hint, Text: value}, before, false)
	return err
}

func fieldSpace(it ovf.Item) (space, hint string) {
	if n := it.FieldNode("InstanceID"); n != nil {
		return n.Name().Space, ""
	}
	switch it.Kind {
	case "StorageItem":
		return ovf.NSSASD, "sasd"
	case "EthernetPortItem":
		return ovf.NSEPASD, "epasd"
	}
	return ovf.NSRASD, "rasd"
}

func (e *editor) override(hw ovf.VirtualHardware, it ovf.Item, field, value string) error {
	space, hint := fieldSpace(it)
	text := map[string]string{"ElementName": it.ElementName, "InstanceID": it.InstanceID, "ResourceType": strconv.Itoa(it.ResourceType), field: value}
	return e.insertItem(hw, it.Kind, space, hint, text, e.cfg)
}

func (e *editor) appendItem(hw ovf.VirtualHardware, name string, resourceType int, q, units string) error {
	free := 1
	for _, it := range hw.Items() {
		if n, err := strconv.Atoi(it.InstanceID); err == nil && n >= free {
			free = n + 1
		}
	}
	cfg := ""
	if len(e.env.Configurations()) > 1 {
		cfg = e.cfg
	}
	return e.insertItem(hw, "Item", ovf.NSRASD, "rasd", map[string]string{"AllocationUnits": units, "ElementName": name,
		"InstanceID": strconv.Itoa(free), "ResourceType": strconv.Itoa(resourceType), "VirtualQuantity": q}, cfg)
}

// insertItem puts a new Item behind the last one.
func (e *editor) insertItem(hw ovf.VirtualHardware, kind, space, hint string, fields map[string]string, cfg string) error {
	f := xmltree.Fragment{Name: xmltree.Name{Space: e.env.Namespace(), Local: kind}, Hint: "ovf"}
	if cfg != "" {
		f.Attrs = []xmltree.FragmentAttr{{Name: xmltree.Name{Space: e.env.Namespace(), Local: "configuration"}, Hint: "ovf", Value: cfg}}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f.Children = append(f.Children, xmltree.Fragment{Name: xmltree.Name{Space: space, Local: name}, Hint: hint, Text: fields[name]})
	}
	var last *xmltree.Node
	for _, it := range hw.Items() {
		last = it.Node()
	}
	_, err := hw.Node().Insert(f, last, last != nil)
	return err
}

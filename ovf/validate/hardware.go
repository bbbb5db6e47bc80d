package validate

import (
	"fmt"
	"math"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

func hardware(c *checker) {
	networks := map[string]bool{}
	for _, n := range c.env.Networks() {
		networks[n.Name] = true
	}
	known := c.knownConfigurations()
	for x := range c.env.Contents() {
		if x.Collection {
			continue
		}
		all := x.Hardware()
		if len(all) == 0 {
			c.add("OVF-HW-001", "VirtualSystem "+x.ID, "there is no VirtualHardwareSection")
		}
		sections := map[string]bool{}
		for i, h := range all {
			if id, ok := rawAttr(c, h.Element, "id"); len(all) > 1 && ok {
				if sections[id] {
					c.add("OVF-HW-018", "VirtualSystem "+x.ID, "the id %q of a VirtualHardwareSection stands more than once", id)
				}
				sections[id] = true
			}
			object := "VirtualSystem " + x.ID
			if len(all) > 1 {
				object = fmt.Sprintf("%s, hardware %d", object, i+1)
			}
			c.section(object, h, networks, known)
		}
	}
}

func (c *checker) section(object string, h ovf.VirtualHardware, networks, known map[string]bool) {
	for n := range h.Node().Children() {
		if n.Name().Local == "System" && n.Name().Space != ovf.NSVMW && !hasAnyChild(n) {
			c.add("OVF-HW-017", object, "the System element is empty")
		}
	}
	items := h.Items()
	ids := map[string]ovf.Item{}
	plain := map[string]bool{}
	parent := map[string]string{}
	for _, it := range items {
		o := object + ", item " + it.InstanceID
		if it.InstanceID == "" {
			if it.ResourceType == 0 && it.ElementName == "" {
				// Childless Items occur; they describe nothing.
				c.add("OVF-HW-016", o, "line %d: an Item is empty", it.Line())
				continue
			}
			c.add("OVF-HW-002", o, "line %d: the Item %q has no InstanceID", it.Line(), it.ElementName)
		}
		if it.Field("ResourceType") == "" {
			c.add("OVF-HW-003", o, "the Item has no ResourceType")
		}
		switch it.Bound {
		case "", "normal", "min", "max":
		default:
			c.add("OVF-HW-014", o, "bound is %q", it.Bound)
		}
		if first, ok := ids[it.InstanceID]; ok && it.InstanceID != "" {
			if first.ResourceType != it.ResourceType {
				if c.env.OVirt() {
					continue // oVirt's devices share ids across kinds
				}
				c.add("OVF-HW-004", o, "ResourceType is %d here and %d before", it.ResourceType, first.ResourceType)
			} else if len(it.Configuration) == 0 && !it.Marker() && plain[it.InstanceID] && !c.draft {
				c.add("OVF-HW-005", o, "the InstanceID stands more than once without configuration")
			}
		} else {
			ids[it.InstanceID] = it
		}
		if len(it.Configuration) == 0 && !it.Marker() {
			plain[it.InstanceID] = true
		}
		if it.Parent != "" {
			parent[it.InstanceID] = it.Parent
		}
		for _, k := range it.Configuration {
			if !known[k] {
				c.add("OVF-CFG-001", o, "configuration %q is not in DeploymentOptionSection", k)
			}
		}
		c.unknown(o, it)
		c.links(o, it, networks)
		c.quantities(o, it)
		c.fields(o, it)
	}
	c.parentsOfItems(object, items, ids, parent)
	c.ranges(object, h)
	c.machine(object, h)
}

// itemFields are the properties of CIM_ResourceAllocationSettingData, with
// those that drafts had, in lower case.
var itemFields = map[string]bool{"address": true, "addressonparent": true, "allocationunits": true, "automaticallocation": true,
	"automaticdeallocation": true, "busnumber": true, "caption": true, "changeabletype": true, "configurationname": true, "connection": true,
	"consumervisibility": true, "description": true, "elementname": true, "generation": true, "hostresource": true, "instanceid": true,
	"limit": true, "mappingbehavior": true, "otherresourcetype": true, "parent": true, "poolid": true, "reservation": true,
	"resourcesubtype": true, "resourcetype": true, "virtualquantity": true, "virtualquantityunits": true, "weight": true}

// lastResourceType is the last of CIM's resource types that the standard's
// schema of Items knows; what is above belongs to a vendor.
const lastResourceType = 35

// unknown finds required elements that are not fields of an Item (7.3), and a
// required Item of a kind that CIM does not have (8.2).
func (c *checker) unknown(object string, it ovf.Item) {
	if c.env.OVirt() {
		return
	}
	if v, _ := it.Node().Attr(c.env.Namespace(), "required"); it.ResourceType > lastResourceType && (strings.TrimSpace(v) == "true" || strings.TrimSpace(v) == "1") {
		c.add("OVF-HW-022", object, "the resource type %d is none of the standard, and the item is required", it.ResourceType)
	}
	for n := range it.Node().Children() {
		name := n.Name()
		v, ok := n.Attr(c.env.Namespace(), "required")
		if name.Space == ovf.NSVMW || strings.TrimSpace(v) == "false" {
			continue
		}
		if ovf.IsItemField(name.Space) {
			if itemFields[strings.ToLower(name.Local)] || it.Kind != "Item" {
				continue
			}
		} else if !ok && name.Space != c.env.Namespace() && name.Space != "" {
			continue
		}
		if ok {
			c.add("OVF-XML-009", object, "element %s (namespace %q) is required and not one that we know", name.Local, name.Space)
			continue
		}
		c.add("OVF-XML-019", object, "element %s (namespace %q) is none of the standard's", name.Local, name.Space)
	}
}

// links checks what an Item refers to outside of its section.
func (c *checker) links(object string, it ovf.Item, networks map[string]bool) {
	if it.ResourceType == ovf.ResourceEthernet {
		for _, n := range it.Connection {
			if networks[n] || placeholder(n) {
				continue
			}
			id := "OVF-NET-003"
			if c.env.OVirt() {
				id = "OVF-NET-004" // its engine listed networks by number
			}
			c.add(id, object, "Connection %q names no Network of NetworkSection", n)
		}
	}
	for _, r := range it.HostResource {
		kind, id, ok := ovf.HostResource(r)
		if !ok {
			continue
		}
		if d, f := c.env.Resolve(r); !d.Exists() && !f.Exists() {
			c.add("OVF-HW-007", object, "HostResource %q: there is no %s %q", r, kind, id)
		}
	}
}

func (c *checker) quantities(object string, it ovf.Item) {
	raw := it.Field("VirtualQuantity")
	if placeholder(raw) {
		return
	}
	if raw != "" && it.VirtualQuantity == nil && (it.ResourceType == ovf.ResourceProcessor || it.ResourceType == ovf.ResourceMemory) {
		c.add("OVF-HW-011", object, "VirtualQuantity is %q, expected a whole number", raw)
		return
	}
	if it.ResourceType == ovf.ResourceProcessor && it.VirtualQuantity != nil && *it.VirtualQuantity > math.MaxInt32 {
		c.add("OVF-HW-011", object, "%d processors are more than a machine can have", *it.VirtualQuantity)
	}
	if it.ResourceType == ovf.ResourceMemory && raw != "" {
		if it.AllocationUnits == "" && !it.Marker() && len(it.Configuration) == 0 {
			c.add("OVF-HW-010", object, "memory of %s has no unit", raw)
		}
		if _, err := it.MemoryBytes(); err != nil {
			c.add("OVF-HW-011", object, "%s", said(err))
		}
	}
}

func (c *checker) parentsOfItems(object string, items []ovf.Item, ids map[string]ovf.Item, parent map[string]string) {
	reported := map[string]bool{}
	for _, it := range items {
		p := it.Parent
		if p == "" || c.draft && strings.Trim(p, "0-") == "" {
			continue
		}
		if _, ok := ids[p]; !ok {
			c.add("OVF-HW-006", object+", item "+it.InstanceID, "Parent %q names no Item", p)
			continue
		}
		at := it.InstanceID
		if p == at && !reported[at] {
			parent[at] = at
		}
		for steps := 0; at != "" && steps <= 64; steps++ {
			if at = parent[at]; at == it.InstanceID && !reported[at] {
				reported[at] = true
				c.add("OVF-HW-013", object+", item "+it.InstanceID, "the Item is its own ancestor")
				break
			}
		}
	}
}

func (c *checker) ranges(object string, h ovf.VirtualHardware) {
	count, normal := map[string]int{}, map[string]ovf.Item{}
	for _, it := range h.Items() {
		if it.Marker() {
			key := it.InstanceID + "\x00" + it.Bound + "\x00" + strings.Join(it.Configuration, " ")
			if count[key]++; count[key] == 2 {
				c.add("OVF-HW-009", object+", item "+it.InstanceID, "there are several %s range markers", it.Bound)
			}
		} else {
			normal[it.InstanceID] = it
		}
	}
	for _, r := range h.Ranges("") {
		o := object + ", item " + r.InstanceID
		n, ok := normal[r.InstanceID]
		if !ok {
			c.add("OVF-HW-009", o, "the range has no normal Item")
			continue
		}
		for _, m := range []*ovf.Item{r.Min, r.Max} {
			if m == nil {
				continue
			}
			for _, f := range []string{"VirtualQuantity", "Reservation", "Limit"} {
				if v := m.Field(f); v != "" && strings.Trim(v, "0123456789") != "" {
					c.add("OVF-HW-009", o, "%s of the %s range marker is %q, expected a whole number", f, m.Bound, v)
				}
			}
			if q, v := n.VirtualQuantity, m.VirtualQuantity; q != nil && v != nil && n.AllocationUnits == m.AllocationUnits &&
				(m.Bound == "min" && *v > *q || m.Bound == "max" && *v < *q) {
				c.add("OVF-HW-015", o, "the normal value is %d, the %s one %d", *q, m.Bound, *v)
			}
		}
	}
}

// machine checks what the default configuration makes of the section.
func (c *checker) machine(object string, h ovf.VirtualHardware) {
	var cpu, mem bool
	for _, it := range h.EffectiveItems("") {
		cpu = cpu || it.ResourceType == ovf.ResourceProcessor
		mem = mem || it.ResourceType == ovf.ResourceMemory
	}
	if !cpu || !mem {
		c.add("OVF-HW-012", object, "the machine lacks a processor or memory")
	}
	seen := map[string]string{}
	for _, d := range h.Drives("") {
		if !d.Controller.Exists() || d.Unit < 0 {
			continue
		}
		key := d.Controller.InstanceID + "\x00" + fmt.Sprint(d.Unit)
		if other, ok := seen[key]; ok {
			c.add("OVF-HW-008", object+", item "+d.InstanceID, "address %d on controller %s is that of item %s too", d.Unit, d.Controller.InstanceID, other)
		}
		seen[key] = d.InstanceID
	}
}

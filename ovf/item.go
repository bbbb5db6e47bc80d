package ovf

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// Kinds of resource: CIM_ResourceAllocationSettingData.ResourceType.
const (
	ResourceOther       = 1
	ResourceProcessor   = 3
	ResourceMemory      = 4
	ResourceIDE         = 5
	ResourceSCSI        = 6
	ResourceFCHBA       = 7
	ResourceISCSIHBA    = 8
	ResourceEthernet    = 10
	ResourceFloppy      = 14
	ResourceCD          = 15
	ResourceDVD         = 16
	ResourceDisk        = 17
	ResourceStorage     = 20 // other storage device: SATA and NVMe controllers
	ResourceUSB         = 23
	ResourceGraphics    = 24
	ResourceLogicalDisk = 31
)

// Item is an Item, a StorageItem or an EthernetPortItem (DSP0243 8.3), or the
// combination of several with one InstanceID (9.8).
type Item struct {
	Element        // of a combined Item: its first one
	Kind    string // Item, StorageItem, EthernetPortItem

	InstanceID          string
	ElementName         string // ElementName, else Caption
	Description         string
	ResourceType        int // 0 when absent or no number
	OtherResourceType   string
	ResourceSubType     string
	AllocationUnits     string
	VirtualQuantity     *uint64 // nil when absent or no number, as the next three
	Reservation         *uint64
	Limit               *uint64
	Weight              *uint64
	Parent              string
	AddressOnParent     string
	Address             string
	Connection          []string
	HostResource        []string
	AutomaticAllocation bool // true when absent
	Required            bool // ovf:required, true when absent
	Configuration       []string
	Bound               string // "", normal, min, max

	fields []*xmltree.Node
	others []*xmltree.Node // vendors' child elements
}

// IsItemField says whether a namespace is one of an Item's fields. Producers
// append ".xsd", or forget to declare the prefix.
func IsItemField(space string) bool {
	switch strings.TrimSuffix(space, ".xsd") {
	case NSRASD, NSSASD, NSEPASD:
		return true
	}
	switch space {
	case xmltree.UnboundPrefix + "rasd", xmltree.UnboundPrefix + "sasd", xmltree.UnboundPrefix + "epasd":
		return true
	}
	return strings.HasPrefix(space, "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_") &&
		strings.Contains(space, "AllocationSettingData")
}

// Items are the Items of the section as they stand, of all configurations and
// with range markers, in order.
func (h VirtualHardware) Items() []Item {
	if h.node == nil {
		return nil
	}
	return h.env.items(h.node)
}

func (e *Envelope) items(section *xmltree.Node) []Item {
	var out []Item
	for n := range section.Children() {
		switch k := e.kind(n); k {
		case "Item", "StorageItem", "EthernetPortItem":
			out = append(out, e.item(n, k))
		}
	}
	return out
}

func (e *Envelope) item(n *xmltree.Node, kind string) Item {
	it := Item{Element: Element{e, n}, Kind: kind, Required: e.boolAttr(n, "required", true),
		Configuration: strings.Fields(e.attrOr(n, "configuration", "")), Bound: e.attrOr(n, "bound", "")}
	for c := range n.Children() {
		if IsItemField(c.Name().Space) {
			it.fields = append(it.fields, c)
		} else {
			it.others = append(it.others, c)
		}
	}
	it.read()
	return it
}

// read fills the fields from the child elements.
func (it *Item) read() {
	it.InstanceID, it.ElementName, it.Description = it.Field("InstanceID"), it.Field("ElementName"), it.Field("Description")
	if it.ElementName == "" {
		it.ElementName = it.Field("Caption")
	}
	it.ResourceType, _ = strconv.Atoi(it.Field("ResourceType"))
	it.OtherResourceType, it.ResourceSubType = it.Field("OtherResourceType"), it.Field("ResourceSubType")
	it.AllocationUnits = it.Field("AllocationUnits")
	it.VirtualQuantity, it.Reservation, it.Limit, it.Weight = it.number("VirtualQuantity"), it.number("Reservation"), it.number("Limit"), it.number("Weight")
	it.Parent, it.AddressOnParent, it.Address = it.Field("Parent"), it.Field("AddressOnParent"), it.Field("Address")
	it.Connection, it.HostResource = it.Fields("Connection"), it.Fields("HostResource")
	it.AutomaticAllocation = true
	if b, ok := parseBool(it.Field("AutomaticAllocation")); ok {
		it.AutomaticAllocation = b
	}
	if it.ResourceType == ResourceEthernet {
		it.readOVirtCard()
	}
	if it.env != nil && it.env.ovirt {
		it.readOVirtDevice()
	}
}

// sameField compares names of fields: InstanceId and ResourceSubtype are
// spellings of drafts and of prose.
func sameField(a, b string) bool { return strings.EqualFold(a, b) }

// Field is the trimmed text of a child element by its CIM name, such as
// "BusNumber"; empty when absent.
func (it Item) Field(name string) string {
	if n := it.FieldNode(name); n != nil {
		return trimmed(n)
	}
	return ""
}

// Fields are the non-empty texts of all child elements of that name.
func (it Item) Fields(name string) []string {
	var out []string
	for _, n := range it.fields {
		if sameField(n.Name().Local, name) {
			if s := trimmed(n); s != "" {
				out = append(out, s)
			}
		}
	}
	return out
}

// FieldNode is the child element by its CIM name; nil when absent. In a
// combined Item it belongs to the Item that supplies the value.
func (it Item) FieldNode(name string) *xmltree.Node {
	for _, n := range it.fields {
		if sameField(n.Name().Local, name) {
			return n
		}
	}
	return nil
}

// FieldNodes are all child elements by their CIM name, empty ones included.
func (it Item) FieldNodes(name string) []*xmltree.Node {
	var out []*xmltree.Node
	for _, n := range it.fields {
		if sameField(n.Name().Local, name) {
			out = append(out, n)
		}
	}
	return out
}

// FieldNames are the CIM names of the fields that the Item has, each once, in
// order.
func (it Item) FieldNames() []string {
	var out []string
	for _, n := range it.fields {
		if name := n.Name().Local; !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func (it Item) number(name string) *uint64 {
	v, err := strconv.ParseUint(it.Field(name), 10, 64)
	if err != nil {
		return nil
	}
	return &v
}

// Configs are VMware's settings of the device.
func (it Item) Configs() []Config { return configsOf(it.env, it.others) }

// In says whether the Item is selected under a configuration (an id, "" for
// none): Items without ovf:configuration always are.
func (it Item) In(configuration string) bool {
	if len(it.Configuration) == 0 {
		return true
	}
	for _, c := range it.Configuration {
		if c == configuration {
			return true
		}
	}
	return false
}

// Marker says that the Item is a range marker (clause 8.4).
func (it Item) Marker() bool { return it.Bound == "min" || it.Bound == "max" }

// EffectiveItems are the Items that a configuration ("" for the default one)
// selects, range markers left out, those with one InstanceID combined: of
// like-named child elements the later Item's count (clause 9.8). The order is
// that of first appearance. Items without InstanceID stay by themselves, as do
// those of one InstanceID that are not of one ResourceType, which the clause
// rules out: a disk is no other state of a network adapter.
func (h VirtualHardware) EffectiveItems(configuration string) []Item {
	if h.env == nil {
		return nil
	}
	return combine(h.Items(), h.env.configurationOr(configuration))
}

func combine(items []Item, configuration string) []Item {
	type device struct {
		id   string
		kind int
	}
	var out []Item
	at, first := map[device]int{}, map[string]int{}
	for _, it := range items {
		if it.Marker() || !it.In(configuration) {
			continue
		}
		d := device{it.InstanceID, it.ResourceType}
		i, ok := at[d]
		switch {
		case d.id == "":
			ok = false
		case !ok && d.kind == 0:
			i, ok = first[d.id]
		case !ok:
			if i, ok = at[device{d.id, 0}]; ok {
				delete(at, device{d.id, 0}) // now its kind is known
				at[d] = i
			}
		}
		if ok {
			out[i] = out[i].override(it)
			continue
		}
		at[d] = len(out)
		if _, ok := first[d.id]; !ok {
			first[d.id] = len(out)
		}
		out = append(out, it)
	}
	return out
}

// Combines says that two Items are one when a configuration selects both: of
// one InstanceID, and of one ResourceType where both have one.
func (it Item) Combines(other Item) bool {
	return it.InstanceID != "" && it.InstanceID == other.InstanceID &&
		(it.ResourceType == other.ResourceType || it.ResourceType == 0 || other.ResourceType == 0)
}

// override combines a former Item with a latter one.
func (it Item) override(later Item) Item {
	named := func(name string) bool {
		for _, n := range later.fields {
			if sameField(n.Name().Local, name) {
				return true
			}
		}
		return false
	}
	var fields []*xmltree.Node
	for _, n := range it.fields {
		if !named(n.Name().Local) {
			fields = append(fields, n)
		}
	}
	var others []*xmltree.Node
	for _, n := range it.others {
		if !slices.ContainsFunc(later.others, func(l *xmltree.Node) bool { return l.Name() == n.Name() }) {
			others = append(others, n)
		}
	}
	out := it
	out.fields, out.others = append(fields, later.fields...), append(others, later.others...)
	out.Configuration = nil
	out.Required = it.Required || later.Required
	out.read()
	return out
}

// Range is what range markers say about one InstanceID (clause 8.4).
type Range struct {
	InstanceID   string
	ResourceType int
	Min, Max     *Item
}

// Ranges are the range markers that a configuration selects, by InstanceID in
// order of appearance.
func (h VirtualHardware) Ranges(configuration string) []Range {
	if h.env == nil {
		return nil
	}
	configuration = h.env.configurationOr(configuration)
	var out []Range
	at := map[string]int{}
	for _, it := range h.Items() {
		if !it.Marker() || !it.In(configuration) {
			continue
		}
		i, ok := at[it.InstanceID]
		if !ok {
			i = len(out)
			at[it.InstanceID] = i
			out = append(out, Range{InstanceID: it.InstanceID, ResourceType: it.ResourceType})
		}
		if it.Bound == "min" {
			out[i].Min = &it
		} else {
			out[i].Max = &it
		}
	}
	return out
}

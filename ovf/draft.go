package ovf

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// Draft is what a new descriptor is made of. The views serve as values: their
// handles are not looked at.
type Draft struct {
	Version        Version // V1 or V2; empty means V1
	Lang           string  // xml:lang; empty leaves it out
	Files          []File
	Disks          []Disk // Shared ones need V2
	Networks       []Network
	Configurations []Configuration
	Content        DraftContent
}

// DraftContent is a VirtualSystem, or with Collection a VirtualSystemCollection.
type DraftContent struct {
	Collection bool
	ID         string // unique in the package
	Name       string
	Info       string // empty: a general one, since the schema demands Info
	Annotation string
	Products   []ProductSection
	Eulas      []Eula
	// Of a collection:
	Startup  []StartupItem
	Children []DraftContent
	// Of a virtual system:
	OS       *OperatingSystem
	Hardware []DraftHardware
}

// DraftHardware is a VirtualHardwareSection.
type DraftHardware struct {
	SystemType string // vssd:VirtualSystemType; empty leaves System out
	Transport  string
	// Items in order; Kind empty means Item. Connection, HostResource and the
	// other fields are written when not empty; AutomaticAllocation for adapters
	// only. Required is not looked at, lest its zero value let a disk be left out.
	Items []Item
	// Optional are the InstanceIDs of Items that a consumer may leave out:
	// ovf:required is false (8.4).
	Optional []string
	Firmware string // bios, efi: written as vmw:Config; empty leaves it out
	// SecureBoot asks for UEFI secure boot, as vmw:Config too.
	SecureBoot bool
}

// NewEnvelope makes a descriptor that is valid under the schema of its version.
func NewEnvelope(d Draft) (*Envelope, error) {
	w := draftWriter{ns: NS1, version: d.Version}
	switch d.Version {
	case "", V1:
	case V2:
		w.ns = NS2
	default:
		return nil, fmt.Errorf("new descriptor: version %q cannot be written, expected %q or %q", d.Version, V1, V2)
	}
	root, err := w.envelope(d)
	if err != nil {
		return nil, fmt.Errorf("new descriptor: %w", err)
	}
	declare := []xmltree.Declaration{{Prefix: "", Space: w.ns}, {Prefix: "ovf", Space: w.ns}, {Prefix: "rasd", Space: NSRASD}, {Prefix: "vssd", Space: NSVSSD}}
	if w.ns == NS2 {
		declare = append(declare, xmltree.Declaration{Prefix: "sasd", Space: NSSASD}, xmltree.Declaration{Prefix: "epasd", Space: NSEPASD})
	}
	if w.vmw {
		declare = append(declare, xmltree.Declaration{Prefix: "vmw", Space: NSVMW})
	}
	return Parse(xmltree.Render(root, declare))
}

type draftWriter struct {
	ns      string
	version Version
	vmw     bool
}

func (w *draftWriter) el(local string, children ...xmltree.Fragment) xmltree.Fragment {
	return xmltree.Fragment{Name: xmltree.Name{Space: w.ns, Local: local}, Children: children}
}

func (w *draftWriter) txt(local, text string) xmltree.Fragment {
	return xmltree.Fragment{Name: xmltree.Name{Space: w.ns, Local: local}, Text: text}
}

// set adds OVF attributes, given as name and value; empty values are left out.
func (w *draftWriter) set(f xmltree.Fragment, pairs ...string) xmltree.Fragment {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			f.Attrs = append(f.Attrs, xmltree.FragmentAttr{Name: xmltree.Name{Space: w.ns, Local: pairs[i]}, Hint: "ovf", Value: pairs[i+1]})
		}
	}
	return f
}

func number(n, absent int64) string {
	if n <= absent {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func orElse(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

func (w *draftWriter) envelope(d Draft) (xmltree.Fragment, error) {
	refs := w.el("References")
	for _, f := range d.Files {
		refs.Children = append(refs.Children, w.set(w.el("File"), "id", f.ID, "href", f.Href, "size", number(f.Size, -1),
			"compression", f.Compression, "chunkSize", number(f.ChunkSize, 0)))
	}
	root := w.el("Envelope", refs)
	if d.Lang != "" {
		root.Attrs = append(root.Attrs, xmltree.FragmentAttr{Name: xmltree.Name{Space: NSXML, Local: "lang"}, Value: d.Lang})
	}
	disks, shared := w.el("DiskSection", w.txt("Info", "Virtual disks")), w.el("SharedDiskSection", w.txt("Info", "Disks that several machines use"))
	for _, k := range d.Disks {
		name, to := "Disk", &disks
		readOnly := ""
		if k.Shared {
			if w.ns != NS2 {
				return root, fmt.Errorf("disk %s is shared: that needs version 2", k.ID)
			}
			name, to = "SharedDisk", &shared
			if k.ReadOnly {
				readOnly = "true"
			}
		}
		populated := k.PopulatedSize
		if k.FileRef == "" {
			populated = -1
		}
		to.Children = append(to.Children, w.set(w.el(name), "diskId", k.ID, "fileRef", k.FileRef, "capacity", k.Capacity,
			"capacityAllocationUnits", k.AllocationUnits, "populatedSize", number(populated, -1), "format", k.Format,
			"parentRef", k.ParentRef, "readOnly", readOnly))
	}
	for _, s := range []xmltree.Fragment{disks, shared} {
		if len(s.Children) > 1 {
			root.Children = append(root.Children, s)
		}
	}
	if len(d.Networks) > 0 {
		nets := w.el("NetworkSection", w.txt("Info", "Logical networks"))
		for _, n := range d.Networks {
			net := w.set(w.el("Network"), "name", n.Name)
			if n.Description != "" {
				net.Children = append(net.Children, w.txt("Description", n.Description))
			}
			nets.Children = append(nets.Children, net)
		}
		root.Children = append(root.Children, nets)
	}
	if len(d.Configurations) > 0 {
		sec := w.el("DeploymentOptionSection", w.txt("Info", "Configurations"))
		for _, c := range d.Configurations {
			def := ""
			if c.Default {
				def = "true"
			}
			sec.Children = append(sec.Children, w.set(w.el("Configuration", w.txt("Label", orElse(c.Label, c.ID)),
				w.txt("Description", orElse(c.Description, c.ID))), "id", c.ID, "default", def))
		}
		root.Children = append(root.Children, sec)
	}
	content, err := w.content(d.Content, 1)
	if err != nil {
		return root, err
	}
	root.Children = append(root.Children, content)
	return root, nil
}

func (w *draftWriter) content(c DraftContent, depth int) (xmltree.Fragment, error) {
	name, info := "VirtualSystem", "A virtual machine"
	if c.Collection {
		name, info = "VirtualSystemCollection", "A collection of virtual machines"
	}
	if c.ID == "" {
		return xmltree.Fragment{}, fmt.Errorf("%s %q has no id", name, c.Name)
	}
	if depth > xmltree.DefaultLimits.Depth/2 {
		return xmltree.Fragment{}, fmt.Errorf("%s %q: collections are nested too deep", name, c.ID)
	}
	f := w.set(w.el(name, w.txt("Info", orElse(c.Info, info))), "id", c.ID)
	add := func(x ...xmltree.Fragment) { f.Children = append(f.Children, x...) }
	if c.Name != "" {
		add(w.txt("Name", c.Name))
	}
	if c.Annotation != "" {
		add(w.el("AnnotationSection", w.txt("Info", "An annotation"), w.txt("Annotation", c.Annotation)))
	}
	for _, p := range c.Products {
		add(w.product(p))
	}
	for _, e := range c.Eulas {
		add(w.el("EulaSection", w.txt("Info", orElse(e.Info, "Licence")), w.txt("License", e.License)))
	}
	if c.Collection {
		if len(c.Startup) > 0 {
			add(w.startup(c.Startup))
		}
		for _, k := range c.Children {
			x, err := w.content(k, depth+1)
			if err != nil {
				return f, err
			}
			add(x)
		}
		return f, nil
	}
	if c.OS != nil {
		add(w.os(*c.OS))
	}
	for _, h := range c.Hardware {
		add(w.hardware(h, c.ID))
	}
	return f, nil
}

func (w *draftWriter) os(o OperatingSystem) xmltree.Fragment {
	x := w.set(w.el("OperatingSystemSection", w.txt("Info", "The guest operating system")), "id", strconv.Itoa(max(o.ID, 0)), "version", o.Version)
	if o.Description != "" {
		x.Children = append(x.Children, w.txt("Description", o.Description))
	}
	if o.VMwareType != "" {
		w.vmw = true
		x.Attrs = append(x.Attrs, xmltree.FragmentAttr{Name: xmltree.Name{Space: NSVMW, Local: "osType"}, Hint: "vmw", Value: o.VMwareType})
	}
	return x
}

func (w *draftWriter) startup(items []StartupItem) xmltree.Fragment {
	s := w.el("StartupSection", w.txt("Info", "Order of start"))
	for _, it := range items {
		wait := ""
		if it.WaitingForGuest {
			wait = "true"
		}
		s.Children = append(s.Children, w.set(w.el("Item"), "id", it.ID, "order", strconv.Itoa(it.Order), "startDelay", number(int64(it.StartDelay), 0),
			"waitingForGuest", wait, "stopDelay", number(int64(it.StopDelay), 0), "startAction", it.StartAction, "stopAction", it.StopAction))
	}
	return s
}

func (w *draftWriter) product(p ProductSection) xmltree.Fragment {
	x := w.set(w.el("ProductSection", w.txt("Info", orElse(p.Info, "Product and properties"))), "class", p.Class, "instance", p.Instance)
	for _, t := range [][2]string{{"Product", p.Product}, {"Vendor", p.Vendor}, {"Version", p.Version}, {"FullVersion", p.FullVersion},
		{"ProductUrl", p.ProductURL}, {"VendorUrl", p.VendorURL}, {"AppUrl", p.ApplicationURL}} {
		if t[1] != "" {
			x.Children = append(x.Children, w.txt(t[0], t[1]))
		}
	}
	category := ""
	for _, q := range p.Properties {
		if q.Category != category && q.Category != "" {
			x.Children = append(x.Children, w.txt("Category", q.Category))
		}
		category = q.Category
		x.Children = append(x.Children, w.property(q))
	}
	return x
}

func (w *draftWriter) property(q Property) xmltree.Fragment {
	flag := map[bool]string{true: "true"}
	y := w.set(w.el("Property"), "key", q.Key, "type", orElse(q.Type, "string"), "qualifiers", q.Qualifiers,
		"userConfigurable", flag[q.UserConfigurable], "value", q.Value, "password", flag[q.Password])
	if q.HasValue && q.Value == "" {
		y.Attrs = append(y.Attrs, xmltree.FragmentAttr{Name: xmltree.Name{Space: w.ns, Local: "value"}, Hint: "ovf"})
	}
	for _, t := range [][2]string{{"Label", q.Label}, {"Description", q.Description}} {
		if t[1] != "" {
			y.Children = append(y.Children, w.txt(t[0], t[1]))
		}
	}
	for _, v := range q.Values {
		z := w.el("Value")
		z.Attrs = []xmltree.FragmentAttr{{Name: xmltree.Name{Space: w.ns, Local: "value"}, Hint: "ovf", Value: v.Value}}
		y.Children = append(y.Children, w.set(z, "configuration", v.Configuration))
	}
	return y
}

func (w *draftWriter) hardware(h DraftHardware, id string) xmltree.Fragment {
	x := w.set(w.el("VirtualHardwareSection", w.txt("Info", "Virtual hardware")), "transport", h.Transport)
	if h.SystemType != "" {
		v := func(local, text string) xmltree.Fragment {
			return xmltree.Fragment{Name: xmltree.Name{Space: NSVSSD, Local: local}, Hint: "vssd", Text: text}
		}
		x.Children = append(x.Children, w.el("System", v("ElementName", "Virtual Hardware Family"), v("InstanceID", "0"),
			v("VirtualSystemIdentifier", id), v("VirtualSystemType", h.SystemType)))
	}
	items := slices.Clone(h.Items)
	// OVF 2's schema has Items first, then adapters, then storage.
	slices.SortStableFunc(items, func(a, b Item) int { return cmp.Compare(itemOrder[a.Kind], itemOrder[b.Kind]) })
	for _, it := range items {
		f := w.item(it)
		if slices.Contains(h.Optional, it.InstanceID) {
			f = w.set(f, "required", "false")
		}
		x.Children = append(x.Children, f)
	}
	config := func(key, value string) {
		w.vmw = true
		vmw := func(local string) xmltree.Name { return xmltree.Name{Space: NSVMW, Local: local} }
		x.Children = append(x.Children, w.set(xmltree.Fragment{Name: vmw("Config"), Hint: "vmw", Attrs: []xmltree.FragmentAttr{
			{Name: vmw("key"), Hint: "vmw", Value: key}, {Name: vmw("value"), Hint: "vmw", Value: value}}}, "required", "false"))
	}
	if h.Firmware != "" {
		config("firmware", h.Firmware)
	}
	if h.SecureBoot {
		config("bootOptions.efiSecureBootEnabled", "true")
	}
	return x
}

var itemOrder = map[string]int{"EthernetPortItem": 1, "StorageItem": 2}

// NewItem is the fragment of an Item, for a hardware section of e.
func (e *Envelope) NewItem(it Item) xmltree.Fragment {
	w := draftWriter{ns: e.ns, version: e.version}
	return w.item(it)
}

// item writes the fields in the order of the schemas, which is that of the alphabet.
func (w *draftWriter) item(it Item) xmltree.Fragment {
	kind, space, hint := orElse(it.Kind, "Item"), NSRASD, "rasd"
	if w.ns != NS2 {
		kind = "Item"
	}
	switch kind {
	case "StorageItem":
		space, hint = NSSASD, "sasd"
	case "EthernetPortItem":
		space, hint = NSEPASD, "epasd"
	}
	x := w.el(kind)
	config := ""
	for i, c := range it.Configuration {
		if i > 0 {
			config += " "
		}
		config += c
	}
	x = w.set(x, "configuration", config, "bound", it.Bound)
	add := func(local string, values ...string) {
		for _, v := range values {
			if v != "" {
				x.Children = append(x.Children, xmltree.Fragment{Name: xmltree.Name{Space: space, Local: local}, Hint: hint, Text: v})
			}
		}
	}
	num := func(p *uint64) string {
		if p == nil {
			return ""
		}
		return strconv.FormatUint(*p, 10)
	}
	add("Address", it.Address)
	add("AddressOnParent", it.AddressOnParent)
	add("AllocationUnits", it.AllocationUnits)
	if it.ResourceType == ResourceEthernet || it.Kind == "EthernetPortItem" {
		add("AutomaticAllocation", strconv.FormatBool(it.AutomaticAllocation))
	}
	add("Connection", it.Connection...)
	add("Description", it.Description)
	add("ElementName", orElse(it.ElementName, "Item "+it.InstanceID))
	add("HostResource", it.HostResource...)
	add("InstanceID", it.InstanceID)
	add("Limit", num(it.Limit))
	add("OtherResourceType", it.OtherResourceType)
	add("Parent", it.Parent)
	add("Reservation", num(it.Reservation))
	add("ResourceSubType", it.ResourceSubType)
	add("ResourceType", number(int64(it.ResourceType), 0))
	add("VirtualQuantity", num(it.VirtualQuantity))
	add("Weight", num(it.Weight))
	return x
}

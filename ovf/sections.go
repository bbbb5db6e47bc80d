package ovf

import (
	"strconv"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// OperatingSystem is an OperatingSystemSection (DSP0243 9.9).
type OperatingSystem struct {
	Element
	ID          int // CIM_OperatingSystem.OsType, -1 when no number
	Version     string
	Description string
	VMwareType  string // vmw:osType, such as ubuntu64Guest
	VBoxType    string // vbox:OSType, such as Ubuntu_64
}

// OperatingSystem is the guest operating system; not ok without the section.
func (c Content) OperatingSystem() (os OperatingSystem, ok bool) {
	n := c.section("OperatingSystemSection")
	if n == nil {
		return OperatingSystem{}, false
	}
	e := c.env
	os = OperatingSystem{Element: Element{e, n}, ID: -1, Version: e.attrOr(n, "version", ""), Description: e.text(n, "Description")}
	if v, err := strconv.Atoi(e.attrOr(n, "id", "")); err == nil {
		os.ID = v
	}
	os.VMwareType, _ = n.Attr(NSVMW, "osType")
	for k := range n.Children() {
		if name := k.Name(); name.Local == "OSType" && (name.Space == NSVBox || name.Space == xmltree.UnboundPrefix+"vbox") {
			os.VBoxType = trimmed(k)
		}
	}
	return os, true
}

// Eula is an EulaSection (DSP0243 9.6).
type Eula struct {
	Element
	Info    string
	License string
}

// Eulas of the content itself.
func (c Content) Eulas() []Eula {
	var out []Eula
	for _, n := range c.sections("EulaSection") {
		out = append(out, Eula{Element{c.env, n}, c.env.text(n, "Info"), c.env.text(n, "License")})
	}
	return out
}

// StartupItem is an entry of StartupSection (DSP0243 9.7). Delays in seconds.
type StartupItem struct {
	Element
	ID              string // ovf:id of a child of the collection
	Order           int
	StartDelay      int
	StopDelay       int
	StartAction     string // powerOn (the default), none
	StopAction      string // powerOff (the default), guestShutdown, none
	WaitingForGuest bool
}

// Startup are the entries of the collection's StartupSection, in order;
// children that it does not name start with order 0. XenCenter puts the section
// into the Envelope: there it is that of the outermost content, which may be the
// one virtual system that it names.
func (c Content) Startup() []StartupItem {
	var out []StartupItem
	e := c.env
	sections := c.sections("StartupSection")
	if root := e.doc.Root(); c.node != nil && c.node.Parent() == root {
		sections = append(sections, e.children(root, "StartupSection")...)
	}
	for _, sec := range sections {
		for _, n := range e.children(sec, "Item") {
			it := StartupItem{Element: Element{e, n}, ID: e.attrOr(n, "id", ""),
				StartAction: e.attrOr(n, "startAction", "powerOn"), StopAction: e.attrOr(n, "stopAction", "powerOff"),
				WaitingForGuest: e.boolAttr(n, "waitingForGuest", false)}
			it.Order, _ = strconv.Atoi(e.attrOr(n, "order", "0"))
			it.StartDelay, _ = strconv.Atoi(e.attrOr(n, "startDelay", "0"))
			it.StopDelay, _ = strconv.Atoi(e.attrOr(n, "stopDelay", "0"))
			out = append(out, it)
		}
	}
	return out
}

// ResourceAllocation are the Items of ResourceAllocationSection (9.3) that a
// configuration ("" for the default) selects, combined as for hardware.
func (c Content) ResourceAllocation(configuration string) []Item {
	var out []Item
	for _, n := range c.sections("ResourceAllocationSection") {
		out = append(out, combine(c.env.items(n), c.env.configurationOr(configuration))...)
	}
	return out
}

// AllocationItems are the Items of ResourceAllocationSection as they stand, of
// all configurations and with range markers.
func (c Content) AllocationItems() []Item {
	var out []Item
	for _, n := range c.sections("ResourceAllocationSection") {
		out = append(out, c.env.items(n)...)
	}
	return out
}

// Install is an InstallSection (9.10).
type Install struct {
	Element
	InitialBootStopDelay int // in seconds; 0: wait for the machine to power off
}

// Install says that the machine is to be booted once; not ok without the section.
func (c Content) Install() (i Install, ok bool) {
	n := c.section("InstallSection")
	if n == nil {
		return Install{}, false
	}
	i = Install{Element: Element{c.env, n}}
	i.InitialBootStopDelay, _ = strconv.Atoi(c.env.attrOr(n, "initialBootStopDelay", "0"))
	return i, true
}

// InstanceCount is how many instances a ScaleOutSection (OVF 2) asks for.
type InstanceCount struct {
	Element
	Default, Minimum, Maximum int // -1 when absent
	Configuration             string
}

// ScaleOutSection is a ScaleOutSection of OVF 2: how often a child of the
// collection is to be made.
type ScaleOutSection struct {
	Element
	ID     string // ovf:id of the child
	Counts []InstanceCount
}

// ScaleOutSections are those of a collection, in order.
func (c Content) ScaleOutSections() []ScaleOutSection {
	var out []ScaleOutSection
	for _, sec := range c.sections("ScaleOutSection") {
		s := ScaleOutSection{Element: Element{c.env, sec}, ID: c.env.attrOr(sec, "id", "")}
		for _, k := range c.env.children(sec, "InstanceCount") {
			s.Counts = append(s.Counts, c.env.instanceCount(k))
		}
		out = append(out, s)
	}
	return out
}

func (e *Envelope) instanceCount(k *xmltree.Node) InstanceCount {
	return InstanceCount{Element: Element{e, k}, Default: e.intAttr(k, "default"), Minimum: e.intAttr(k, "minimum"),
		Maximum: e.intAttr(k, "maximum"), Configuration: e.attrOr(k, "configuration", "")}
}

// ScaleOut is the count for the child with that id under a configuration (""
// for the default); it is looked for in the collection c. An InstanceCount
// that names the configuration wins over one that names none.
func (c Content) ScaleOut(child, configuration string) (n InstanceCount, ok bool) {
	if c.node == nil {
		return InstanceCount{}, false
	}
	configuration = c.env.configurationOr(configuration)
	for _, sec := range c.ScaleOutSections() {
		if sec.ID != child {
			continue
		}
		for _, k := range sec.Counts {
			if k.Configuration != "" && k.Configuration != configuration || k.Configuration == "" && ok {
				continue
			}
			n, ok = k, true
			if k.Configuration != "" {
				return n, true
			}
		}
	}
	return n, ok
}

func (e *Envelope) intAttr(n *xmltree.Node, local string) int {
	v, err := strconv.Atoi(e.attrOr(n, local, ""))
	if err != nil || v < 0 {
		return -1
	}
	return v
}

// Section is a section that no typed view covers, or any: what it is called
// and where it stands.
type Section struct {
	Element
	Namespace string
	Kind      string // the name of the element, such as DiskSection
	Info      string
	Required  bool // ovf:required, true when absent (7.3)
}

// Sections are all sections directly in the content.
func (c Content) Sections() []Section {
	if c.node == nil {
		return nil
	}
	return c.env.sectionsOf(c.node)
}

// Sections are all sections at the outermost level of the envelope.
func (e *Envelope) Sections() []Section { return e.sectionsOf(e.doc.Root()) }

func (e *Envelope) sectionsOf(n *xmltree.Node) []Section {
	var out []Section
	for k := range n.Children() {
		kind := e.kind(k)
		switch kind {
		case "References", "VirtualSystem", "VirtualSystemCollection", "Info", "Name", "Strings":
			continue
		}
		s := Section{Element: Element{e, k}, Namespace: k.Name().Space, Kind: kind,
			Info: e.text(k, "Info"), Required: e.boolAttr(k, "required", true)}
		if kind == "" {
			s.Kind = k.Name().Local
		}
		out = append(out, s)
	}
	return out
}

package ovf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// Rules of ConvertTo: what an older version has no place for.
const (
	RuleVersionSection = "OVF-VER-001" // a section of OVF 2 alone
	RuleVersionField   = "OVF-VER-002" // a field of StorageItem or EthernetPortItem alone
	RuleVersionShared  = "OVF-VER-003" // a shared disk becomes one disk of several machines
	RuleVersionProfile = "OVF-VER-004" // a network port profile
)

// onlyIn2 are the sections that DSP0243 2.0 added.
var onlyIn2 = map[string]bool{"ScaleOutSection": true, "PlacementGroupSection": true, "PlacementSection": true,
	"BootDeviceSection": true, "EnvironmentFilesSection": true}

// ConvertTo is the descriptor in another version, V1 or V2, and a finding for
// all that the version cannot carry; e stays as it is. Everything else stays
// byte for byte, the namespace apart. Encrypted parts, drafts and oVirt's
// dialect are refused.
func (e *Envelope) ConvertTo(v Version) (*Envelope, []Finding, error) {
	ns := map[Version]string{V1: NS1, V2: NS2}[v]
	if ns == "" || e.version != V1 && e.version != V2 {
		return nil, nil, &DescriptorError{Object: "Envelope", Offset: -1, Message: fmt.Sprintf("a descriptor of version %s cannot be written as version %s", e.version, v)}
	}
	out := e.Clone()
	if v == e.version {
		return out, nil, nil
	}
	var findings []Finding
	if v == V1 {
		var err error
		if findings, err = out.leaveVersion2(); err != nil {
			return nil, nil, err
		}
	}
	out.doc.RedeclareNamespace(map[string]string{NS1: ns, NS2: ns})
	converted, err := Parse(out.Bytes())
	return converted, findings, err
}

// leaveVersion2 turns what OVF 2 added into what OVF 1 knows.
func (e *Envelope) leaveVersion2() ([]Finding, error) {
	var findings []Finding
	find := func(id, object, format string, args ...any) {
		findings = append(findings, Finding{ID: id, Severity: Warning, Object: object, Message: fmt.Sprintf(format, args...), Clause: "DSP0243 2.0"})
	}
	var drop []*xmltree.Node
	var items []Item
	for n := range e.doc.Root().Descendants() {
		switch k := e.kind(n); {
		case k == "EncryptionSection":
			return nil, &DescriptorError{Object: k, Offset: n.Offset(), Message: "encrypted parts cannot be written in version 1; decrypt the package first"}
		case onlyIn2[k]:
			find(RuleVersionSection, k, "version 1 has no %s; it is left out", k)
			drop = append(drop, n)
		case k == "NetworkPortProfile" || k == "NetworkPortProfileURI":
			name, _ := e.attr(n.Parent(), "name")
			find(RuleVersionProfile, "network "+name, "version 1 has no network port profiles; it is left out")
			drop = append(drop, n)
		case k == "StorageItem" || k == "EthernetPortItem":
			items = append(items, e.item(n, k))
		}
	}
	for _, n := range drop {
		n.Remove()
	}
	for _, it := range items {
		f, lost := it.asVersion1()
		for _, name := range lost {
			find(RuleVersionField, "item "+it.InstanceID, "version 1 has no field %s (%q); it is left out", name, it.Field(name))
		}
		if _, err := it.node.Parent().Insert(f, it.node, false); err != nil {
			return nil, err
		}
		it.node.Remove()
	}
	return findings, e.unshare(find)
}

// unshare moves shared disks into DiskSection.
func (e *Envelope) unshare(find func(id, object, format string, args ...any)) error {
	for _, sec := range e.children(e.doc.Root(), "SharedDiskSection") {
		disks := e.child(e.doc.Root(), "DiskSection")
		if disks == nil {
			w := draftWriter{ns: e.ns}
			var err error
			if disks, err = e.doc.Root().Insert(w.el("DiskSection", w.txt("Info", "Virtual disks")), sec, false); err != nil {
				return err
			}
		}
		for _, n := range e.children(sec, "SharedDisk") {
			f := fragmentOf(n)
			f.Name.Local = "Disk"
			f.Attrs = slices.DeleteFunc(f.Attrs, func(a xmltree.FragmentAttr) bool { return a.Name.Local == "readOnly" })
			id, _ := e.attr(n, "diskId")
			find(RuleVersionShared, "disk "+id, "version 1 has no shared disks; the disk stands in DiskSection and several devices name it")
			if _, err := disks.Append(f); err != nil {
				return err
			}
		}
		sec.Remove()
	}
	return nil
}

// version1Fields are those of CIM_ResourceAllocationSettingData in the order
// of the schema.
var version1Fields = []string{"Address", "AddressOnParent", "AllocationUnits", "AutomaticAllocation", "AutomaticDeallocation", "Caption",
	"Connection", "ConsumerVisibility", "Description", "ElementName", "HostResource", "InstanceID", "Limit", "MappingBehavior",
	"OtherResourceType", "Parent", "PoolID", "Reservation", "ResourceSubType", "ResourceType", "VirtualQuantity", "VirtualQuantityUnits", "Weight"}

// asVersion1 is a StorageItem or EthernetPortItem as an Item, and the names of
// the fields that have no place there.
func (it Item) asVersion1() (f xmltree.Fragment, lost []string) {
	f = fragmentOf(it.node)
	f.Name.Local = "Item"
	var fields, rest []xmltree.Fragment
	for _, c := range f.Children {
		if !IsItemField(c.Name.Space) {
			rest = append(rest, c)
			continue
		}
		if !slices.Contains(version1Fields, c.Name.Local) {
			lost = append(lost, c.Name.Local)
			continue
		}
		// The logical disk of storage allocation is the hard disk of old.
		if c.Name.Local == "ResourceType" && strings.TrimSpace(c.Text) == "31" {
			c.Text = "17"
		}
		c.Name.Space, c.Hint = NSRASD, "rasd"
		fields = append(fields, c)
	}
	slices.SortStableFunc(fields, func(a, b xmltree.Fragment) int { return cmp.Compare(a.Name.Local, b.Name.Local) })
	f.Children = append(fields, rest...)
	return f, lost
}

// fragmentOf copies an element; comments and text between elements are lost.
func fragmentOf(n *xmltree.Node) xmltree.Fragment {
	prefix, _, found := strings.Cut(n.QName(), ":")
	if !found {
		prefix = ""
	}
	f := xmltree.Fragment{Name: n.Name(), Hint: prefix}
	for a := range n.Attrs() {
		f.Attrs = append(f.Attrs, xmltree.FragmentAttr{Name: a.Name, Value: a.Value})
	}
	for c := range n.Children() {
		f.Children = append(f.Children, fragmentOf(c))
	}
	if len(f.Children) == 0 {
		f.Text = n.Text()
	}
	return f
}

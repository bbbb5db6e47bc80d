package validate

import (
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// places: where the sections of the standard may stand (Table 5, and OVF 2).
// e envelope, c collection, s virtual system.
var places = map[string]string{
	"DiskSection": "e", "SharedDiskSection": "e", "NetworkSection": "e", "DeploymentOptionSection": "e", "PlacementGroupSection": "e",
	"EncryptionSection": "e", "ResourceAllocationSection": "c", "StartupSection": "c", "ScaleOutSection": "c",
	"AnnotationSection": "cs", "ProductSection": "cs", "EulaSection": "cs", "PlacementSection": "cs", "EnvironmentFilesSection": "s",
	"VirtualHardwareSection": "s", "OperatingSystemSection": "s", "InstallSection": "s", "BootDeviceSection": "s",
	// VMware wrote it in the namespace of the standard before it had its own.
	"IpAssignmentSection": "ecs",
}

// once: sections that stand at most once in their place.
var once = map[string]bool{"DiskSection": true, "SharedDiskSection": true, "NetworkSection": true, "DeploymentOptionSection": true,
	"ResourceAllocationSection": true, "AnnotationSection": true, "StartupSection": true, "OperatingSystemSection": true, "InstallSection": true}

func structure(c *checker) {
	root := c.env.Tree().Root()
	if root.Name().Space == "" {
		c.add("OVF-XML-002", "Envelope", "Envelope is in no namespace; %s is assumed", c.env.Namespace())
	}
	if v := c.env.Version(); v == ovf.V09 || v == ovf.VOVirt {
		c.add("OVF-XML-008", "Envelope", "the descriptor is of version %s, namespace %s", c.env.Version(), c.env.Namespace())
	}
	if v, ok := rawAttr(c, c.env.Element(), "version"); c.env.Version() == ovf.V09 {
		switch {
		case !ok:
			c.add("OVF-XML-013", "Envelope", "the Envelope has no ovf:version")
		case v != "" && !strings.HasPrefix(v, "0.9") && !strings.HasPrefix(v, "1.0"):
			c.add("OVF-XML-011", "Envelope", "the version is %q", v)
		}
	}
	if says, is := c.env.Tree().Misdeclared(); says != "" {
		c.add("OVF-XML-020", "descriptor", "it says that it is in %s, and is in %s", says, is)
	}
	unbound := map[string]bool{}
	for n := range root.Descendants() {
		see := func(space string) {
			if p, ok := strings.CutPrefix(space, xmltree.UnboundPrefix); ok && !unbound[p] {
				unbound[p] = true
				id := "OVF-XML-017"
				if n.Name().Local == "Strings" && n.Parent() == root {
					id = "OVF-XML-001" // texts of other languages, without which all is there
				}
				c.add(id, p, "the prefix %q of element %s is not declared", p, n.QName())
			}
		}
		see(n.Name().Space)
		for a := range n.Attrs() {
			see(a.Name.Space)
		}
	}
	c.sections("Envelope", "e", c.env.Sections())
	contents := 0
	for x := range c.env.Contents() {
		if x.Node().Parent() == root {
			contents++
		}
	}
	if contents != 1 {
		c.add("OVF-XML-005", "Envelope", "there are %d content elements, expected one VirtualSystem or VirtualSystemCollection", contents)
	}
}

// sections checks those of one place.
func (c *checker) sections(object, place string, all []ovf.Section) {
	seen := map[string]int{}
	for _, s := range all {
		ours := s.Namespace == c.env.Namespace() || s.Namespace == ""
		allowed, known := places[s.Kind]
		if c.draft && s.Kind == "EulaSection" {
			allowed += "e" // tools of 0.9 put the licence there
		}
		switch {
		case ours && c.xen && place == "e" && s.Kind == "StartupSection":
			c.add("OVF-XML-021", object, "StartupSection stands in the Envelope, where XenCenter puts it")
		case ours && known && !strings.Contains(allowed, place):
			c.add("OVF-XML-003", object, "%s may not stand here", s.Kind)
		case ours && known:
			if seen[s.Kind]++; seen[s.Kind] == 2 && once[s.Kind] {
				c.add("OVF-XML-006", object, "%s stands more than once", s.Kind)
			}
		case s.Required && ours && strings.HasSuffix(s.Kind, "Section") && !c.env.OVirt():
			c.add("OVF-XML-010", object, "%s is required and no section of the standard", s.Kind)
		case s.Required && (strings.HasSuffix(s.Kind, "Section") || !ours && c.demands(s)):
			c.unknownSection(object, s)
		}
		if ours && (s.Kind == "DiskSection" || s.Kind == "NetworkSection") {
			for n := range s.Node().Children() {
				name := n.Name()
				if v, _ := n.Attr(c.env.Namespace(), "required"); name.Space == s.Namespace && strings.HasSuffix(name.Local, "Section") && v != "false" {
					c.add("OVF-XML-003", object, "%s stands inside of %s", name.Local, s.Kind)
				}
			}
		}
		if ours && known {
			c.required(object, s)
		}
		if s.Kind == "EncryptionSection" && ours {
			c.add("OVF-ENC-001", object, "the package has encrypted parts, which cannot be read without their key")
		}
		if known && ours && s.Info == "" && !hasChild(s.Node(), "Info") {
			c.add(c.noInfo(), object, "%s has no Info", s.Kind)
		}
	}
}

// noInfo is the rule of a missing Info: oVirt and virt-v2v never write one.
func (c *checker) noInfo() string {
	if c.env.OVirt() {
		return "OVF-XML-012"
	}
	return "OVF-XML-004"
}

func hasChild(n *xmltree.Node, local string) bool {
	for k := range n.Children() {
		if k.Name().Local == local {
			return true
		}
	}
	return false
}

func contents(c *checker) {
	ids, siblings := map[string]bool{}, map[*xmltree.Node]map[string]bool{}
	for x := range c.env.Contents() {
		name, place := "VirtualSystem", "s"
		if x.Collection {
			name, place = "VirtualSystemCollection", "c"
			if len(x.Children()) == 0 {
				c.add("OVF-ID-004", x.ID, "the collection holds nothing")
			}
		}
		object := strings.TrimSpace(name + " " + x.ID)
		switch {
		case x.ID == "":
			c.add("OVF-ID-001", object, "%s %q has no ovf:id", name, x.Name)
		case siblings[x.Node().Parent()][x.ID]:
			c.add("OVF-ID-002", object, "the id %q stands more than once", x.ID)
		case ids[x.ID]:
			c.add("OVF-ID-005", object, "the id %q stands elsewhere in the package too", x.ID)
		}
		ids[x.ID] = true
		if siblings[x.Node().Parent()] == nil {
			siblings[x.Node().Parent()] = map[string]bool{}
		}
		siblings[x.Node().Parent()][x.ID] = true
		if x.Info == "" && !hasChild(x.Node(), "Info") {
			c.add(c.noInfo(), object, "%s has no Info", name)
		}
		c.sections(object, place, x.Sections())
	}
}

func startup(c *checker) {
	for x := range c.env.Contents() {
		if !x.Collection {
			continue
		}
		children := map[string]bool{}
		for _, k := range x.Children() {
			children[k.ID] = true
		}
		for _, it := range x.Startup() {
			if !children[it.ID] {
				c.add("OVF-ID-003", "VirtualSystemCollection "+x.ID, "StartupSection names %q, which is no child of the collection", it.ID)
			}
		}
		for _, s := range x.ScaleOutSections() {
			if s.ID != "" && !children[s.ID] {
				c.add("OVF-ID-003", "VirtualSystemCollection "+x.ID, "ScaleOutSection names %q, which is no child of the collection", s.ID)
			}
		}
	}
}

func configurations(c *checker) {
	ids, defaults := map[string]bool{}, 0
	for _, k := range c.env.Configurations() {
		if k.ID == "" || ids[k.ID] {
			c.add("OVF-CFG-002", "configuration "+k.ID, "the id %q is empty or stands more than once", k.ID)
		}
		ids[k.ID] = true
		if k.Default {
			defaults++
		}
	}
	if defaults > 1 {
		c.add("OVF-CFG-003", "DeploymentOptionSection", "%d configurations are marked as default", defaults)
	}
}

// knownConfigurations tells the ids; a descriptor without any lets no id pass.
func (c *checker) knownConfigurations() map[string]bool {
	ids := map[string]bool{}
	for _, k := range c.env.Configurations() {
		ids[k.ID] = true
	}
	return ids
}

func networks(c *checker) {
	names := map[string]bool{}
	for _, n := range c.env.Networks() {
		switch {
		case n.Name == "":
			c.add("OVF-NET-001", "network", "line %d: a Network has no name", n.Line())
		case names[n.Name]:
			c.add("OVF-NET-002", "network "+n.Name, "the name stands more than once")
		}
		names[n.Name] = true
	}
}

func hasAnyChild(n *xmltree.Node) bool {
	for range n.Children() {
		return true
	}
	return false
}

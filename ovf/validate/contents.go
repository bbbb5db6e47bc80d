package validate

import (
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// collections checks what sections say of the members of a collection, and what
// contents say of files and groups of the package.
func collections(c *checker) {
	groups := map[string]bool{}
	for _, g := range c.env.PlacementGroups() {
		object := "placement group " + g.ID
		if g.ID == "" || groups[g.ID] {
			c.add("OVF-ID-006", object, "the id %q is empty or stands more than once", g.ID)
		}
		groups[g.ID] = true
	}
	known := c.knownConfigurations()
	for x := range c.env.Contents() {
		object := "VirtualSystem " + x.ID
		if x.Collection {
			object = "VirtualSystemCollection " + x.ID
		}
		for _, g := range x.Placement() {
			if !groups[g] {
				c.add("OVF-ID-007", object, "PlacementSection names the group %q, which is not in the package", g)
			}
		}
		for _, it := range x.AllocationItems() {
			for _, k := range it.Configuration {
				if !known[k] {
					c.add("OVF-CFG-001", object+", ResourceAllocationSection item "+it.InstanceID, "configuration %q is not in DeploymentOptionSection", k)
				}
			}
		}
		for _, f := range x.EnvironmentFiles() {
			if _, ok := f.File(); !ok && f.FileRef != "" {
				c.add("OVF-REF-013", object, "EnvironmentFilesSection: fileRef %q names no File of References", f.FileRef)
			}
		}
		c.icons(object, x)
		c.scaleOut(object, x, known)
	}
	for n := range c.env.Tree().Root().Children() {
		if n.Name().Local != "Strings" {
			continue
		}
		if ref, ok := n.Attr(c.env.Namespace(), "fileRef"); ok {
			c.fileRef("OVF-REF-014", "Strings", ref)
		}
	}
}

func (c *checker) fileRef(rule, object, ref string) {
	if _, ok := c.env.File(strings.TrimSpace(ref)); !ok && !placeholder(ref) {
		c.add(rule, object, "fileRef %q names no File of References", ref)
	}
}

func (c *checker) icons(object string, x ovf.Content) {
	for _, p := range x.ProductSections() {
		for n := range p.Node().Children() {
			if n.Name() == (xmltree.Name{Space: c.env.Namespace(), Local: "Icon"}) {
				if ref, ok := n.Attr(c.env.Namespace(), "fileRef"); ok {
					c.fileRef("OVF-REF-013", object+", Icon", ref)
				}
			}
		}
	}
}

func (c *checker) scaleOut(object string, x ovf.Content, known map[string]bool) {
	for _, s := range x.ScaleOutSections() {
		for _, n := range s.Counts {
			if n.Configuration != "" && !known[n.Configuration] {
				c.add("OVF-CFG-001", object+", ScaleOutSection", "configuration %q is not in DeploymentOptionSection", n.Configuration)
			}
			if n.Minimum >= 0 && n.Maximum >= 0 && n.Minimum > n.Maximum ||
				n.Default >= 0 && (n.Minimum > n.Default || n.Maximum >= 0 && n.Default > n.Maximum) {
				c.add("OVF-ID-008", object+", ScaleOutSection", "minimum %d, default %d, maximum %d", n.Minimum, n.Default, n.Maximum)
			}
		}
	}
}

// fields checks what the fields of an Item look like.
func (c *checker) fields(object string, it ovf.Item) {
	if c.env.OVirt() {
		return
	}
	for _, name := range []string{"Reservation", "Limit", "Weight"} {
		for _, v := range it.Fields(name) {
			if _, err := strconv.ParseUint(strings.TrimSpace(v), 10, 64); err != nil && v != "" && !it.Marker() && !placeholder(v) {
				c.add("OVF-HW-019", object, "%s is %q, expected a whole number", name, v)
			}
		}
	}
	// rPath counts network adapters in "Interface".
	measured := it.ResourceType == ovf.ResourceProcessor || it.ResourceType == ovf.ResourceDisk
	if u := it.AllocationUnits; u != "" && measured && !placeholder(u) {
		_, err := ovf.ParseUnits(u)
		switch {
		case err == nil:
		case c.xen && it.ResourceType == ovf.ResourceProcessor:
			c.add("OVF-DISK-012", object, "the unit is %q", u) // "Processor Cores", in the language of its user
		default:
			c.add("OVF-HW-020", object, "AllocationUnits %q: %s", u, said(err))
		}
	}
	if t := it.Field("ResourceType"); t != "" {
		if _, err := strconv.ParseUint(strings.TrimSpace(t), 10, 16); err != nil && !placeholder(t) {
			c.add("OVF-HW-021", object, "ResourceType is %q, expected a number", t)
		}
	}
}

package validate

import (
	"regexp"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// content is what an element of the standard may hold of the standard's
// elements, beside sections (DSP8023). What vendors add has other namespaces.
var content = map[string][]string{
	"References":              {"File"},
	"DiskSection":             {"Info", "Disk"},
	"SharedDiskSection":       {"Info", "SharedDisk"},
	"NetworkSection":          {"Info", "Network"},
	"DeploymentOptionSection": {"Info", "Configuration"},
	"Configuration":           {"Label", "Description"},
	"VirtualHardwareSection":  {"Info", "System", "Item", "StorageItem", "EthernetPortItem"},
	"ProductSection": {"Info", "Product", "Vendor", "Version", "FullVersion", "ProductUrl", "VendorUrl", "AppUrl", "Icon",
		"Category", "Property"},
	"Property":                {"Label", "Description", "Value"},
	"EulaSection":             {"Info", "License"},
	"AnnotationSection":       {"Info", "Annotation"},
	"StartupSection":          {"Info", "Item"},
	"OperatingSystemSection":  {"Info", "Description"},
	"InstallSection":          {"Info"},
	"VirtualSystem":           {"Info", "Name"},
	"VirtualSystemCollection": {"Info", "Name", "VirtualSystem", "VirtualSystemCollection"},
}

// lexical says what the values of attributes of the standard look like
// (DSP8023); those that other rules read are not here.
var lexical = map[string]struct {
	form *regexp.Regexp
	want string
}{
	"required":             {boolean, "true or false"},
	"userConfigurable":     {boolean, "true or false"},
	"password":             {boolean, "true or false"},
	"waitingForGuest":      {boolean, "true or false"},
	"order":                {number, "a whole number"},
	"startDelay":           {number, "a whole number of seconds"},
	"stopDelay":            {number, "a whole number of seconds"},
	"initialBootStopDelay": {number, "a whole number of seconds"},
	"startAction":          {regexp.MustCompile(`^(powerOn|none)$`), "powerOn or none"},
	"stopAction":           {regexp.MustCompile(`^(powerOff|guestShutdown|suspend|none)$`), "powerOff, guestShutdown or none"},
}

var (
	boolean = regexp.MustCompile(`^(true|false|1|0)$`)
	number  = regexp.MustCompile(`^\+?[0-9]+$`)
)

// schema checks elements and attributes one by one.
func schema(c *checker) {
	if c.draft {
		return
	}
	for n := range c.env.Tree().Root().Descendants() {
		c.attributes(n)
		allowed, known := content[n.Name().Local]
		if !known || n.Name().Space != c.env.Namespace() {
			continue
		}
		for k := range n.Children() {
			name := k.Name()
			if name.Space != c.env.Namespace() || slices.Contains(allowed, name.Local) || strings.HasSuffix(name.Local, "Section") {
				continue
			}
			if v, _ := k.Attr(c.env.Namespace(), "required"); strings.TrimSpace(v) == "false" {
				continue
			}
			c.add("OVF-XML-015", n.Name().Local, "line %d: element %s has no place in %s", k.Line(), name.Local, n.Name().Local)
		}
	}
}

func (c *checker) attributes(n *xmltree.Node) {
	ours := n.Name().Space == c.env.Namespace()
	for a := range n.Attrs() {
		if a.Name.Space != c.env.Namespace() && (a.Name.Space != "" || !ours) {
			continue
		}
		form, ok := lexical[a.Name.Local]
		switch {
		case a.Name.Local == "id" && ours && n.Name().Local == "OperatingSystemSection":
			form.form, form.want, ok = regexp.MustCompile(`^-?[0-9]+$`), "a number of CIM_OperatingSystem.OSType", true
		case a.Name.Local == "default" && ours && n.Name().Local == "Configuration":
			form = lexical["required"]
			ok = true
		}
		if v := strings.TrimSpace(a.Value); ok && !form.form.MatchString(v) && !placeholder(v) {
			c.add("OVF-XML-016", n.Name().Local, "line %d: %s is %q, expected %s", n.Line(), a.Name.Local, a.Value, form.want)
		}
	}
}

// vendors are the beginnings of namespaces of products that write sections of
// their own without need, and mark them as required.
var vendors = []string{"http://www.vmware.com/", "http://www.virtualbox.org/", "http://ganeti", "http://www.citrix.com/", "http://schemas.citrix.com/",
	"http://www.ovirt.org/", "http://www.cisco.com/", "http://www.ibm.com/", "http://www.rpath.com/", "http://www.xen.org/"}

// demands says whether a section says itself that it is required, and is of no
// product that says so without need.
func (c *checker) demands(s ovf.Section) bool { return c.demanded(s.Node()) }

func (c *checker) demanded(n *xmltree.Node) bool {
	explicit, _ := n.Attr(c.env.Namespace(), "required")
	v, space := strings.TrimSpace(explicit), n.Name().Space
	return (v == "true" || v == "1") && space != "" &&
		!slices.ContainsFunc(vendors, func(v string) bool { return strings.HasPrefix(space, v) })
}

// required finds elements of other namespaces in a section of the standard that
// say they must be understood (7.3): the whole section is one that is not.
func (c *checker) required(object string, s ovf.Section) {
	for n := range s.Node().Children() {
		if space := n.Name().Space; space != c.env.Namespace() && !strings.HasPrefix(space, "http://schemas.dmtf.org/") && c.demanded(n) {
			c.add("OVF-XML-018", object, "%s has %s (namespace %q), which is required and not one that we know", s.Kind, n.Name().Local, space)
		}
	}
}

// unknownSection reports a required section in a namespace that is not the
// standard's. The schema's default is required, which few who leave it out mean.
func (c *checker) unknownSection(object string, s ovf.Section) {
	id := "OVF-XML-007"
	if c.demands(s) {
		id = "OVF-XML-014"
	}
	c.add(id, object, "%s (namespace %q) is required and not one that we know; it is kept", s.Kind, s.Namespace)
}

package validate

import "github.com/cimimove/cimimove/ovf"

// Rule is one rule of Validate.
type Rule struct {
	ID       string
	Severity ovf.Severity
	Clause   string
	Text     string
	Hint     string
}

// Rules are all rules, by id.
func Rules() []Rule { return append([]Rule(nil), table[:]...) }

func rule(id string) Rule {
	for _, r := range table {
		if r.ID == id {
			return r
		}
	}
	panic("validate: no rule " + id)
}

var table = [...]Rule{
	{"OVF-XML-001", ovf.Warning, "DSP0243 6", "a namespace prefix of what need not be read is declared", "declare the prefix on Envelope"},
	{"OVF-XML-002", ovf.Error, "DSP0243 6", "Envelope is in a namespace of the standard", ""},
	{"OVF-XML-003", ovf.Error, "DSP0243 9", "a section stands where it is allowed", ""},
	{"OVF-XML-004", ovf.Error, "DSP0243 7", "sections and contents have an Info element", ""},
	{"OVF-XML-005", ovf.Error, "DSP0243 7.2", "an envelope has one content element", ""},
	{"OVF-XML-006", ovf.Error, "DSP0243 9", "a section that may stand once stands once", ""},
	{"OVF-XML-007", ovf.Warning, "DSP0243 7.3", "a required section is one that we know", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-008", ovf.Info, "DSP0243 6", "the descriptor is not of a draft", ""},
	{"OVF-XML-009", ovf.Error, "DSP0243 7.3", "a required element of an Item is one that we know", ""},
	{"OVF-XML-010", ovf.Error, "DSP0243 7.3", "a required section in the standard's namespace is one of the standard", ""},
	{"OVF-XML-011", ovf.Error, "OVF 0.9", "the version of a draft is one that was published", ""},
	{"OVF-XML-012", ovf.Warning, "DSP0243 7", "in oVirt's dialect, sections and contents have an Info element", ""},
	{"OVF-XML-013", ovf.Error, "OVF 0.9", "the Envelope of a draft states its version", ""},
	{"OVF-XML-014", ovf.Error, "DSP0243 7.3", "a section that says it is required is one that we know", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-015", ovf.Error, "DSP0243 7.3", "elements of the standard stand where it has them", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-016", ovf.Error, "DSP0243 6", "attributes have values of their types", ""},
	{"OVF-XML-017", ovf.Error, "DSP0243 6", "a namespace prefix is declared", "declare the prefix on Envelope"},
	{"OVF-XML-018", ovf.Error, "DSP0243 7.3", "an element of a section that says it is required is one that we know", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-019", ovf.Error, "DSP0243 7.3", "an element of an Item in the standard's namespaces is one of the standard", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-020", ovf.Warning, "XML 1.0 4.3.3", "the XML declaration names the encoding of the descriptor", "name it, or leave it out where it is UTF-8: other readers refuse this"},
	{"OVF-XML-021", ovf.Warning, "DSP0243 9", "a StartupSection of XenCenter's stands in the collection", "it is read as that of the outermost content"},
	{"OVF-ENC-001", ovf.Warning, "DSP0243 2.0 9.15", "nothing is encrypted", "decrypt the package first"},
	{"OVF-REF-001", ovf.Error, "DSP0243 7.1", "a File has an id", ""},
	{"OVF-REF-002", ovf.Error, "DSP0243 7.1", "ids of Files are unique", ""},
	{"OVF-REF-003", ovf.Error, "DSP0243 7.1", "a File has an href", ""},
	{"OVF-REF-004", ovf.Error, "DSP0243 7.1", "two Files do not have the same href", ""},
	{"OVF-REF-005", ovf.Error, "DSP0243 7.1", "a File's size is a whole, non-negative number of bytes", ""},
	{"OVF-REF-006", ovf.Error, "DSP0243 7.1", "chunkSize is a whole, positive number of bytes", ""},
	{"OVF-REF-007", ovf.Error, "DSP0243 7.1", "compression is identity, gzip or bzip2", ""},
	{"OVF-REF-008", ovf.Error, "DSP0243 5.1", "an href stays in the package", ""},
	{"OVF-REF-009", ovf.Warning, "DSP0243 7.1", "an href is no URL of another server", "allow remote references explicitly"},
	{"OVF-REF-010", ovf.Error, "DSP0243 7", "the envelope has References", ""},
	{"OVF-REF-011", ovf.Error, "DSP0243 7.1", "a File is in the package", ""},
	{"OVF-REF-012", ovf.Warning, "DSP0243 7.1", "a File has the size that References states", "the package's size is used"},
	{"OVF-REF-013", ovf.Error, "DSP0243 7.1", "a fileRef outside of DiskSection names a File", ""},
	{"OVF-REF-014", ovf.Warning, "DSP0243 10.1", "the file of a message bundle is one of References", "the texts in the descriptor are used"},
	{"OVF-DISK-001", ovf.Error, "DSP0243 9.1", "a Disk has a diskId", ""},
	{"OVF-DISK-002", ovf.Error, "DSP0243 9.1", "diskIds are unique", ""},
	{"OVF-DISK-003", ovf.Error, "DSP0243 9.1", "fileRef names a File", ""},
	{"OVF-DISK-004", ovf.Error, "DSP0243 9.1", "a capacity is a number, or a property that has one, in a unit of bytes", ""},
	{"OVF-DISK-005", ovf.Error, "DSP0243 9.1", "a capacity is not zero", ""},
	{"OVF-DISK-006", ovf.Error, "DSP0243 9.1", "two Disks do not have the same fileRef", ""},
	{"OVF-DISK-007", ovf.Error, "DSP0243 9.1", "Disks are in the order of their Files", ""},
	{"OVF-DISK-008", ovf.Error, "DSP0243 9.1", "a Disk with content states its format", ""},
	{"OVF-DISK-009", ovf.Error, "DSP0243 9.1", "parentRef names a Disk", ""},
	{"OVF-DISK-010", ovf.Error, "DSP0243 9.1", "a chain of parentRefs ends", ""},
	{"OVF-DISK-011", ovf.Error, "DSP0243 9.1", "populatedSize is not above capacity", ""},
	{"OVF-DISK-012", ovf.Info, "DSP0004 C", "units are written as DSP0004 says", ""},
	{"OVF-DISK-013", ovf.Error, "DSP0243 2.0 9.1", "shared disks are in an envelope of version 2", ""},
	{"OVF-DISK-014", ovf.Info, "DSP0243 9.1", "a Disk is used by some device", ""},
	{"OVF-DISK-015", ovf.Warning, "DSP0243 9.1", "the capacity is what the disk's own header says", "the larger is used"},
	{"OVF-DISK-016", ovf.Warning, "DSP0243 9.1", "a default of the property gives the capacity", "give the property a value"},
	{"OVF-DISK-017", ovf.Warning, "DSP0243 9.1", "two Disks of different configurations do not have the same fileRef", ""},
	{"OVF-DISK-018", ovf.Warning, "DSP0243 9.1", "the capacity of a disk with content is stated", "the disk's own header is used"},
	{"OVF-DISK-019", ovf.Error, "DSP0243 9.1", "a parent disk stands before its children", ""},
	{"OVF-NET-001", ovf.Error, "DSP0243 9.2", "a Network has a name", ""},
	{"OVF-NET-002", ovf.Error, "DSP0243 9.2", "names of Networks are unique", ""},
	{"OVF-NET-003", ovf.Error, "DSP0243 8.3", "Connection names a Network", ""},
	{"OVF-NET-004", ovf.Warning, "DSP0243 8.3", "in oVirt's descriptors, Connection names a Network", "the network of that name is meant"},
	{"OVF-ID-001", ovf.Error, "DSP0243 7.2", "content has an id", ""},
	{"OVF-ID-002", ovf.Error, "DSP0243 7.2", "ids of the members of a collection are unique", ""},
	{"OVF-ID-003", ovf.Error, "DSP0243 9.7", "StartupSection and ScaleOutSection name children of the collection", ""},
	{"OVF-ID-004", ovf.Warning, "DSP0243 7.2", "a collection is not empty", ""},
	{"OVF-ID-005", ovf.Warning, "DSP0243 7.2", "ids of content are unique in the package", "name the machine by its place where an option takes an id"},
	{"OVF-ID-006", ovf.Error, "DSP0243 2.0 9.13", "ids of placement groups are unique and present", ""},
	{"OVF-ID-007", ovf.Error, "DSP0243 2.0 9.14", "PlacementSection names a group of the package", ""},
	{"OVF-ID-008", ovf.Error, "DSP0243 2.0 9.12", "a default number of instances is between minimum and maximum", ""},
	{"OVF-CFG-001", ovf.Error, "DSP0243 9.8", "configuration names one of DeploymentOptionSection", ""},
	{"OVF-CFG-002", ovf.Error, "DSP0243 9.8", "ids of configurations are unique and present", ""},
	{"OVF-CFG-003", ovf.Error, "DSP0243 9.8", "one configuration at most is the default", ""},
	{"OVF-CFG-004", ovf.Error, "DSP0243 9.8", "a property has one value for a configuration", ""},
	{"OVF-HW-001", ovf.Error, "DSP0243 8.1", "a virtual system has hardware", ""},
	{"OVF-HW-002", ovf.Error, "DSP0243 8.3", "an Item has an InstanceID", ""},
	{"OVF-HW-003", ovf.Error, "DSP0243 9.8", "an Item has a ResourceType", ""},
	{"OVF-HW-004", ovf.Error, "DSP0243 9.8", "Items with one InstanceID agree on ResourceType", ""},
	{"OVF-HW-005", ovf.Error, "DSP0243 8.3", "InstanceIDs are unique in a configuration", "the later Item overrides the former"},
	{"OVF-HW-006", ovf.Error, "DSP0243 8.3", "Parent names an Item", ""},
	{"OVF-HW-007", ovf.Error, "DSP0243 8.3", "HostResource names a Disk or a File", ""},
	{"OVF-HW-008", ovf.Warning, "DSP0243 8.3", "two drives do not have one address on one controller", ""},
	{"OVF-HW-009", ovf.Error, "DSP0243 8.4", "a range marker has one normal Item, and is the only one of its kind", ""},
	{"OVF-HW-010", ovf.Warning, "DSP0243 8.3", "memory has a unit", "MiB is assumed"},
	{"OVF-HW-011", ovf.Error, "DSP0243 8.3", "quantities are whole numbers in fitting units", ""},
	{"OVF-HW-012", ovf.Warning, "DSP0243 8.3", "a machine has a processor and memory", ""},
	{"OVF-HW-013", ovf.Error, "DSP0243 8.3", "Parents do not form a circle", ""},
	{"OVF-HW-014", ovf.Error, "DSP0243 8.4", "bound is min, max or normal", ""},
	{"OVF-HW-015", ovf.Error, "DSP0243 8.4", "the normal value is inside of its range", ""},
	{"OVF-HW-016", ovf.Error, "DSP0243 8.1", "an Item describes something", "it is ignored"},
	{"OVF-HW-017", ovf.Error, "DSP0243 8.1", "a System element has content", ""},
	{"OVF-HW-018", ovf.Error, "DSP0243 8.1", "ids of several VirtualHardwareSections are unique", ""},
	{"OVF-HW-019", ovf.Error, "DSP0243 8.3", "Reservation, Limit and Weight are whole numbers", ""},
	{"OVF-HW-020", ovf.Error, "DSP0243 8.3", "AllocationUnits are of DSP0004", ""},
	{"OVF-HW-021", ovf.Error, "DSP0243 8.3", "ResourceType is a number", ""},
	{"OVF-HW-022", ovf.Warning, "DSP0243 8.2", "a device that says it is required is of a kind that we know", "mark it with ovf:required=\"false\" if it can be left out"},
	{"OVF-PROP-001", ovf.Error, "DSP0243 9.5", "a Property has a key", ""},
	{"OVF-PROP-002", ovf.Error, "DSP0243 9.5", "keys are unique in a ProductSection", ""},
	{"OVF-PROP-003", ovf.Error, "DSP0243 9.5", "a Property has a type", ""},
	{"OVF-PROP-004", ovf.Error, "DSP0243 9.5 Table 6", "the type is one of the standard's", ""},
	{"OVF-PROP-005", ovf.Error, "DSP0243 9.5", "a value is of its type and qualifiers", ""},
	{"OVF-PROP-006", ovf.Warning, "DSP0243 9.5 Table 7", "qualifiers are those of the standard", ""},
	{"OVF-PROP-007", ovf.Error, "DSP0243 9.5", "class and instance are unique at one level", ""},
	{"OVF-PROP-008", ovf.Warning, "DSP0243 9.5", "keys have no period and no colon", ""},
}

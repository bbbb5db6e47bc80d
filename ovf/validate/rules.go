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
	{"OVF-XML-002", ovf.Error, "DSP0243 6", "Envelope is in a namespace of the standard", "export the package again; its Envelope is not OVF"},
	{"OVF-XML-003", ovf.Error, "DSP0243 9", "a section stands where it is allowed", "move the section to where its clause has it"},
	{"OVF-XML-004", ovf.Error, "DSP0243 7", "sections and contents have an Info element", "add an Info element as the first child"},
	{"OVF-XML-005", ovf.Error, "DSP0243 7.2", "an envelope has one content element", "have one VirtualSystem, or one VirtualSystemCollection around several"},
	{"OVF-XML-006", ovf.Error, "DSP0243 9", "a section that may stand once stands once", "merge the sections into one"},
	{"OVF-XML-007", ovf.Warning, "DSP0243 7.3", "a required section is one that we know", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-008", ovf.Info, "DSP0243 6", "the descriptor is not of a draft", "nothing to do: it is read as the standard's are; for others export the package again in OVF 1.1"},
	{"OVF-XML-009", ovf.Error, "DSP0243 7.3", "a required element of an Item is one that we know", "mark the element with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-010", ovf.Error, "DSP0243 7.3", "a required section in the standard's namespace is one of the standard", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-011", ovf.Error, "OVF 0.9", "the version of a draft is one that was published", "export the package again in OVF 1.1"},
	{"OVF-XML-012", ovf.Warning, "DSP0243 7", "in oVirt's dialect, sections and contents have an Info element", "nothing to do: oVirt leaves it out, and it is read all the same"},
	{"OVF-XML-013", ovf.Error, "OVF 0.9", "the Envelope of a draft states its version", "export the package again in OVF 1.1"},
	{"OVF-XML-014", ovf.Error, "DSP0243 7.3", "a section that says it is required is one that we know", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-015", ovf.Error, "DSP0243 7.3", "elements of the standard stand where it has them", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-016", ovf.Error, "DSP0243 6", "attributes have values of their types", "correct the value in the descriptor, and its digest in the manifest"},
	{"OVF-XML-017", ovf.Error, "DSP0243 6", "a namespace prefix is declared", "declare the prefix on Envelope"},
	{"OVF-XML-018", ovf.Error, "DSP0243 7.3", "an element of a section that says it is required is one that we know", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-019", ovf.Error, "DSP0243 7.3", "an element of an Item in the standard's namespaces is one of the standard", "mark it with ovf:required=\"false\" if it can be ignored"},
	{"OVF-XML-020", ovf.Warning, "XML 1.0 4.3.3", "the XML declaration names the encoding of the descriptor", "name it, or leave it out where it is UTF-8: other readers refuse this"},
	{"OVF-XML-021", ovf.Warning, "DSP0243 9", "a StartupSection of XenCenter's stands in the collection", "it is read as that of the outermost content"},
	{"OVF-ENC-001", ovf.Warning, "DSP0243 2.0 9.15", "nothing is encrypted", "decrypt the package first"},
	{"OVF-REF-001", ovf.Error, "DSP0243 7.1", "a File has an id", "give the File an ovf:id, by which disks name it"},
	{"OVF-REF-002", ovf.Error, "DSP0243 7.1", "ids of Files are unique", "rename one of them, and what names it"},
	{"OVF-REF-003", ovf.Error, "DSP0243 7.1", "a File has an href", "give the File an ovf:href, the name of the file beside the descriptor"},
	{"OVF-REF-004", ovf.Error, "DSP0243 7.1", "two Files do not have the same href", "give each File a file of its own; what several devices use is one Disk"},
	{"OVF-REF-005", ovf.Error, "DSP0243 7.1", "a File's size is a whole, non-negative number of bytes", "state the size of the file in bytes, or leave ovf:size out"},
	{"OVF-REF-006", ovf.Error, "DSP0243 7.1", "chunkSize is a whole, positive number of bytes", "state the size of a chunk in bytes, or leave ovf:chunkSize out"},
	{"OVF-REF-007", ovf.Error, "DSP0243 7.1", "compression is identity, gzip or bzip2", "decompress the file, or compress it with gzip, and say so in ovf:compression"},
	{"OVF-REF-008", ovf.Error, "DSP0243 5.1", "an href stays in the package", "put the file beside the descriptor, and name it by its name alone"},
	{"OVF-REF-009", ovf.Warning, "DSP0243 7.1", "an href is no URL of another server", "allow remote references explicitly"},
	{"OVF-REF-010", ovf.Error, "DSP0243 7", "the envelope has References", "add an empty References element"},
	{"OVF-REF-011", ovf.Error, "DSP0243 7.1", "a File is in the package", "fetch the file, or export the package again"},
	{"OVF-REF-012", ovf.Warning, "DSP0243 7.1", "a File has the size that References states", "the package's size is used"},
	{"OVF-REF-013", ovf.Error, "DSP0243 7.1", "a fileRef outside of DiskSection names a File", "correct the fileRef, or add the File to References"},
	{"OVF-REF-014", ovf.Warning, "DSP0243 10.1", "the file of a message bundle is one of References", "the texts in the descriptor are used"},
	{"OVF-DISK-001", ovf.Error, "DSP0243 9.1", "a Disk has a diskId", "give the Disk an ovf:diskId, by which devices name it"},
	{"OVF-DISK-002", ovf.Error, "DSP0243 9.1", "diskIds are unique", "rename one of them, and what names it"},
	{"OVF-DISK-003", ovf.Error, "DSP0243 9.1", "fileRef names a File", "correct the fileRef, or add the File to References; a disk without it is blank"},
	{"OVF-DISK-004", ovf.Error, "DSP0243 9.1", "a capacity is a number, or a property that has one, in a unit of bytes", "state a number of bytes, or of ovf:capacityAllocationUnits such as \"byte * 2^30\""},
	{"OVF-DISK-005", ovf.Error, "DSP0243 9.1", "a capacity is not zero", "state the size of the disk"},
	{"OVF-DISK-006", ovf.Error, "DSP0243 9.1", "two Disks do not have the same fileRef", "give each disk a file of its own, or let both devices name one disk"},
	{"OVF-DISK-007", ovf.Error, "DSP0243 9.1", "Disks are in the order of their Files", "put the Files of References in the order of the Disks"},
	{"OVF-DISK-008", ovf.Error, "DSP0243 9.1", "a Disk with content states its format", "state ovf:format; until then the content decides"},
	{"OVF-DISK-009", ovf.Error, "DSP0243 9.1", "parentRef names a Disk", "correct the parentRef, or leave it out where the disk is whole"},
	{"OVF-DISK-010", ovf.Error, "DSP0243 9.1", "a chain of parentRefs ends", "export the package again: no disk of the circle can be made whole"},
	{"OVF-DISK-011", ovf.Error, "DSP0243 9.1", "populatedSize is not above capacity", "leave ovf:populatedSize out, or state what the file holds"},
	{"OVF-DISK-012", ovf.Info, "DSP0004 C", "units are written as DSP0004 says", "nothing to do here: the unit is understood; other readers may want it as DSP0004 writes it"},
	{"OVF-DISK-013", ovf.Error, "DSP0243 2.0 9.1", "shared disks are in an envelope of version 2", "cimimove convert --ovf-version 2.0 writes the package as one of version 2"},
	{"OVF-DISK-014", ovf.Info, "DSP0243 9.1", "a Disk is used by some device", "nothing to do: the disk comes along, attached to nothing"},
	{"OVF-DISK-015", ovf.Warning, "DSP0243 9.1", "the capacity is what the disk's own header says", "the larger is used"},
	{"OVF-DISK-016", ovf.Warning, "DSP0243 9.1", "a default of the property gives the capacity", "give the property a value"},
	{"OVF-DISK-017", ovf.Warning, "DSP0243 9.1", "two Disks of different configurations do not have the same fileRef", "nothing to do where one configuration is chosen with --deployment-option"},
	{"OVF-DISK-018", ovf.Warning, "DSP0243 9.1", "the capacity of a disk with content is stated", "the disk's own header is used"},
	{"OVF-DISK-019", ovf.Error, "DSP0243 9.1", "a parent disk stands before its children", "put the parent before the disks that build on it"},
	{"OVF-NET-001", ovf.Error, "DSP0243 9.2", "a Network has a name", "give the Network an ovf:name, by which cards name it"},
	{"OVF-NET-002", ovf.Error, "DSP0243 9.2", "names of Networks are unique", "rename one of them, and what names it"},
	{"OVF-NET-003", ovf.Error, "DSP0243 8.3", "Connection names a Network", "add the network to NetworkSection, or correct Connection"},
	{"OVF-NET-004", ovf.Warning, "DSP0243 8.3", "in oVirt's descriptors, Connection names a Network", "the network of that name is meant"},
	{"OVF-ID-001", ovf.Error, "DSP0243 7.2", "content has an id", "give it an ovf:id"},
	{"OVF-ID-002", ovf.Error, "DSP0243 7.2", "ids of the members of a collection are unique", "rename one of them, and what names it"},
	{"OVF-ID-003", ovf.Error, "DSP0243 9.7", "StartupSection and ScaleOutSection name children of the collection", "correct the id, or remove the entry"},
	{"OVF-ID-004", ovf.Warning, "DSP0243 7.2", "a collection is not empty", "nothing to do where nothing was meant to be in it"},
	{"OVF-ID-005", ovf.Warning, "DSP0243 7.2", "ids of content are unique in the package", "name the machine by its place where an option takes an id"},
	{"OVF-ID-006", ovf.Error, "DSP0243 2.0 9.13", "ids of placement groups are unique and present", "give each group an id of its own"},
	{"OVF-ID-007", ovf.Error, "DSP0243 2.0 9.14", "PlacementSection names a group of the package", "correct the group, or add the PlacementGroupSection"},
	{"OVF-ID-008", ovf.Error, "DSP0243 2.0 9.12", "a default number of instances is between minimum and maximum", "correct ovf:default, ovf:minimum or ovf:maximum"},
	{"OVF-CFG-001", ovf.Error, "DSP0243 9.8", "configuration names one of DeploymentOptionSection", "add the configuration to DeploymentOptionSection, or correct the id"},
	{"OVF-CFG-002", ovf.Error, "DSP0243 9.8", "ids of configurations are unique and present", "give each configuration an id of its own"},
	{"OVF-CFG-003", ovf.Error, "DSP0243 9.8", "one configuration at most is the default", "choose with --deployment-option; the first that is marked counts otherwise"},
	{"OVF-CFG-004", ovf.Error, "DSP0243 9.8", "a property has one value for a configuration", "remove one of the values"},
	{"OVF-HW-001", ovf.Error, "DSP0243 8.1", "a virtual system has hardware", "export the package again: what the machine is made of is not in it"},
	{"OVF-HW-002", ovf.Error, "DSP0243 8.3", "an Item has an InstanceID", "give each Item an InstanceID of its own"},
	{"OVF-HW-003", ovf.Error, "DSP0243 9.8", "an Item has a ResourceType", "state the ResourceType: 3 a processor, 4 memory, 10 a card, 17 a disk"},
	{"OVF-HW-004", ovf.Error, "DSP0243 9.8", "Items with one InstanceID agree on ResourceType", "give the Items InstanceIDs of their own"},
	{"OVF-HW-005", ovf.Error, "DSP0243 8.3", "InstanceIDs are unique in a configuration", "the later Item overrides the former"},
	{"OVF-HW-006", ovf.Error, "DSP0243 8.3", "Parent names an Item", "let Parent be the InstanceID of a controller"},
	{"OVF-HW-007", ovf.Error, "DSP0243 8.3", "HostResource names a Disk or a File", "let HostResource be ovf:/disk/ID or ovf:/file/ID with an id of this package"},
	{"OVF-HW-008", ovf.Warning, "DSP0243 8.3", "two drives do not have one address on one controller", "change AddressOnParent of one of them"},
	{"OVF-HW-009", ovf.Error, "DSP0243 8.4", "a range marker has one normal Item, and is the only one of its kind", "leave one Item with ovf:bound of each kind beside the normal one"},
	{"OVF-HW-010", ovf.Warning, "DSP0243 8.3", "memory has a unit", "MiB is assumed"},
	{"OVF-HW-011", ovf.Error, "DSP0243 8.3", "quantities are whole numbers in fitting units", "state a whole number, and its unit in AllocationUnits"},
	{"OVF-HW-012", ovf.Warning, "DSP0243 8.3", "a machine has a processor and memory", "add an Item of ResourceType 3 for the processor, and one of 4 for the memory"},
	{"OVF-HW-013", ovf.Error, "DSP0243 8.3", "Parents do not form a circle", "remove one Parent of the circle"},
	{"OVF-HW-014", ovf.Error, "DSP0243 8.4", "bound is min, max or normal", "write min, max or normal in ovf:bound"},
	{"OVF-HW-015", ovf.Error, "DSP0243 8.4", "the normal value is inside of its range", "change the normal value, or the bound"},
	{"OVF-HW-016", ovf.Error, "DSP0243 8.1", "an Item describes something", "it is ignored"},
	{"OVF-HW-017", ovf.Error, "DSP0243 8.1", "a System element has content", "remove the empty element, or fill it"},
	{"OVF-HW-018", ovf.Error, "DSP0243 8.1", "ids of several VirtualHardwareSections are unique", "give each section an id of its own"},
	{"OVF-HW-019", ovf.Error, "DSP0243 8.3", "Reservation, Limit and Weight are whole numbers", "state a whole number, or leave the element out"},
	{"OVF-HW-020", ovf.Error, "DSP0243 8.3", "AllocationUnits are of DSP0004", "write the unit as DSP0004 does: \"byte * 2^20\", \"hertz * 10^6\""},
	{"OVF-HW-021", ovf.Error, "DSP0243 8.3", "ResourceType is a number", "state one of the numbers of CIM_ResourceAllocationSettingData"},
	{"OVF-HW-022", ovf.Warning, "DSP0243 8.2", "a device that says it is required is of a kind that we know", "mark it with ovf:required=\"false\" if it can be left out"},
	{"OVF-PROP-001", ovf.Error, "DSP0243 9.5", "a Property has a key", "give the Property an ovf:key"},
	{"OVF-PROP-002", ovf.Error, "DSP0243 9.5", "keys are unique in a ProductSection", "rename one of them, or put it into a ProductSection of another ovf:instance"},
	{"OVF-PROP-003", ovf.Error, "DSP0243 9.5", "a Property has a type", "add ovf:type=\"string\""},
	{"OVF-PROP-004", ovf.Error, "DSP0243 9.5 Table 6", "the type is one of the standard's", "use string, boolean, int, real or one of the sized integers, such as uint16"},
	{"OVF-PROP-005", ovf.Error, "DSP0243 9.5", "a value is of its type and qualifiers", "set one that fits with --prop KEY=VALUE"},
	{"OVF-PROP-006", ovf.Warning, "DSP0243 9.5 Table 7", "qualifiers are those of the standard", "use those of DSP0004, such as MinLen(1) or ValueMap{\"a\", \"b\"}"},
	{"OVF-PROP-007", ovf.Error, "DSP0243 9.5", "class and instance are unique at one level", "give one of the ProductSections another ovf:instance"},
	{"OVF-PROP-008", ovf.Warning, "DSP0243 9.5", "keys have no period and no colon", "name the property by class.key.instance as it stands here; others may split it elsewhere"},
}

package cimi

// Extensions of the import of a System (DSP0263 5.13.2.1), declared in the
// ResourceMetadata of the System.
const (
	// ParallelDisks is a property of an import: how many disks may be written
	// at the same time. Where it is offered, the capability of the same name
	// says how many at most.
	ParallelDisks           = "import.parallelDisks"
	CapabilityParallelDisks = "ImportParallelDisks"

	// CapabilityImportChunk: what has arrived of a System that is imported for a
	// run (property cimimove.run) is kept when the import breaks off, and the
	// next one for the run goes on there, if the package is the same by its
	// entity tag, descriptor and files. The value is how many bytes of a disk
	// may have to come twice.
	CapabilityImportChunk = "ImportChunk"

	// UniqueName is a property of an import: the name that no System may have,
	// and none that is being imported, but those whose ids stand in the property
	// Besides, with spaces between, and those of the same run (cimimove.run); else
	// the import is refused (409). Of several at a time one is accepted.
	// CapabilityUniqueName tells that it is offered.
	UniqueName           = "import.uniqueName"
	Besides              = "import.besides"
	CapabilityUniqueName = "ImportUniqueName"

	// CapabilityDevices lists, with commas between, which devices of a package
	// the machines really have, each by words that stand in the bus and the
	// ResourceSubType of a controller or in that of a card: "ide, scsi sas,
	// e1000". Others become devices of this cloud's own.
	CapabilityDevices = "ImportDevices"

	// RelForget is an operation of the Systems: what is kept of the imports of
	// the run that the property cimimove.run names is removed, and the export
	// whose Location the property export.location gives, with its snapshot.
	RelForget      = ExtensionNamespace + "/forget"
	ExportLocation = "export.location"
)

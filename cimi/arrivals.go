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

	// RelForget is an operation of the Systems: what is kept of the imports of
	// the run that the property cimimove.run names is removed.
	RelForget = ExtensionNamespace + "/forget"
)

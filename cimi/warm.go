package cimi

// Extensions for warm migration: a System is copied while its machines run,
// and what has changed since is sent when they are at rest. The operations are
// declared in the ResourceMetadata of System and Volume.
const (
	// RelExportLive is an operation of a System: its export (DSP0263 5.13.1.2),
	// where machines that run are exported as a snapshot shows them: as after a
	// power failure at that moment.
	RelExportLive = ExtensionNamespace + "/exportLive"
	// CapabilityLiveExport tells of it, in the metadata of the System.
	CapabilityLiveExport = "LiveExport"
	// ExportUntracked is a property of it: true says that nobody will ask what
	// changes afterwards (RelBlocks, changed), so that nothing needs to be kept
	// track of.
	ExportUntracked = "export.untracked"

	// RelBlocks is an operation of a Volume whose machines are at rest: GET
	// below its href reads the content as it is now, without changing anything.
	//
	//	HREF/sums/1048576  the SHA-256 of each block of 1 MiB, 32 bytes each, in
	//	                   order, the last block padded with zeros
	//	HREF/sums/4096     the first 16 bytes of the SHA-256 of each page of 4 KiB
	//	HREF/data/PAGES    the content of the pages that PAGES names (EncodePages),
	//	                   one after the other; the disk's last page may be short
	//	HREF/few/…         the same, for who reads little of it: what is not asked
	//	                   for need not be read, or fetched, for that
	//	HREF/changed/POINT one bit for each block of 1 MiB, the lowest of a byte
	//	                   first: it is set where the block may not hold what the
	//	                   export showed whose Job told POINT (ExportPoints). 404
	//	                   where the cloud does not know it for certain (any more);
	//	                   of a point that is held, once the export is forgotten
	//	                   (RelForget)
	//	HREF/version       its ETag is another when the content may be: when the
	//	                   Volume was written to, or its machines ran. Nothing is
	//	                   read for it. 404 where the cloud does not know
	//
	// Users who may not export may not ask.
	RelBlocks = ExtensionNamespace + "/blocks"

	// RelDelta is an operation of a Volume whose machines are at rest: blocks of
	// its content are replaced by those in the attribute delta (EncodeDelta), at
	// most CapabilityDelta bytes of them at once. From the first on the Volume
	// is unproved: no machine is started on it and it is not exported. The same
	// delta may be sent again.
	RelDelta = ExtensionNamespace + "/delta"
	// CapabilityDelta is how many bytes of content a delta may hold, in the
	// metadata of the Volume.
	CapabilityDelta = "DeltaBytes"

	// RelProve is an operation of a Volume: it is read anew, and is proved when
	// its content digest is that of the attribute contentDigest, an object of
	// digest and size, and all behind size is zero. Otherwise it stays unproved.
	//
	// With the attribute changedOnly true, blocks need not be read again that this
	// cloud has read, for sums of 1 MiB, since they were last written.
	RelProve = ExtensionNamespace + "/prove"
	// CapabilityChangedOnly tells, in the metadata of the Volume, that it makes use of it.
	CapabilityChangedOnly = "ProveChangedOnly"
)

// Lengths of the content that RelBlocks speaks of, in bytes.
const (
	BlockUnit   = 1 << 20
	PageUnit    = 4 << 10
	BlockSumLen = 32
	PageSumLen  = 16
)

// Package vmdk reads and writes VMware virtual disks held in one file: the
// streamOptimized variant, which OVF packages carry, and, to read only,
// monolithicSparse.
//
// It follows VMware's "Virtual Disk Format 5.0" (sparse extents with and
// without markers and compression). What it promises:
//
//   - Open reads anywhere; Decode reads a stream front to back, once, with
//     bounded memory. Both refuse what breaks the format: a stream that ends
//     early, a grain that comes twice, lies beyond the capacity, or inflates
//     to anything but its size is corrupt, never zeros.
//   - Encode writes grains of 64 KiB, compressed, grain tables and directory
//     behind them, footer and end-of-stream marker last and nothing after.
//   - Stored is the same stream without compression, its length and every
//     byte of it known before the disk is read.
//
// The same image and options always give the same bytes.
package vmdk

const (
	sector    = 512
	sectorLog = 9

	// grainSectors is the grain size written; others are read.
	grainSectors = 128
	grainSize    = grainSectors * sector

	// tableEntries is the number of grains a grain table maps; VMware knows no
	// other.
	tableEntries = 512
	tableSectors = tableEntries * 4 / sector
	tableSpan    = tableEntries * grainSize

	// maxGrainSectors bounds what one grain may take in memory: 1 MiB.
	maxGrainSectors = 2048

	// maxCapacity is in sectors: 64 TiB, above VMware's own limit of 62 TB.
	maxCapacity = 64 << 40 / sector
)

package vmdk

import "encoding/binary"

// A marker opens every piece of a streamOptimized image: eight bytes of value,
// four of size. With a size it is a grain marker: the value is the grain's
// first sector on the disk and size bytes of zlib data follow at byte 12. With
// size 0 it is a sector of its own that names what follows.
const grainMarkerLen = 12

type markerType uint32

const (
	markerEnd       markerType = 0
	markerTable     markerType = 1
	markerDirectory markerType = 2
	markerFooter    markerType = 3
	markerProgress  markerType = 4 // of newer VMware exports; nothing follows it
)

// marshalMarker is a metadata marker for what takes n sectors.
func marshalMarker(t markerType, n uint64) [sector]byte {
	var b [sector]byte
	binary.LittleEndian.PutUint64(b[0:], n)
	binary.LittleEndian.PutUint32(b[12:], uint32(t))
	return b
}

// putGrainMarker fills the first bytes of b for a grain at sector lba of n
// compressed bytes.
func putGrainMarker(b []byte, lba uint64, n int) {
	binary.LittleEndian.PutUint64(b[0:], lba)
	binary.LittleEndian.PutUint32(b[8:], uint32(n))
}

// maxCompressed bounds the compressed size of a grain of n bytes: deflate
// never needs more than a few bytes per block above what it stores, and twice
// the grain is far beyond that.
func maxCompressed(n int64) int64 { return 2*n + 1024 }

// roundUp rounds n up to whole sectors, in bytes.
func roundUp(n int64) int64 { return (n + sector - 1) &^ (sector - 1) }

package vmdk

import (
	"encoding/binary"
	"hash/adler32"

	"github.com/cimimove/cimimove/ovf/disk/grain"
)

// A stored grain is its marker, a zlib header, two stored deflate blocks of
// half a grain each, and the Adler-32 of the grain, padded to sectors.
const (
	zlibHeaderLen  = 2
	blockHeaderLen = 5
	halfGrain      = grainSize / 2

	storedZlibLen = zlibHeaderLen + 2*(blockHeaderLen+halfGrain) + adler32.Size
	// storedGrainLen is what every mapped grain takes in the stored form, in
	// bytes: 129 sectors.
	storedGrainLen = (grainMarkerLen + storedZlibLen + sector - 1) / sector * sector
)

// putStored makes b the whole stored form of grain g, marker and padding too.
// src, its content, may overlap b where it lies at or after its place there.
func putStored(b, src []byte, g int64) {
	const (
		first  = grainMarkerLen + zlibHeaderLen + blockHeaderLen
		second = first + halfGrain + blockHeaderLen
		sumAt  = second + halfGrain
	)
	sum := grain.Adler32(src)
	copy(b[first:], src[:halfGrain])
	copy(b[second:], src[halfGrain:])
	putGrainMarker(b, uint64(g)*grainSectors, storedZlibLen)
	copy(b[grainMarkerLen:], []byte{0x78, 0x01})
	putBlockHeader(b[first-blockHeaderLen:], 0)
	putBlockHeader(b[second-blockHeaderLen:], 1)
	binary.BigEndian.PutUint32(b[sumAt:], sum)
	clear(b[sumAt+adler32.Size:])
}

// putBlockHeader writes the header of a stored deflate block of half a grain;
// final is 1 for the last block.
func putBlockHeader(b []byte, final byte) {
	b[0] = final
	binary.LittleEndian.PutUint16(b[1:], halfGrain)
	binary.LittleEndian.PutUint16(b[3:], ^uint16(halfGrain))
}

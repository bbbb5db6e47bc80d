package grain

import "encoding/binary"

// storedHeader is what a stored block costs when it starts at a byte: block
// header, LEN and NLEN.
const storedHeader = 5

// StoredSize is the exact length in bytes of n bytes as Stored writes them.
func StoredSize(n int) int {
	blocks := max(1, (n+maxStored-1)/maxStored)
	return n + blocks*storedHeader
}

// StoredZlibSize is the exact length in bytes of n bytes as an Encoder of
// level 0 writes them in zlib format: 65552 for a grain of 64 KiB.
func StoredZlibSize(n int) int { return zlibHeader + StoredSize(n) + zlibTrailer }

// Stored appends src to dst as a raw deflate stream of stored blocks
// (RFC 1951 3.2.4), as few as can be.
func Stored(dst, src []byte) []byte {
	for {
		part := src[:min(len(src), maxStored)]
		src = src[len(part):]
		final := byte(0)
		if len(src) == 0 {
			final = 1
		}
		dst = append(dst, final)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(part)))
		dst = binary.LittleEndian.AppendUint16(dst, ^uint16(len(part)))
		dst = append(dst, part...)
		if final == 1 {
			return dst
		}
	}
}

package grain

import "math/bits"

// The alphabets of RFC 8878 3.1.1.3.2.1.1: a code stands for a range of
// values, and extra bits tell which of them. Every range begins at a multiple
// of its width, so the extra bits are a value's lowest.
const (
	numLitLenCodes   = 36 // of literals before a match
	numMatchLenCodes = 53 // of a match's length less zstdMinMatch
	numOffsetCodes   = 29 // of offset values, as far as the predefined table goes

	zstdMinMatch = 3
	zstdRepeats  = 3 // offset values up to it mean an earlier distance, those above it one that is less by it
)

var (
	litLenExtra = [numLitLenCodes]uint8{16: 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

	matchLenExtra = [numMatchLenCodes]uint8{32: 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
)

// A lengthCode is a length's code, the number of its extra bits above the low
// 8, and the bits above the low 16.
type lengthCode uint32

func (c lengthCode) code() uint32  { return uint32(c & 0xff) }
func (c lengthCode) bits() uint32  { return uint32(c >> 8 & 0xff) }
func (c lengthCode) extra() uint32 { return uint32(c >> 16) }

func newLengthCode(n, code uint32, extra []uint8) lengthCode {
	nb := extra[code]
	return lengthCode(code | uint32(nb)<<8 | n&(1<<nb-1)<<16)
}

// The codes of short lengths; those of others follow from their number of
// bits.
var (
	litLenCodes = func() (codes [64]lengthCode) {
		shortLengths(codes[:], litLenExtra[:])
		return codes
	}()
	matchLenCodes = func() (codes [128]lengthCode) {
		shortLengths(codes[:], matchLenExtra[:])
		return codes
	}()
)

func shortLengths(codes []lengthCode, extra []uint8) {
	n := 0
	for code := range extra {
		for i := 0; i < 1<<extra[code] && n < len(codes); i++ {
			codes[n] = newLengthCode(uint32(n), uint32(code), extra)
			n++
		}
	}
}

func litLenCode(n uint32) lengthCode {
	if n < uint32(len(litLenCodes)) {
		return litLenCodes[n]
	}
	return newLengthCode(n, uint32(bits.Len32(n))+18, litLenExtra[:])
}

func matchLenCode(n uint32) lengthCode {
	if n < uint32(len(matchLenCodes)) {
		return matchLenCodes[n]
	}
	return newLengthCode(n, uint32(bits.Len32(n))+35, matchLenExtra[:])
}

// offsetCode is the code of an offset value, and the number of its extra bits.
func offsetCode(v uint32) uint32 { return uint32(bits.Len32(v)) - 1 }

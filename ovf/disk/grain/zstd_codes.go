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

// A lengthCode is a length's code, the number of its extra bits above the low 24,
// and the bits above the low 32. The code of literals is in the lowest byte, that of
// a match in the one above, so that both add up to codes of a sequence.
type lengthCode uint64

func (c lengthCode) code() uint32  { return uint32(c&0xff | c>>8&0xff) }
func (c lengthCode) bits() uint32  { return uint32(c) >> 24 }
func (c lengthCode) extra() uint32 { return uint32(c >> 32) }

// newLengthCode makes the code of n, at bit at of what it becomes.
func newLengthCode(n, code, at uint32, extra []uint8) lengthCode {
	nb := extra[code]
	return lengthCode(code)<<(at&31) | lengthCode(nb)<<24 | lengthCode(n&(1<<(nb&31)-1))<<32
}

const (
	litLenAt   = 0
	matchLenAt = 8
)

// The codes of short lengths; those of others follow from their number of
// bits.
var (
	litLenCodes = func() (codes [64]lengthCode) {
		shortLengths(codes[:], litLenAt, litLenExtra[:])
		return codes
	}()
	matchLenCodes = func() (codes [128]lengthCode) {
		shortLengths(codes[:], matchLenAt, matchLenExtra[:])
		return codes
	}()
)

func shortLengths(codes []lengthCode, at uint32, extra []uint8) {
	n := 0
	for code := range extra {
		for i := 0; i < 1<<extra[code] && n < len(codes); i++ {
			codes[n] = newLengthCode(uint32(n), uint32(code), at, extra)
			n++
		}
	}
}

func litLenCode(n uint32) lengthCode {
	if n < uint32(len(litLenCodes)) {
		return litLenCodes[n]
	}
	return newLengthCode(n, uint32(bits.Len32(n))+18, litLenAt, litLenExtra[:])
}

func matchLenCode(n uint32) lengthCode {
	if n < uint32(len(matchLenCodes)) {
		return matchLenCodes[n]
	}
	return newLengthCode(n, uint32(bits.Len32(n))+35, matchLenAt, matchLenExtra[:])
}

// offsetCode is the code of an offset value, and the number of its extra bits.
func offsetCode(v uint32) uint32 { return uint32(bits.Len32(v)) - 1 }

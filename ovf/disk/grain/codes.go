package grain

// The alphabets of RFC 1951 3.2.5 and 3.2.7.
const (
	maxLitSyms  = 288 // literals and lengths; 286 and 287 never occur in data
	maxDistSyms = 32  // distances; 30 and 31 never occur in data
	numLitSyms  = 286
	numDistSyms = 30
	numPreSyms  = 19 // the code length alphabet

	maxCodeLen    = 15
	maxPreCodeLen = 7

	endOfBlock = 256

	minMatch    = 3
	maxMatch    = 258
	maxDistance = 32768
	maxStored   = 65535 // bytes in one stored block
)

// Block types of RFC 1951 3.2.3.
const (
	blockStored  = 0
	blockFixed   = 1
	blockDynamic = 2
)

// precodeOrder is the order in which code length code lengths are sent.
var precodeOrder = [numPreSyms]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// lengthBase and lengthExtra describe the length symbols 257 to 285.
var (
	lengthBase = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31,
		35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2,
		3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
)

// distBase and distExtra describe the distance symbols 0 to 29.
var (
	distBase = [numDistSyms]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193,
		257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra = [numDistSyms]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6,
		7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// fixedLitLen is the code length of a literal/length symbol in a fixed block.
func fixedLitLen(sym int) uint8 {
	switch {
	case sym < 144:
		return 8
	case sym < 256:
		return 9
	case sym < 280:
		return 7
	}
	return 8
}

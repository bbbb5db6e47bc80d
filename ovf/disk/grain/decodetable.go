package grain

import "math/bits"

// A decode table maps the next bits of the stream, as many as the table's
// index has, to an entry that says everything about the symbol there:
//
//	bit  31      a literal
//	bits 16..30  the literal; or the base of a length or distance; or where a subtable starts
//	bit  15      exceptional: subtable, end of block, or no such code
//	bit  14      with 15: a subtable, of as many index bits as bits 8..11 say
//	bit  13      with 15: end of block
//	bits 8..11   bits of the codeword
//	bits 0..7    bits to consume: the codeword and the extra bits after it
//
// Codewords longer than the index continue in a subtable, whose entries count
// the remaining bits only.
const (
	entryLiteral     = 1 << 31
	entryExceptional = 1 << 15
	entrySubtable    = 1 << 14
	entryEnd         = 1 << 13
	entryInvalid     = entryExceptional
)

// Index bits, and the most entries a complete code of the alphabet can need
// with that index (zlib's examples/enough.c computes them).
const (
	litIndexBits  = 11
	distIndexBits = 8
	preIndexBits  = maxPreCodeLen

	litTableSize  = 2342 // enough 288 11 15
	distTableSize = 402  // enough 32 8 15
	preTableSize  = 1 << preIndexBits
)

// The entries of each symbol, lacking the codeword's length, which is added
// as length<<8 + length.
var (
	litEntries  = makeLitEntries()
	distEntries = makeDistEntries()
	preEntries  = makePreEntries()
)

func makeLitEntries() (e [maxLitSyms]uint32) {
	for i := range endOfBlock {
		e[i] = entryLiteral | uint32(i)<<16
	}
	e[endOfBlock] = entryExceptional | entryEnd
	for i := endOfBlock + 1; i < maxLitSyms; i++ {
		e[i] = entryInvalid
		if i < numLitSyms {
			e[i] = uint32(lengthBase[i-257])<<16 | uint32(lengthExtra[i-257])
		}
	}
	return e
}

func makeDistEntries() (e [maxDistSyms]uint32) {
	for i := range e {
		e[i] = entryInvalid
		if i < numDistSyms {
			e[i] = uint32(distBase[i])<<16 | uint32(distExtra[i])
		}
	}
	return e
}

func makePreEntries() (e [numPreSyms]uint32) {
	for i := range e {
		e[i] = uint32(i) << 16
	}
	return e
}

// buildTable fills table for the canonical code of RFC 1951 3.2.2 whose
// lengths are given. It reports false for an over-subscribed code and for an
// incomplete one, except for those in use: no codeword at all, and a single
// one of length 1. Bits that are no codeword get invalid entries.
func buildTable(table []uint32, indexBits uint, lens []uint8, entries []uint32) bool {
	var count, next [maxCodeLen + 1]uint16
	for _, l := range lens {
		count[l&15]++
	}
	longest := uint(maxCodeLen)
	for longest > 0 && count[longest] == 0 {
		longest--
	}
	used, free := uint16(0), 1
	for l := 1; l <= maxCodeLen; l++ {
		next[l] = used
		used += count[l]
		free = free<<1 - int(count[l])
		if free < 0 {
			return false
		}
	}
	var sorted [maxLitSyms]uint16
	for sym, l := range lens {
		if l != 0 {
			sorted[next[l&15]%maxLitSyms] = uint16(sym)
			next[l&15]++
		}
	}
	if free != 0 {
		if longest > 1 || used > 1 {
			return false
		}
		for i := range 1 << indexBits {
			table[i] = entryInvalid
		}
		if used == 1 {
			e := entries[sorted[0]] + 1<<8 + 1
			for i := 0; i < 1<<indexBits; i += 2 {
				table[i] = e
			}
		}
		return true
	}

	// Codewords are taken in order of length; code is bit-reversed, as the
	// stream has it. The table starts as long as the shortest codeword
	// indexes and is doubled as codewords grow.
	length := uint(1)
	for count[length] == 0 {
		length++
	}
	code, end, i := uint(0), uint(1)<<length, 0
	if length > indexBits {
		end = 1 << indexBits
	}
	for ; length <= indexBits; length++ {
		add := uint32(length<<8 + length)
		for range count[length] {
			table[code] = entries[sorted[i]] + add
			i++
			if code == end-1 {
				// The last codeword of all is all ones.
				for ; end < 1<<indexBits; end <<= 1 {
					copy(table[end:2*end], table[:end])
				}
				return true
			}
			bit := uint(1) << (bits.Len(code^(end-1)) - 1)
			code = code&(bit-1) | bit
		}
		if length < indexBits {
			copy(table[end:2*end], table[:end])
			end <<= 1
		}
	}

	// The rest share prefixes of indexBits; each prefix gets a subtable as
	// large as its longest codeword needs.
	const none = ^uint(0)
	mask := uint(1)<<indexBits - 1
	prefix, start, tail := none, uint(0), uint(1)<<indexBits
	subBits := uint(0)
	for length = indexBits + 1; length <= longest; length++ {
		for left := count[length]; left > 0; left-- {
			if code&mask != prefix {
				prefix = code & mask
				start = tail
				// Grow until the codewords of this length and longer ones
				// fill the subtable.
				subBits = length - indexBits
				space := int(left)
				for l := length; space < 1<<subBits && l < maxCodeLen; {
					l++
					subBits++
					space = space<<1 + int(count[l])
				}
				tail = start + 1<<subBits
				table[prefix] = uint32(start)<<16 | entryExceptional | entrySubtable |
					uint32(subBits)<<8 | uint32(indexBits)
			}
			e := entries[sorted[i]] + uint32((length-indexBits)<<8+length-indexBits)
			i++
			for j := start + code>>indexBits; j < tail; j += 1 << (length - indexBits) {
				table[j] = e
			}
			all := uint(1)<<length - 1
			if code == all {
				return true
			}
			bit := uint(1) << (bits.Len(code^all) - 1)
			code = code&(bit-1) | bit
		}
	}
	return true
}

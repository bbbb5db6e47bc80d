package grain

import (
	"math/bits"
	"slices"
)

// codeword is a Huffman codeword as the stream has it, its first bit lowest,
// in the low 16 bits, and its length above them.
type codeword uint32

func (c codeword) bits() uint64 { return uint64(c & 0xffff) }
func (c codeword) len() uint    { return uint(c >> 16) }

// huffman makes length-limited canonical codes. It holds scratch space only.
type huffman struct {
	sorted [512]uint32 // maxLitSyms of them
	nodes  [maxLitSyms]uint32
}

// build makes the code for symbols that occur freq times, none longer than
// limit bits, into lens and code. A symbol that does not occur gets no
// codeword; but at least two get one, as some inflaters want it.
func (h *huffman) build(freq []uint32, limit uint, lens []uint8, code []codeword) {
	n := h.sort(freq)
	for sym := 0; n < 2; sym++ {
		if freq[sym] == 0 {
			h.sorted[1] = h.sorted[0]
			h.sorted[0] = 1<<9 | uint32(sym)
			n++
		}
	}
	h.lengths(n, limit, lens[:len(freq)])
	assign(lens[:len(freq)], code)
}

// lengths makes the lengths of an optimal code for the n sorted symbols, two
// at least, with none longer than limit. All other symbols get 0.
func (h *huffman) lengths(n int, limit uint, lens []uint8) {
	clear(lens)
	var count [maxCodeLen + 1]uint32
	h.lengthCounts(n, limit, &count)

	// The rarest symbols get the longest codewords.
	i := 0
	for l := limit; l > 0; l-- {
		for range count[l] {
			lens[h.sorted[i]&0x1ff] = uint8(l)
			i++
		}
	}
}

// sort puts the symbols that occur into sorted, in ascending order of how
// often they do and then of themselves, as freq<<9 | sym, and counts them.
// Most occur rarely: those are sorted by counting.
func (h *huffman) sort(freq []uint32) int {
	const often = 255
	var start [often + 1]uint16
	for _, f := range freq {
		start[min(f, often)]++
	}
	n := uint16(0)
	for f := 1; f <= often; f++ {
		n, start[f] = n+start[f], n
	}
	tail := start[often]
	for sym, f := range freq {
		if f != 0 {
			at := &start[min(f, often)]
			h.sorted[*at%512] = f<<9 | uint32(sym)
			*at++
		}
	}
	slices.Sort(h.sorted[tail:n])
	return int(n)
}

// assign makes the canonical codewords of lens (RFC 1951 3.2.2).
func assign(lens []uint8, code []codeword) {
	var count, next [maxCodeLen + 1]uint32
	for _, l := range lens {
		count[l&15]++
	}
	count[0] = 0
	for l := 1; l <= maxCodeLen; l++ {
		next[l] = (next[l-1] + count[l-1]) << 1
	}
	code = code[:len(lens)]
	for sym, l := range lens {
		if l == 0 {
			code[sym] = 0
			continue
		}
		l &= 15
		code[sym] = codeword(uint32(bits.Reverse16(uint16(next[l]))>>(16-l)) | uint32(l)<<16)
		next[l]++
	}
}

// lengthCounts counts the codewords of each length in an optimal code for the
// n sorted symbols, then shortens those beyond limit. The tree is built in
// place after Moffat and Katajainen, "In-Place Calculation of
// Minimum-Redundancy Codes": nodes[i] is an internal node's weight until it
// has a parent, then the parent's index, then its depth.
func (h *huffman) lengthCounts(n int, limit uint, count *[maxCodeLen + 1]uint32) {
	sorted, nodes := h.sorted[:n], h.nodes[:n]
	leaf, root := 0, 0
	for next := range n - 1 {
		weight := uint32(0)
		for range 2 {
			if leaf < n && (root >= next || sorted[leaf]>>9 <= nodes[root]) {
				weight += sorted[leaf] >> 9
				leaf++
			} else {
				weight += nodes[root]
				nodes[root] = uint32(next)
				root++
			}
		}
		nodes[next] = weight
	}

	// From the root down: every internal node at depth d takes one leaf of
	// depth d away and gives two of depth d+1, d+1 at most limit.
	nodes[n-2] = 0
	count[1] = 2
	for i := n - 3; i >= 0; i-- {
		depth := nodes[nodes[i]] + 1
		nodes[i] = depth
		if depth >= uint32(limit) {
			depth = uint32(limit) - 1
			for count[depth] == 0 {
				depth--
			}
		}
		count[depth]--
		count[depth+1] += 2
	}
}

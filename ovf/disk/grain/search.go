package grain

import "math/bits"

// searcher finds matches. start forgets what was searched before. search adds
// src[from:to] to the segment begun there; matches may reach back before from
// but not beyond to.
//
// Searches remember positions in tables of hashes, modulo 64 KiB: twice the
// window, so an entry gives a distance, right or wrong, and comparing the
// bytes at that distance tells. At first every entry is position 0, which is
// as good a guess as any. That the distance never reaches before the input
// follows: below 64 KiB entries are positions already passed, and above it
// there are 64 KiB to reach back into.
type searcher interface {
	start()
	search(g *segment, src []byte, from, to int)
}

// newSearcher is the search of a level; nil for stored. The parameters were
// chosen by BenchmarkDeflate on grains of /usr.
func newSearcher(level int) searcher {
	switch level {
	case 0:
		return nil
	case 1:
		return &fastSearch{step: 3, skip: 5}
	case 2:
		return &pairSearch{nice: 4, step: 3, skip: 5}
	case 3:
		return &pairSearch{nice: 6, step: 2, skip: 6}
	case 4:
		return &pairSearch{nice: 12, step: 2, skip: 7}
	case 5:
		return &pairSearch{nice: 32, step: 1, skip: 8}
	case 6:
		return &chainSearch{depth: 8, nice: 32, lazy: 1}
	case 7:
		return &chainSearch{depth: 16, nice: 64, lazy: 1}
	case 8:
		return &chainSearch{depth: 64, nice: 128, lazy: 2}
	}
	return &chainSearch{depth: 512, nice: maxMatch, lazy: 2}
}

// searchMargin is how far before the end of a segment the last match is
// looked for: a whole word is read there.
const searchMargin = 8

// hashFactor spreads the low bytes of a word over its high bits.
const hashFactor = 0x9E3779B1

// matchLen is how many bytes are the same at a and at b, b up to limit;
// a < b <= limit.
func matchLen(src []byte, a, b, limit int) int {
	start := b
	for b+8 <= limit {
		if x := load64(src, a) ^ load64(src, b); x != 0 {
			return b - start + bits.TrailingZeros64(x)>>3
		}
		a += 8
		b += 8
	}
	for b < limit && load8(src, a) == load8(src, b) {
		a++
		b++
	}
	return b - start
}

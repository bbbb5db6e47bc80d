package grain

import "math"

// A segment's sequences are first cut into pieces of splitStep bytes or little
// more; then neighbours are joined, those first that gain most, as long as one code
// for both costs less than two codes and their headers. Costs are entropies,
// in 1/16 bit.
const (
	segmentSize = 65536
	splitStep   = 8192
	maxPieces   = segmentSize/splitStep + 1

	costUnit = 16
)

// Header costs, roughly: a symbol's length in the header, and what every
// dynamic block has.
const (
	costSymbol = 4 * costUnit
	costBlock  = 80 * costUnit
)

// symbolCost[n] is what a symbol that occurs n times adds to the cost of
// coding it among N: n*log2(N) is left to be added for all symbols together.
var symbolCost = func() (t [4096]int32) {
	for n := 1; n < len(t); n++ {
		t[n] = costSymbol - nLogN(uint32(n))
	}
	return t
}()

// nLogN is n*log2(n) in cost units.
func nLogN(n uint32) int32 {
	if n == 0 {
		return 0
	}
	return int32(math.Round(float64(n) * math.Log2(float64(n)) * costUnit))
}

// entropy is the cost of coding the histogram, extra bits left out as they
// are the same however it is cut.
func (h *histogram) entropy() int32 {
	return costBlock + entropyOf(h.lit[:numLitSyms]) + entropyOf(h.dist[:numDistSyms])
}

func entropyOf(freq []uint32) (cost int32) {
	total := uint32(0)
	for _, n := range freq {
		total += n
		if n < uint32(len(symbolCost)) {
			cost += symbolCost[n]
		} else {
			cost += costSymbol - nLogN(n)
		}
	}
	return cost + nLogN(total)
}

// join merges neighbours; joined is scratch space, joined[i] being block i
// with the next one.
func join(blocks []block, joined []block) []block {
	if len(blocks) == 1 {
		return blocks
	}
	for i := range blocks {
		blocks[i].cost = blocks[i].entropy()
	}
	pair := func(i int) {
		j := &joined[i]
		*j = blocks[i]
		j.add(&blocks[i+1].histogram)
		j.lit[endOfBlock] = 1
		j.cost = j.entropy()
		j.end, j.last = blocks[i+1].end, blocks[i+1].last
	}
	for i := range len(blocks) - 1 {
		pair(i)
	}
	for len(blocks) > 1 {
		best, gain := -1, int32(0)
		for i := range len(blocks) - 1 {
			if g := blocks[i].cost + blocks[i+1].cost - joined[i].cost; g >= gain {
				best, gain = i, g
			}
		}
		if best < 0 {
			break
		}
		blocks[best] = joined[best]
		copy(blocks[best+1:], blocks[best+2:])
		copy(joined[best:len(blocks)-1], joined[best+1:len(blocks)-1])
		blocks = blocks[:len(blocks)-1]
		if best > 0 {
			pair(best - 1)
		}
		if best < len(blocks)-1 {
			pair(best)
		}
	}
	return blocks
}

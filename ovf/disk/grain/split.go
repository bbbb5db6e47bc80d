package grain

import "math"

// A segment's sequences are first cut into pieces of about splitStep bytes;
// then neighbours are joined, those first that gain most, as long as one code
// for both costs less than two codes and their headers. Costs are entropies,
// in 1/16 bit.
const (
	segmentSize = 65536
	splitStep   = 8192
	maxBlocks   = segmentSize/splitStep + 1

	costUnit = 16
)

// weightLog[n] is n*log2(n) in cost units.
var weightLog = func() (t [4096]uint32) {
	for n := 1; n < len(t); n++ {
		t[n] = uint32(math.Round(float64(n) * math.Log2(float64(n)) * costUnit))
	}
	return t
}()

func nLogN(n uint32) uint32 {
	if n < uint32(len(weightLog)) {
		return weightLog[n]
	}
	return uint32(float64(n) * math.Log2(float64(n)) * costUnit)
}

// Header costs, roughly: a symbol's length in the header, and what every
// dynamic block has.
const (
	costSymbol = 4 * costUnit
	costBlock  = 80 * costUnit
)

// entropy is the cost of coding the histogram, extra bits left out as they
// are the same however it is cut.
func (h *histogram) entropy() uint32 {
	cost := uint32(costBlock)
	total := uint32(0)
	for _, n := range h.lit[:numLitSyms] {
		if n != 0 {
			total += n
			cost += costSymbol - nLogN(n)
		}
	}
	cost += nLogN(total)
	total = 0
	for _, n := range h.dist[:numDistSyms] {
		if n != 0 {
			total += n
			cost += costSymbol - nLogN(n)
		}
	}
	return cost + nLogN(total)
}

// split cuts the segment src[start:] that the encoder has sequences of into
// blocks.
func (e *Encoder) split(src []byte, start int) []block {
	blocks := e.blocks[:0]
	first, at := 0, start
	pos := start
	for i, s := range e.seqs {
		pos += s.literals() + s.length()
		if pos-at < splitStep && i < len(e.seqs)-1 {
			continue
		}
		if len(src)-pos < splitStep/2 && i < len(e.seqs)-1 {
			continue
		}
		blocks = append(blocks, block{start: at, end: pos, first: first, last: i + 1})
		b := &blocks[len(blocks)-1]
		b.count(src[at:pos], e.seqs[first:i+1])
		b.lit[endOfBlock] = 1
		first, at = i+1, pos
	}
	if len(blocks) > 1 {
		blocks = join(blocks, e.joined[:])
	}
	return blocks
}

// join merges neighbours; joined is scratch space, joined[i] being block i
// with the next one.
func join(blocks []block, joined []block) []block {
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
			if g := int32(blocks[i].cost + blocks[i+1].cost - joined[i].cost); g >= gain {
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

package grain

import "math/bits"

// fastSearch takes the first match it sees: it looks at the last position
// whose next four bytes had the same hash, and no further.
type fastSearch struct {
	step int  // every so many positions of a match are remembered
	skip uint // after 1<<skip literals every other position is looked at, and so on

	table [1 << fastBits]uint16
}

const fastBits = 14

func fastHash(v uint64) uint32 { return uint32(v) * hashFactor >> (32 - fastBits) }

func (s *fastSearch) start() { clear(s.table[:]) }

func (s *fastSearch) search(g *segment, src []byte, from, to int) {
	table := &s.table
	pos, anchor := from, from
	end := to - searchMargin
	for pos <= end {
		v := load64(src, pos)
		h := fastHash(v)
		d := int(uint16(pos) - table[h])
		table[h] = uint16(pos)
		if load32(src, pos-d) != uint32(v) || uint(d-1) >= maxDistance {
			pos = g.literals(src, pos, min(pos+1+(pos-anchor)>>s.skip, to))
			continue
		}
		length := 8
		if x := load64(src, pos-d) ^ v; x != 0 {
			length = bits.TrailingZeros64(x) >> 3
		} else {
			length += matchLen(src, pos-d+8, pos+8, min(to, pos+maxMatch))
		}
		g.match(pos-anchor, length, d)
		anchor = pos + length
		stop := min(anchor, end+1)
		for pos++; pos < stop; pos += s.step {
			table[fastHash(load64(src, pos))] = uint16(pos)
		}
		pos = anchor
	}
	g.finish(src, anchor, pos, to)
}

package grain

import "math/bits"

// pairSearch looks at the last positions whose next seven, four and three
// bytes had the same hash, and takes the first of these that is a match: the
// long ones are found by the first table where the second, having many more
// entries to hold, has forgotten them. Before a match is taken the next
// position is tried.
type pairSearch struct {
	nice int  // a match this long is taken without looking for a better one
	step int  // every so many positions of a match are remembered
	skip uint // after 1<<skip literals every other position is looked at, and so on

	seven [1 << sevenBits]uint16
	four  [1 << fourBits]uint16
	three [1 << threeBits]uint16
}

const (
	sevenBits = 14
	fourBits  = 14
	threeBits = 12

	// A match of three bytes from further away costs more than literals do.
	threeDistance = 4096
)

func hash7(v uint64) uint32 { return uint32((v << 8) * 0xcf1bbcdcbfa56300 >> (64 - sevenBits)) }
func hash4(v uint64) uint32 { return uint32(v) * hashFactor >> (32 - fourBits) }
func hash3(v uint64) uint32 { return uint32(v) << 8 * hashFactor >> (32 - threeBits) }

func (s *pairSearch) start() {
	clear(s.seven[:])
	clear(s.four[:])
	clear(s.three[:])
}

func (s *pairSearch) search(g *segment, src []byte, from, to int) {
	seven, four, three := &s.seven, &s.four, &s.three
	pos, anchor := from, from
	end := to - searchMargin
	heldLen, heldDist := 0, 0 // the match at pos-1 that one at pos may better
	for pos <= end {
		v := load64(src, pos)
		h7, h4, h3 := hash7(v), hash4(v), hash3(v)
		d7 := int(uint16(pos) - seven[h7])
		d4 := int(uint16(pos) - four[h4])
		d3 := int(uint16(pos) - three[h3])
		seven[h7] = uint16(pos)
		four[h4] = uint16(pos)
		three[h3] = uint16(pos)

		length, dist := 0, 0
		if (load64(src, pos-d7)^v)<<8 == 0 && uint(d7-1) < maxDistance {
			length, dist = 7+matchLen(src, pos-d7+7, pos+7, min(to, pos+maxMatch)), d7
		} else if load32(src, pos-d4) == uint32(v) && uint(d4-1) < maxDistance {
			x := load64(src, pos-d4) ^ v
			if x == 0 {
				length, dist = 8+matchLen(src, pos-d4+8, pos+8, min(to, pos+maxMatch)), d4
			} else {
				length, dist = bits.TrailingZeros64(x)>>3, d4
			}
		} else if (load32(src, pos-d3)^uint32(v))<<8 == 0 && uint(d3-1) < threeDistance {
			length, dist = 3, d3
		}

		start := pos
		if heldLen != 0 {
			if length <= heldLen {
				start, length, dist = pos-1, heldLen, heldDist
				goto take
			}
			g.literal(load8(src, pos-1))
		} else if length == 0 {
			pos = g.literals(src, pos, min(pos+1+(pos-anchor)>>s.skip, to))
			continue
		}
		if length < s.nice {
			heldLen, heldDist = length, dist
			pos++
			continue
		}
	take:
		heldLen = 0
		g.match(start-anchor, length, dist)
		anchor = start + length
		stop := min(anchor, end+1)
		for pos++; pos < stop; pos += s.step {
			v := load64(src, pos)
			seven[hash7(v)] = uint16(pos)
			four[hash4(v)] = uint16(pos)
		}
		pos = anchor
	}
	if heldLen != 0 {
		g.match(pos-1-anchor, heldLen, heldDist)
		anchor = pos - 1 + heldLen
		pos = anchor
	}
	g.finish(src, anchor, pos, to)
}

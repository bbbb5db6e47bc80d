package grain

import "math/bits"

// A zstdSequence is a run of literals and the match after it: the run's
// length in the upper 24 bits, the match's in the next 20, its offset value
// (RFC 8878 3.1.1.3.2.1.1) below.
type zstdSequence uint64

func newZstdSequence(literals, length, value int) zstdSequence {
	return zstdSequence(literals)<<40 | zstdSequence(length)<<20 | zstdSequence(value)
}

// repeats are the last distances, the most recent first. There is a third, which
// is never referred to: to look for it costs more than it saves.
type repeats [2]int

// zstdSearch takes the first match that it sees, as fastSearch does, but looks
// first for one at the last distance again, which costs zstd next to nothing.
// Its table is used as those of the other searches are.
type zstdSearch struct {
	table [1 << zstdBits]uint16

	seqs []zstdSequence
	lits []byte // those of all sequences, then those after the last
}

const (
	zstdBits   = 14
	zstdSkip   = 6
	zstdMargin = 20 // before the end nothing is looked for: so much is read or copied from there on at most
	litSlack   = 32 // what copies may touch behind the literals
)

func zstdHash(v uint64) uint32 {
	return uint32((v << 8) * 0xcf1bbcdcbfa56300 >> (64 - zstdBits))
}

func (s *zstdSearch) start() { clear(s.table[:]) }

// search finds the sequences of src[from:to], at most a segment; matches may
// reach back before from. reps are the last distances before it, and become
// those at its end.
func (s *zstdSearch) search(src []byte, from, to int, reps *repeats) {
	last, second := reps[0], reps[1]
	table := &s.table
	seqs := s.seqs[:cap(s.seqs)]
	lits := s.lits[:cap(s.lits)]
	nSeqs, nLits := 0, 0
	pos, anchor := from, from
	if pos == 0 {
		pos = 1 // there is nothing before 0, and what no entry was made for reads as 0
	}
	end := to - zstdMargin
	for pos <= end {
		v := load64(src, pos)
		h0, h1 := zstdHash(v), zstdHash(v>>8)
		d0 := int(uint16(pos) - table[h0])
		table[h0] = uint16(pos)
		d1 := int(uint16(pos+1) - table[h1])
		table[h1] = uint16(pos + 1)
		var start, d, length int
		if load32(src, pos+2-last) == uint32(v>>16) {
			start, d = pos+2, last
		} else if load32(src, pos-d0) == uint32(v) && d0 != 0 {
			start, d = pos, d0
		} else if load32(src, pos+1-d1) == uint32(v>>8) && d1 != 0 {
			start, d = pos+1, d1
		} else {
			pos += 2 + (pos-anchor)>>zstdSkip
			continue
		}
		at := start
		if x := load64(src, start-d) ^ load64(src, start); x != 0 {
			length = bits.TrailingZeros64(x) >> 3
		} else {
			length = 8 + matchLen(src, start-d+8, start+8, to)
		}
		// What comes before may match too.
		if start-d >= 8 {
			x := load64(src, start-8) ^ load64(src, start-d-8)
			back := min(bits.LeadingZeros64(x)>>3, start-anchor)
			start -= back
			length += back
		} else {
			for start > anchor && start-d > 0 && load8(src, start-1) == load8(src, start-d-1) {
				start--
				length++
			}
		}
		run := start - anchor
		value := 1
		if d != last || run == 0 { // without literals 1 means the second
			value = d + zstdRepeats
			second, last = last, d
		}
		move16(lits, nLits, src, anchor)
		for i := 16; i < run; i += 16 {
			move16(lits, nLits+i, src, anchor+i)
		}
		nLits += run
		seqs[nSeqs] = newZstdSequence(run, length, value)
		nSeqs++
		pos = start + length
		anchor = pos
		if pos > end {
			break
		}
		table[zstdHash(load64(src, at+2))] = uint16(at + 2)
		table[zstdHash(load64(src, pos-2))] = uint16(pos - 2)
		for pos <= end && load32(src, pos) == load32(src, pos-second) {
			length := 4 + matchLen(src, pos-second+4, pos+4, to)
			second, last = last, second
			table[zstdHash(load64(src, pos))] = uint16(pos)
			seqs[nSeqs] = newZstdSequence(0, length, 1)
			nSeqs++
			pos += length
			anchor = pos
		}
	}
	nLits += copy(lits[nLits:], src[anchor:to])
	s.seqs, s.lits = seqs[:nSeqs], lits[:nLits]
	*reps = repeats{last, second}
}

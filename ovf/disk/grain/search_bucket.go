package grain

import "math/bits"

// bucketSearch looks for matches among the last four positions whose next
// four bytes had the same hash. The four are one word: a bucket is read with
// one load, and a position goes in with a shift. Positions are kept modulo
// 64 KiB, which is twice the window, so that what is remembered from further
// back only ever gives distances to be checked like any other.
type bucketSearch struct {
	lazy  bool
	nice  int  // a match this long is taken without looking for a better one
	skip  uint // without matches for 1<<skip bytes, look at every other position, and so on
	table [1 << bucketBits]uint64
}

const bucketBits = 12

func (s *bucketSearch) start(int) { clear(s.table[:]) }

func bucketHash(v uint32) uint32 { return v * 0x9E3779B1 >> (32 - bucketBits) }

// matchLen is how many bytes are the same at a and b, at most limit-b; a < b.
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

// longest finds the longest match at pos longer than best.
func (s *bucketSearch) longest(src []byte, pos, limit int, bucket uint64, best int) (length, dist int) {
	v := load32(src, pos)
	length = best
	for range 4 {
		d := uint16(pos) - uint16(bucket)
		bucket >>= 16
		if d-1 >= maxDistance {
			continue
		}
		at := pos - int(d)
		if load32(src, at) != v || length > 3 && load32(src, at+length-3) != load32(src, pos+length-3) {
			continue
		}
		if l := 4 + matchLen(src, at+4, pos+4, limit); l > length {
			length, dist = l, int(d)
			if pos+l >= limit {
				break
			}
		}
	}
	return length, dist
}

func (s *bucketSearch) search(seqs []sequence, src []byte, from, to int) []sequence {
	table := &s.table
	pos, anchor := from, from
	end := to - 8 // last position where a match is looked for
	for pos <= end {
		h := bucketHash(load32(src, pos))
		bucket := table[h]
		table[h] = bucket<<16 | uint64(uint16(pos))
		length, dist := s.longest(src, pos, min(to, pos+maxMatch), bucket, 3)
		if length < 4 {
			pos += 1 + (pos-anchor)>>s.skip
			continue
		}
		for s.lazy && length < s.nice && pos < end {
			h := bucketHash(load32(src, pos+1))
			bucket := table[h]
			table[h] = bucket<<16 | uint64(uint16(pos+1))
			l, d := s.longest(src, pos+1, min(to, pos+1+maxMatch), bucket, length)
			if l <= length {
				break
			}
			pos++
			length, dist = l, d
		}
		seqs = append(seqs, newSequence(pos-anchor, length, dist))
		stop := pos + length
		for p := pos + 1; p < stop && p <= end; p++ {
			h := bucketHash(load32(src, p))
			table[h] = table[h]<<16 | uint64(uint16(p))
		}
		pos, anchor = stop, stop
	}
	return append(seqs, newSequence(to-anchor, 0, 1))
}

func newSearcher(level int) searcher {
	switch {
	case level == 0:
		return nil
	case level <= 3:
		return &bucketSearch{nice: 32, skip: 6}
	}
	return &bucketSearch{lazy: true, nice: 32, skip: 6}
}

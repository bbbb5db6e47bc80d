package grain

// chainSearch looks for matches along chains of all positions whose next four
// bytes had the same hash, and at the last position whose next three had: the
// thorough search of the higher levels. Before a match is taken the next
// position is tried, and the one after that too if deep.
type chainSearch struct {
	depth int // positions tried
	nice  int // a match this long is taken without looking for a better one
	lazy  int // how many positions on a better match is looked for

	head  [1 << chainBits]uint16
	head3 [1 << shortBits]uint16
	prev  [maxDistance]uint16
}

const (
	chainBits = 15
	shortBits = 13
)

func (s *chainSearch) start() {
	clear(s.head[:])
	clear(s.head3[:])
}

func chainHash(v uint32) uint32 { return v * hashFactor >> (32 - chainBits) }
func shortHash(v uint32) uint32 { return (v << 8) * hashFactor >> (32 - shortBits) }

// insert remembers pos and returns the last positions with its hashes.
func (s *chainSearch) insert(src []byte, pos int) (last, last3 uint16) {
	v := load32(src, pos)
	h := chainHash(v)
	last = s.head[h]
	s.prev[pos%maxDistance] = last
	s.head[h] = uint16(pos)
	h = shortHash(v)
	last3 = s.head3[h]
	s.head3[h] = uint16(pos)
	return last, last3
}

// longest finds the longest match at pos longer than best.
func (s *chainSearch) longest(src []byte, pos, limit int, last, last3 uint16, best int) (length, dist int) {
	length = best
	v := load32(src, pos)
	if d := uint16(pos) - last3; best < 3 && d-1 < threeDistance {
		at := pos - int(d)
		if (load32(src, at)^v)<<8 == 0 {
			length, dist = 3, int(d)
		}
	}
	if pos+length >= limit {
		return length, dist // there is nothing longer to find
	}
	previous := uint16(0)
	for range s.depth {
		d := uint16(pos) - last
		if d-1 >= maxDistance || d <= previous {
			break
		}
		previous = d
		at := pos - int(d)
		last = s.prev[last%maxDistance]
		if load32(src, at) != v || length > 3 && load32(src, at+length-3) != load32(src, pos+length-3) {
			continue
		}
		if l := 4 + matchLen(src, at+4, pos+4, limit); l > length {
			length, dist = l, int(d)
			if l >= s.nice || pos+l >= limit {
				break
			}
		}
	}
	return length, dist
}

func (s *chainSearch) search(g *segment, src []byte, from, to int) {
	pos, anchor := from, from
	end := to - searchMargin
	for pos <= end {
		last, last3 := s.insert(src, pos)
		length, dist := s.longest(src, pos, min(to, pos+maxMatch), last, last3, 2)
		if length < minMatch {
			g.literal(src[pos])
			pos++
			continue
		}
		next := pos + 1
		for try := 1; try <= s.lazy && length < s.nice && next <= end; try++ {
			last, last3 = s.insert(src, next)
			l, d := s.longest(src, next, min(to, next+maxMatch), last, last3, length)
			if l > length {
				pos = g.literals(src, pos, next)
				length, dist = l, d
				try = 0
			}
			next++
		}
		g.match(pos-anchor, length, dist)
		pos += length
		anchor = pos
		for ; next < pos && next <= end; next++ {
			s.insert(src, next)
		}
	}
	g.finish(src, anchor, pos, to)
}

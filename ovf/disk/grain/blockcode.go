package grain

// bitSlack is how many bytes past the end of its output a bitWriter may touch.
const bitSlack = 16

// Codewords are kept short enough for four literals, or a match, to fit the
// bit buffer between flushes.
const (
	litLimit  = 14
	distLimit = 15
)

// blockCode is the codes of one block, and space to make them.
type blockCode struct {
	huffman
	litLens  [maxLitSyms]uint8
	distLens [maxDistSyms]uint8
	lit      [maxLitSyms]codeword
	dist     [maxDistSyms]codeword
	header   blockHeader

	// match is, for each match length, codeword and extra bits together in
	// the low 24 bits and their number above.
	match [512]uint32 // maxMatch+1 of them
}

// write writes a block in its smallest form. It reports false, having written
// nothing, if that would go past limit in w.dst.
func (c *blockCode) write(w *bitWriter, limit int, src []byte, seqs []sequence, b *block, final bool) bool {
	c.build(b.lit[:numLitSyms], litLimit, c.litLens[:], c.lit[:])
	c.build(b.dist[:numDistSyms], distLimit, c.distLens[:], c.dist[:])
	dynamic := 3 + c.header.prepare(&c.huffman, c.litLens[:numLitSyms], c.distLens[:numDistSyms])
	fixed := uint(3)
	for sym, n := range b.lit[:numLitSyms] {
		dynamic += uint(n) * uint(c.litLens[sym])
		fixed += uint(n) * uint(fixedLitLen(sym))
	}
	extra := uint(0)
	for i, n := range b.lit[257:numLitSyms] {
		extra += uint(n) * uint(lengthExtra[i])
	}
	for sym, n := range b.dist[:numDistSyms] {
		dynamic += uint(n) * uint(c.distLens[sym])
		fixed += uint(n) * 5
		extra += uint(n) * uint(distExtra[sym])
	}
	dynamic += extra
	fixed += extra

	size := b.end - b.start
	stored := (3+w.n+7)&^7 - w.n + uint(StoredSize(size))*8 - 8
	best := min(dynamic, fixed, stored)
	if w.out+int(w.n+best+7)>>3 > limit {
		return false
	}
	last := uint64(0)
	if final {
		last = 1
	}
	switch best {
	case stored:
		w.stored(src[b.start:b.end], last)
		return true
	case fixed:
		w.add(last|blockFixed<<1, 3)
		c.fixed()
	default:
		w.add(last|blockDynamic<<1, 3)
		c.header.write(w)
	}
	w.flush()
	c.body(w, src[b.start:b.end], seqs)
	return true
}

// fixed makes the code of RFC 1951 3.2.6.
func (c *blockCode) fixed() {
	for sym := range c.litLens {
		c.litLens[sym] = fixedLitLen(sym)
	}
	for sym := range c.distLens {
		c.distLens[sym] = 5
	}
	assign(c.litLens[:], c.lit[:])
	assign(c.distLens[:], c.dist[:])
}

// body writes the block's sequences and its end.
func (c *blockCode) body(w *bitWriter, src []byte, seqs []sequence) {
	for l := minMatch; l <= maxMatch; l++ {
		sym := lengthSym[l]
		word := c.lit[257+int(sym)]
		c.match[l] = uint32(word.bits()) | uint32(l-int(lengthBase[sym]))<<word.len() |
			uint32(word.len()+uint(lengthExtra[sym]))<<24
	}
	// The writer's fields are kept in registers meanwhile.
	lit, dist, match := &c.lit, &c.dist, &c.match
	dst, out, buf, n := w.dst, w.out, w.buf, w.n
	at := 0
	for _, s := range seqs {
		end := at + s.literals()
		for at < end {
			// Four at a time; those past the end of the run are masked out,
			// which costs less than mispredicting how many there are.
			v := uint32(0)
			if at+4 <= len(src) {
				v = load32(src, at)
			} else {
				for i := at; i < end; i++ {
					v |= uint32(src[i]) << (uint(i-at) * 8)
				}
			}
			c0, c1, c2, c3 := lit[v&0xff], lit[v>>8&0xff], lit[v>>16&0xff], lit[v>>24]
			left := end - at
			c1 &= codeword(int64(1-left) >> 63)
			c2 &= codeword(int64(2-left) >> 63)
			c3 &= codeword(int64(3-left) >> 63)
			at += 4
			buf |= c0.bits() << (n & 63)
			n += c0.len()
			buf |= c1.bits() << (n & 63)
			n += c1.len()
			buf |= c2.bits() << (n & 63)
			n += c2.len()
			buf |= c3.bits() << (n & 63)
			n += c3.len()
			store64(dst, out, buf)
			out += int(n >> 3)
			buf >>= n & 56
			n &= 7
		}
		at = end
		length := s.length()
		if length == 0 {
			continue
		}
		at += length
		m := match[length%len(match)]
		buf |= uint64(m&(1<<24-1)) << (n & 63)
		n += uint(m >> 24)
		d := uint32(s) & 0xffff
		sym, extra := distanceSym(d)
		word := dist[sym%maxDistSyms]
		buf |= (word.bits() | uint64(d&(1<<(extra&31)-1))<<(word.len()&63)) << (n & 63)
		n += word.len() + uint(extra)
		store64(dst, out, buf)
		out += int(n >> 3)
		buf >>= n & 56
		n &= 7
	}
	w.out, w.buf, w.n = out, buf, n
	w.literal(lit[endOfBlock])
	w.flush()
}

package grain

import "math/bits"

// A sequence is a run of literals and the match after it: the run's length in
// the upper 32 bits, the match's length above the low 16, its distance less
// one in the low 16. A length of 0 means no match: the literals end a segment.
type sequence uint64

func newSequence(literals, length, distance int) sequence {
	return sequence(literals)<<32 | sequence(length)<<16 | sequence(distance-1)&0xffff
}

func (s sequence) literals() int { return int(s >> 32) }
func (s sequence) length() int   { return int(s >> 16 & 0xffff) }

// lengthSym is the length symbol, less 257, of each match length.
var lengthSym = func() (sym [512]uint8) {
	for i, base := range lengthBase {
		for l := int(base); l <= maxMatch; l++ {
			sym[l] = uint8(i)
		}
	}
	return sym
}()

// distanceSym is the symbol of a distance less one, and the number of extra
// bits: those below the two highest.
func distanceSym(d uint32) (sym, extra uint32) {
	if d < 2 {
		return d, 0
	}
	extra = uint32(bits.Len32(d)) - 2
	return 2*extra + d>>(extra&31), extra
}

// histogram counts the symbols of a stretch of input.
type histogram struct {
	lit  [maxLitSyms]uint32
	dist [maxDistSyms]uint32
}

func (h *histogram) add(o *histogram) {
	for i, n := range o.lit[:numLitSyms] {
		h.lit[i] += n
	}
	for i, n := range o.dist[:numDistSyms] {
		h.dist[i] += n
	}
}

// block is a stretch of a segment that shares its codes.
type block struct {
	histogram
	cost        int32 // of the histogram, see split.go
	start, end  int   // in the input
	first, last int   // its sequences, last excluded
}

// segment collects what a search finds: sequences, and pieces of about
// splitStep bytes with their histograms. Literals are counted as the search
// steps over them, where that is free, rather than later, where it is not.
type segment struct {
	seqs   []sequence
	pieces []block
	piece  *block // the last one
}

func newSegment() segment {
	return segment{
		seqs:   make([]sequence, 0, segmentSize/minMatch+1),
		pieces: make([]block, 0, maxPieces),
	}
}

// begin starts a segment at pos of the input.
func (g *segment) begin(pos int) {
	g.seqs, g.pieces = g.seqs[:0], g.pieces[:0]
	g.next(pos)
}

// next starts a piece at pos.
func (g *segment) next(pos int) {
	g.pieces = append(g.pieces, block{start: pos, end: pos, first: len(g.seqs), last: len(g.seqs)})
	g.piece = &g.pieces[len(g.pieces)-1]
	g.piece.lit[endOfBlock] = 1
}

// literal counts a literal. All of a sequence's are to be counted before it.
func (g *segment) literal(b byte) { g.piece.lit[b]++ }

// literals counts src[from:to] as literals and returns to.
func (g *segment) literals(src []byte, from, to int) int {
	for {
		g.literal(load8(src, from))
		if from++; from >= to {
			return from
		}
	}
}

// match adds a sequence, whose literals are counted already.
func (g *segment) match(literals, length, distance int) {
	s := newSequence(literals, length, distance)
	g.seqs = append(g.seqs, s)
	p := g.piece
	p.lit[257+int(lengthSym[length%512])]++
	sym, _ := distanceSym(uint32(s) & 0xffff)
	p.dist[sym%maxDistSyms]++
	p.end += literals + length
	p.last++
	if p.end-p.start >= splitStep {
		g.next(p.end)
	}
}

// finish adds the literals src[anchor:to] left at the end of the segment, of
// which those before pos are counted, and drops a piece begun for nothing.
func (g *segment) finish(src []byte, anchor, pos, to int) {
	if anchor == to {
		if g.piece.end == g.piece.start {
			g.pieces = g.pieces[:len(g.pieces)-1]
		}
		return
	}
	for _, b := range src[pos:to] {
		g.literal(b)
	}
	g.seqs = append(g.seqs, newSequence(to-anchor, 0, 1))
	g.piece.end = to
	g.piece.last++
}

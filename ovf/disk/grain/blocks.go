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
func (s sequence) distance() int { return int(s&0xffff) + 1 }

// lengthSym is the length symbol, less 257, of each match length.
var lengthSym = func() (sym [maxMatch + 1]uint8) {
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
	if d < 4 {
		return d, 0
	}
	extra = uint32(bits.Len32(d)) - 2
	return 2*extra + d>>extra, extra
}

// histogram counts the symbols of a stretch of input.
type histogram struct {
	lit  [maxLitSyms]uint32
	dist [maxDistSyms]uint32
}

func (h *histogram) count(src []byte, seqs []sequence) {
	for _, s := range seqs {
		n := s.literals()
		for _, b := range src[:n] {
			h.lit[b]++
		}
		length := s.length()
		if length != 0 {
			h.lit[257+int(lengthSym[length%(maxMatch+1)])]++
			sym, _ := distanceSym(uint32(s) & 0xffff)
			h.dist[sym%maxDistSyms]++
		}
		src = src[n+length:]
	}
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
	cost        uint32 // of the histogram, see split.go
	start, end  int    // in the input
	first, last int    // its sequences, last excluded
}

package grain

import "math/bits"

// Finite state entropy coding, RFC 8878 4.1. The 1<<log cells of a table are
// shared out among symbols in proportion to how often they occur. A state is a
// cell; coding a symbol goes to one of the symbol's cells and puts out the
// bits by which a decoder finds the way back.
const (
	maxFseLog     = 9
	minFseLog     = 5
	maxFseSymbols = 64 // numMatchLenCodes of them are the most that are used
)

// fseTable codes symbols.
type fseTable struct {
	log     uint
	symbols int                  // up to the last that has cells
	norm    [maxFseSymbols]int16 // cells of each symbol; -1 is one, at the table's end

	// step is, of each symbol, in its low half what to add to a state to have
	// the number of bits to put out in the upper 16, in its high half what to
	// add to the rest of the state to have the place in next.
	step  [maxFseSymbols]uint64
	first [maxFseSymbols]uint16 // place in next of the symbol's first state
	next  [1 << maxFseLog]uint16
}

// fseLog is the log of a table for n symbols, so many of them distinct: not
// more than limit, which gives two cells to each. More cells are more exact,
// and take more to describe.
func fseLog(n uint32, distinct int, limit uint) uint {
	worth := max(bits.Len32(n), 2) - 2
	return min(uint(max(worth, bits.Len(uint(distinct))+1, minFseLog)), limit)
}

// normalize shares the cells of a table of 1<<log out among symbols that occur
// freq times, total in all; each that occurs gets one at least. There are two
// such symbols at least, and not more than cells.
func (t *fseTable) normalize(freq []uint32, total uint32, log uint) {
	t.log, t.symbols = log, 0
	left := int32(1) << log
	scale := uint64(1) << (log + 32) / uint64(total)
	largest := 0
	for sym, n := range freq {
		if n == 0 {
			t.norm[sym] = 0
			continue
		}
		t.symbols = sym + 1
		cells := max(int32((uint64(n)*scale+1<<31)>>32), 1)
		t.norm[sym] = int16(cells)
		left -= cells
		if n > freq[largest] {
			largest = sym
		}
	}
	if int32(t.norm[largest])+left >= int32(t.norm[largest])*3/4 {
		t.norm[largest] += int16(left)
		return
	}
	for ; left < 0; left++ {
		// From the symbol that has most for how often it occurs.
		worst, most := 0, uint64(0)
		for sym, n := range freq {
			if t.norm[sym] > 1 {
				if c := uint64(t.norm[sym]) << 32 / uint64(n); c > most {
					worst, most = sym, c
				}
			}
		}
		t.norm[worst]--
	}
}

// only makes a table for nothing but sym, which puts out no bits.
func (t *fseTable) only(sym int) {
	clear(t.norm[:])
	t.log, t.symbols, t.norm[sym] = 0, sym+1, 1
	t.build()
}

// build makes what coding by norm takes.
func (t *fseTable) build() {
	size := 1 << t.log
	var cells [1 << maxFseLog]uint8
	var place [maxFseSymbols]uint16
	at, high := 0, size // cells from high on are those of symbols with -1
	for sym, n := range t.norm[:t.symbols] {
		if n == 0 {
			continue
		}
		if n < 0 {
			high--
			cells[high] = uint8(sym)
			n = 1
		}
		// A state takes nb bits down to n and up, or, below n<<nb, one less.
		nb := t.log
		if n > 1 {
			nb -= uint(bits.Len16(uint16(n-1))) - 1
		}
		t.step[sym] = uint64(uint32(nb<<16)-uint32(n)<<nb) | uint64(uint32(at-int(n)))<<32
		t.first[sym], place[sym] = uint16(at), uint16(at)
		at += int(n)
	}
	step, pos := size>>1+size>>3+3, 0
	for sym, n := range t.norm[:t.symbols] {
		for range n {
			cells[pos] = uint8(sym)
			for pos = (pos + step) & (size - 1); pos >= high; {
				pos = (pos + step) & (size - 1)
			}
		}
	}
	for i, sym := range cells[:size] {
		t.next[place[sym]] = uint16(size + i)
		place[sym]++
	}
}

// start is a state that means sym.
func (t *fseTable) start(sym uint32) uint32 { return uint32(t.next[t.first[sym]]) }

// put codes sym before what state stands for.
func (t *fseTable) put(w *bitWriter, state, sym uint32) uint32 {
	step := t.step[sym]
	nb := (state + uint32(step)) >> 16
	w.add(uint64(state&(1<<nb-1)), uint(nb))
	return uint32(t.next[state>>nb+uint32(step>>32)])
}

// describe writes the table's description, RFC 8878 4.1.1.
func (t *fseTable) describe(w *bitWriter) {
	w.add(uint64(t.log-minFseLog), 4)
	left := uint32(1) << t.log
	for sym := 0; left > 0; {
		n := t.norm[sym]
		v, top := uint32(n+1), left+1
		nb := uint(bits.Len32(top))
		// So many of the lowest values take a bit less.
		short := uint32(1)<<nb - 1 - top
		switch {
		case v < short:
			w.add(uint64(v), nb-1)
		case v < 1<<(nb-1):
			w.add(uint64(v), nb)
		default:
			w.add(uint64(v+short), nb)
		}
		w.flush()
		if n < 0 {
			n = 1
		}
		left -= uint32(n)
		sym++
		if n != 0 {
			continue
		}
		run := 0
		for t.norm[sym+run] == 0 {
			run++
		}
		sym += run
		for ; run >= 3; run -= 3 {
			w.add(3, 2)
			w.flush()
		}
		w.add(uint64(run), 2)
		w.flush()
	}
	w.align()
}

// cost is what coding freq with the table takes, in costUnits, without the
// table's description; ok is false where a symbol has no cells.
func (t *fseTable) cost(freq []uint32) (cost int, ok bool) {
	for sym, n := range freq {
		if n == 0 {
			continue
		}
		if sym >= t.symbols || t.norm[sym] == 0 {
			return 0, false
		}
		cost += int(n) * (int(t.log)*costUnit - int(cellCost[max(t.norm[sym], 1)]))
	}
	return cost, true
}

// cellCost is the logarithm of a number of cells in costUnits.
var cellCost = func() (c [1<<maxFseLog + 1]uint16) {
	for n := 1; n < len(c); n++ {
		c[n] = uint16(nLogN(uint32(n)) / int32(n))
	}
	return c
}()

package grain

// blockHeader is the description of a dynamic block's codes (RFC 1951 3.2.7).
type blockHeader struct {
	numLit, numDist, numPre int

	lens  [maxLitSyms + maxDistSyms]uint8
	runs  [maxLitSyms + maxDistSyms]uint16 // code length symbols, extra bits above the low 8
	nRuns int

	freq     [numPreSyms]uint32
	codeLens [numPreSyms]uint8
	code     [numPreSyms]codeword
}

// preExtra is the number of extra bits of the repeating symbols 16 to 18.
var preExtra = [numPreSyms]uint8{16: 2, 17: 3, 18: 7}

// prepare makes the header of a block with codes of these lengths and returns
// its length in bits.
func (h *blockHeader) prepare(make *huffman, lit, dist []uint8) uint {
	h.numLit, h.numDist = len(lit), len(dist)
	for h.numLit > 257 && lit[h.numLit-1] == 0 {
		h.numLit--
	}
	for h.numDist > 1 && dist[h.numDist-1] == 0 {
		h.numDist--
	}
	n := copy(h.lens[:], lit[:h.numLit])
	n += copy(h.lens[n:], dist[:h.numDist])
	h.runLengths(h.lens[:n])
	make.build(h.freq[:], maxPreCodeLen, h.codeLens[:], h.code[:])
	h.numPre = numPreSyms
	for h.numPre > 4 && h.codeLens[precodeOrder[h.numPre-1]] == 0 {
		h.numPre--
	}
	bits := 14 + 3*uint(h.numPre)
	for sym, f := range h.freq {
		bits += uint(f) * uint(h.codeLens[sym]+preExtra[sym])
	}
	return bits
}

// runLengths writes lens as code length symbols, runs as repeats.
func (h *blockHeader) runLengths(lens []uint8) {
	h.freq = [numPreSyms]uint32{}
	h.nRuns = 0
	emit := func(sym, extra int) {
		h.freq[sym]++
		h.runs[h.nRuns] = uint16(sym | extra<<8)
		h.nRuns++
	}
	for i := 0; i < len(lens); {
		l, end := lens[i], i+1
		for end < len(lens) && lens[end] == l {
			end++
		}
		run := end - i
		i = end
		if l == 0 {
			for run >= 11 {
				n := min(run, 138)
				emit(18, n-11)
				run -= n
			}
			if run >= 3 {
				emit(17, run-3)
				run = 0
			}
		} else if run >= 4 {
			emit(int(l), 0)
			run--
			for run >= 3 {
				n := min(run, 6)
				emit(16, n-3)
				run -= n
			}
		}
		for range run {
			emit(int(l), 0)
		}
	}
}

// write writes the header prepared, all but the block's type.
func (h *blockHeader) write(w *bitWriter) {
	w.add(uint64(h.numLit-257)|uint64(h.numDist-1)<<5|uint64(h.numPre-4)<<10, 14)
	w.flush()
	for _, sym := range precodeOrder[:h.numPre] {
		w.add(uint64(h.codeLens[sym]), 3)
		w.flush()
	}
	for _, run := range h.runs[:h.nRuns] {
		sym := run & 0xff
		word := h.code[sym]
		w.add(word.bits()|uint64(run>>8)<<word.len(), word.len()+uint(preExtra[sym]))
		w.flush()
	}
}

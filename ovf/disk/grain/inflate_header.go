package grain

import "fmt"

// fixedTables makes the decode tables of RFC 1951 3.2.6, unless they are the
// last ones made.
func (f *inflater) fixedTables() {
	if f.fixed {
		return
	}
	for i := range maxLitSyms {
		f.lens[i] = fixedLitLen(i)
	}
	for i := range maxDistSyms {
		f.lens[maxLitSyms+i] = 5
	}
	buildTable(f.lit[:], litIndexBits, f.lens[:maxLitSyms], litEntries[:])
	buildTable(f.dist[:], distIndexBits, f.lens[maxLitSyms:], distEntries[:])
	f.fixed = true
}

// dynamicTables reads the codes of a dynamic block (RFC 1951 3.2.7) and makes
// its decode tables.
func (f *inflater) dynamicTables() error {
	f.fixed = false
	f.refill()
	if f.n < 14 {
		return f.truncated("dynamic block's header")
	}
	numLit := int(f.buf&31) + 257
	numDist := int(f.buf>>5&31) + 1
	numPre := int(f.buf>>10&15) + 4
	f.skip(14)
	if numLit > numLitSyms || numDist > numDistSyms {
		return f.corrupt(fmt.Sprintf("dynamic block with %d length and %d distance codes, at most %d and %d exist",
			numLit, numDist, numLitSyms, numDistSyms))
	}
	var preLens [numPreSyms]uint8
	for i := range numPre {
		if f.n < 3 {
			f.refill()
			if f.n < 3 {
				return f.truncated("code length code")
			}
		}
		preLens[precodeOrder[i]] = uint8(f.buf & 7)
		f.skip(3)
	}
	if !buildTable(f.pre[:], preIndexBits, preLens[:], preEntries[:]) {
		return f.corrupt("code length code is not a prefix code")
	}
	if err := f.codeLengths(numLit + numDist); err != nil {
		return err
	}
	if f.lens[endOfBlock] == 0 {
		return f.corrupt("dynamic block has no end-of-block code")
	}
	if !buildTable(f.lit[:], litIndexBits, f.lens[:numLit], litEntries[:]) {
		return f.corrupt("literal and length code is not a prefix code")
	}
	if !buildTable(f.dist[:], distIndexBits, f.lens[numLit:numLit+numDist], distEntries[:]) {
		return f.corrupt("distance code is not a prefix code")
	}
	return nil
}

// codeLengths reads total code lengths, those of literals and lengths and
// those of distances as one run.
func (f *inflater) codeLengths(total int) error {
	lens := f.lens[:total]
	for i := 0; i < total; {
		if f.n < maxPreCodeLen+7 {
			f.refill()
		}
		e := f.pre[f.buf&(preTableSize-1)]
		bits := uint(e & 0xff)
		if e&entryExceptional != 0 {
			if f.n == 0 {
				return f.truncated("code lengths")
			}
			return f.corrupt("code length code has no such codeword")
		}
		sym := e >> 16
		if sym < 16 {
			if bits > f.n {
				return f.truncated("code lengths")
			}
			f.skip(bits)
			lens[i] = uint8(sym)
			i++
			continue
		}
		extra, base, value := uint(2), 3, uint8(0)
		switch sym {
		case 16:
			if i == 0 {
				return f.corrupt("code length repeated before the first one")
			}
			value = lens[i-1]
		case 17:
			extra = 3
		case 18:
			extra, base = 7, 11
		}
		if bits+extra > f.n {
			return f.truncated("code lengths")
		}
		f.skip(bits)
		repeat := base + int(f.buf&(1<<extra-1))
		f.skip(extra)
		if repeat > total-i {
			return f.corrupt(fmt.Sprintf("code length repeated %d times with %d left to give", repeat, total-i))
		}
		for range repeat {
			lens[i] = value
			i++
		}
	}
	return nil
}

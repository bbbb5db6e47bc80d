package grain

import "encoding/binary"

// How a table of codes is given, RFC 8878 3.1.1.3.2.1.
const (
	tablePredefined = 0
	tableRLE        = 1
	tableDescribed  = 2
)

// The predefined distributions of RFC 8878 3.1.1.3.2.2.
var (
	predefinedLitLen   = predefined(6, 4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1)
	predefinedMatchLen = predefined(6, 1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1)
	predefinedOffset   = predefined(5, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1)
)

func predefined(log uint, norm ...int16) *fseTable {
	t := &fseTable{log: log, symbols: len(norm)}
	copy(t.norm[:], norm)
	t.build()
	return t
}

// codeTable is how the codes of one kind are written in a block.
type codeTable struct {
	freq [maxFseSymbols]uint32
	own  fseTable
	use  *fseTable
	mode byte
}

// choose takes the table that is smallest for what freq counts, total in all,
// and writes its description.
func (c *codeTable) choose(w *bitWriter, symbols int, total uint32, standard *fseTable, limit uint) {
	freq := c.freq[:symbols]
	distinct, last := 0, 0
	for sym, n := range freq {
		if n > 0 {
			distinct++
			last = sym
		}
	}
	c.mode, c.use = tablePredefined, standard
	without, ok := standard.cost(freq)
	if distinct == 1 {
		if !ok || without > 8*costUnit {
			c.own.only(last)
			c.mode, c.use = tableRLE, &c.own
			w.dst[w.out] = byte(last)
			w.out++
		}
		return
	}
	if ok && total < 16 {
		return
	}
	c.own.normalize(freq, total, fseLog(total, distinct, limit))
	with, _ := c.own.cost(freq)
	describe := *w
	c.own.describe(&describe)
	if ok && with+(describe.out-w.out)*8*costUnit >= without {
		return
	}
	c.mode, c.use = tableDescribed, &c.own
	c.own.build()
	*w = describe
}

// zstdSequences writes sequences sections, and holds the space to do it.
type zstdSequences struct {
	litLen, matchLen, offset codeTable

	// codes of each sequence: of its literals' length in the low byte, its
	// match's, its offset's, and the number of extra bits of all three.
	codes []uint32
}

// write writes the sequences section, RFC 8878 3.1.1.3.2, of which seqs keeps
// only the extra bits. It reports false if it would go past limit, or not far
// before it.
func (z *zstdSequences) write(w *bitWriter, limit int, seqs []zstdSequence) bool {
	switch n := len(seqs); {
	case n == 0:
		w.dst[w.out] = 0
		w.out++
		return true
	case n < 128:
		w.dst[w.out] = byte(n)
		w.out++
	default: // a segment has never so many that a third byte were needed
		binary.BigEndian.PutUint16(w.dst[w.out:], uint16(n)|0x8000)
		w.out += 2
	}
	z.code(seqs)
	modes := w.out
	w.out++
	total := uint32(len(seqs))
	z.litLen.choose(w, numLitLenCodes, total, predefinedLitLen, maxFseLog)
	z.offset.choose(w, numOffsetCodes, total, predefinedOffset, maxFseLog-1)
	z.matchLen.choose(w, numMatchLenCodes, total, predefinedMatchLen, maxFseLog)
	w.dst[modes] = z.litLen.mode<<6 | z.offset.mode<<4 | z.matchLen.mode<<2
	return z.body(w, limit, seqs)
}

// code finds and counts the codes of seqs, and leaves there the extra bits.
func (z *zstdSequences) code(seqs []zstdSequence) {
	ll, ml, of := &z.litLen.freq, &z.matchLen.freq, &z.offset.freq
	clear(ll[:])
	clear(ml[:])
	clear(of[:])
	codes := z.codes[:len(seqs)]
	for i, s := range seqs {
		literals, length, v := uint32(s>>40), uint32(s>>20)&(1<<20-1)-zstdMinMatch, uint32(s)&(1<<20-1)

		l, m, o := litLenCode(literals), matchLenCode(length), offsetCode(v)
		ll[l&63]++
		ml[m>>matchLenAt&63]++
		of[o&31]++
		both := uint32(l) + uint32(m)
		seqs[i] = zstdSequence(l>>32|m>>32<<(l.bits()&31)) | zstdSequence(v^1<<(o&31))<<(both>>24&63)
		codes[i] = both + o<<16 + o<<24
	}
}

// body writes the bits of the sequences, the last one's first.
func (z *zstdSequences) body(w *bitWriter, limit int, extras []zstdSequence) bool {
	codes := z.codes[:len(extras)]
	lt, mt, ot := z.litLen.use, z.matchLen.use, z.offset.use
	i := len(codes) - 1
	c := codes[i]
	ls, ms, os := lt.start(c&0xff), mt.start(c>>8&0xff), ot.start(c>>16&0xff)
	dst, out, buf, n := w.dst, w.out, uint64(0), uint(0)
	limit -= 16
	for {
		if out > limit {
			return false
		}
		x := uint(c >> 24)
		if n+x > 63 {
			store64(dst, out, buf)
			out += int(n >> 3)
			buf >>= n & 56
			n &= 7
		}
		buf |= uint64(extras[i]) << (n & 63)
		n += x
		store64(dst, out, buf)
		out += int(n >> 3)
		buf >>= n & 56
		n &= 7
		if i--; i < 0 {
			break
		}
		c = codes[i]
		step := ot.step[c>>16&63]
		nb := (os + uint32(step)) >> 16 & 31
		buf |= uint64(os&(1<<nb-1)) << (n & 63)
		n += uint(nb)
		os = uint32(ot.next[(os>>nb+uint32(step>>32))%(1<<maxFseLog)])

		step = mt.step[c>>8&63]
		nb = (ms + uint32(step)) >> 16 & 31
		buf |= uint64(ms&(1<<nb-1)) << (n & 63)
		n += uint(nb)
		ms = uint32(mt.next[(ms>>nb+uint32(step>>32))%(1<<maxFseLog)])

		step = lt.step[c&63]
		nb = (ls + uint32(step)) >> 16 & 31
		buf |= uint64(ls&(1<<nb-1)) << (n & 63)
		n += uint(nb)
		ls = uint32(lt.next[(ls>>nb+uint32(step>>32))%(1<<maxFseLog)])
	}
	w.out, w.buf, w.n = out, buf, n
	w.add(uint64(ms&(1<<mt.log-1)), mt.log)
	w.add(uint64(os&(1<<ot.log-1)), ot.log)
	w.add(uint64(ls&(1<<lt.log-1)), lt.log)
	w.end()
	return true
}

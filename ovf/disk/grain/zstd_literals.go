package grain

import "encoding/binary"

// Literals_Block_Type of RFC 8878 3.1.1.3.1.1.
const (
	literalsRaw        = 0
	literalsRLE        = 1
	literalsCompressed = 2
)

const (
	zstdLitLimit  = 11  // bits of the longest codeword
	maxWeightLog  = 6   // of the table that codes weights
	oneStream     = 256 // fewer literals are not worth four streams
	fewLiterals   = 32  // fewer are not worth a code
	maxRawWeights = 128 // how many weights can be given as they are
)

// zstdLiterals writes literals sections, and holds the space to do it.
type zstdLiterals struct {
	huffman
	freq    [4][256]uint32
	lens    [256]uint8
	code    [256]codeword
	weights fseTable
	tree    [160]byte // the code's description
}

// write writes the literals section, RFC 8878 3.1.1.3.1, and returns where it
// ends. There is room in dst for the literals as they are, and for bitSlack.
func (z *zstdLiterals) write(dst []byte, out int, lits []byte) int {
	symbols, most := z.count(lits)
	if len(lits) > 0 && int(most) == len(lits) {
		out = literalsHeader(dst, out, literalsRLE, len(lits))
		dst[out] = lits[0]
		return out + 1
	}
	if size, ok := z.prepare(lits, symbols, most); ok {
		return z.compress(dst, out, lits, size)
	}
	return z.raw(dst, out, lits)
}

func (z *zstdLiterals) raw(dst []byte, out int, lits []byte) int {
	out = literalsHeader(dst, out, literalsRaw, len(lits))
	return out + copy(dst[out:], lits)
}

// literalsHeader writes the header of literals that are not compressed.
func literalsHeader(dst []byte, out, kind, n int) int {
	switch {
	case n < 1<<5:
		dst[out] = byte(kind | n<<3)
		return out + 1
	case n < 1<<12:
		binary.LittleEndian.PutUint16(dst[out:], uint16(kind|1<<2|n<<4))
		return out + 2
	}
	binary.LittleEndian.PutUint32(dst[out:], uint32(kind|3<<2|n<<4))
	return out + 3
}

// count counts the literals into freq[0], and returns the number of symbols up
// to the last that occurs and how often the most frequent one does.
func (z *zstdLiterals) count(lits []byte) (symbols int, most uint32) {
	// Four tables, as adding to what was just added to waits for it.
	f := &z.freq
	*f = [4][256]uint32{}
	i := 0
	for ; i+8 <= len(lits); i += 8 {
		v := load64(lits, i)
		f[0][v&0xff]++
		f[1][v>>8&0xff]++
		f[2][v>>16&0xff]++
		f[3][v>>24&0xff]++
		f[0][v>>32&0xff]++
		f[1][v>>40&0xff]++
		f[2][v>>48&0xff]++
		f[3][v>>56]++
	}
	for ; i < len(lits); i++ {
		f[0][lits[i]]++
	}
	for sym := range f[0] {
		n := f[0][sym] + f[1][sym] + f[2][sym] + f[3][sym]
		f[0][sym] = n
		if n != 0 {
			symbols = sym + 1
			most = max(most, n)
		}
	}
	return symbols, most
}

// prepare makes the code and its description, and returns the description's
// size; ok is false if that does not make the literals smaller by a 64th.
func (z *zstdLiterals) prepare(lits []byte, symbols int, most uint32) (size int, ok bool) {
	n := len(lits)
	if n < fewLiterals || int(most) <= n>>7+4 {
		return 0, false // as good as noise
	}
	freq := z.freq[0][:symbols]
	z.lengths(z.sort(freq), zstdLitLimit, z.lens[:symbols])
	bits := 0
	for sym, f := range freq {
		bits += int(f) * int(z.lens[sym])
	}
	packed := bits/8 + n>>6
	if packed >= n {
		return 0, false
	}
	size = z.describe(z.lens[:symbols])
	return size, size > 0 && packed+size < n
}

// describe writes the code's description into tree, RFC 8878 4.2.1, and
// returns its size; 0 if there is no way to describe it.
func (z *zstdLiterals) describe(lens []uint8) int {
	longest := uint8(0)
	for _, l := range lens {
		longest = max(longest, l)
	}
	var weights [256]uint8
	var freq [zstdLitLimit + 1]uint32
	for sym, l := range lens {
		if l > 0 {
			weights[sym] = longest + 1 - l
		}
		freq[weights[sym]]++
	}
	zstdAssign(lens, longest, z.code[:])
	// The last one follows from the others.
	n := len(lens) - 1
	freq[weights[n]]--
	weights[n] = 0

	size := 0
	if n > 2 {
		size = z.packWeights(weights[:n], freq[:])
	}
	if n <= maxRawWeights && (size == 0 || size > (n+1)/2) {
		z.tree[0] = byte(maxRawWeights - 1 + n)
		for i := 0; i < n; i += 2 {
			z.tree[1+i/2] = weights[i]<<4 | weights[i+1]
		}
		return 1 + (n+1)/2
	}
	if size == 0 {
		return 0
	}
	z.tree[0] = byte(size)
	return 1 + size
}

// packWeights codes the weights that occur freq times, with two states by
// turns, into tree after its first byte; it returns their size, 0 where that
// cannot be.
func (z *zstdLiterals) packWeights(weights []uint8, freq []uint32) int {
	distinct := 0
	for _, n := range freq {
		if n > 0 {
			distinct++
		}
	}
	if distinct < 2 {
		return 0
	}
	t := &z.weights
	t.normalize(freq, uint32(len(weights)), fseLog(uint32(len(weights)), distinct, maxWeightLog))
	t.build()
	w := bitWriter{dst: z.tree[:], out: 1}
	t.describe(&w)
	n := len(weights)
	var states [2]uint32
	states[(n-1)&1] = t.start(uint32(weights[n-1]))
	states[(n-2)&1] = t.start(uint32(weights[n-2]))
	for i := n - 3; i >= 0; i-- {
		states[i&1] = t.put(&w, states[i&1], uint32(weights[i]))
		w.flush()
		if w.out > 127 {
			return 0
		}
	}
	w.add(uint64(states[1]&(1<<t.log-1)), t.log)
	w.add(uint64(states[0]&(1<<t.log-1)), t.log)
	w.end()
	if w.out > 128 {
		return 0
	}
	return w.out - 1
}

// zstdAssign makes the codewords of lens, none longer than longest: zstd
// counts from the longest on.
func zstdAssign(lens []uint8, longest uint8, code []codeword) {
	var count, next [zstdLitLimit + 2]uint32
	for _, l := range lens {
		count[l&15]++
	}
	for l := longest; l > 1; l-- {
		next[l-1] = (next[l] + count[l]) >> 1
	}
	for sym, l := range lens {
		if l == 0 {
			code[sym] = 0
			continue
		}
		code[sym] = codeword(next[l] | uint32(l)<<16)
		next[l]++
	}
}

// compress writes the section with the code prepared, or the literals as they
// are if that takes less.
func (z *zstdLiterals) compress(dst []byte, out int, lits []byte, tree int) int {
	start, n := out, len(lits)
	header := 3
	switch {
	case n >= 1<<14:
		header = 5
	case n >= 1<<10:
		header = 4
	}
	w := bitWriter{dst: dst, out: start + header}
	w.out += copy(dst[w.out:], z.tree[:tree])
	format := 0
	if n < oneStream {
		z.stream(&w, lits)
	} else {
		format = header - 2
		jump := w.out
		w.out += 6
		each := (n + 3) / 4
		for i := range 3 {
			from := w.out
			z.stream(&w, lits[i*each:(i+1)*each])
			binary.LittleEndian.PutUint16(dst[jump+2*i:], uint16(w.out-from))
		}
		z.stream(&w, lits[3*each:])
	}
	size := w.out - start - header
	if size >= n {
		return z.raw(dst, start, lits)
	}
	head := uint64(literalsCompressed|format<<2|n<<4) | uint64(size)<<(4+sizeBits[header])
	for i := range header {
		dst[start+i] = byte(head >> (8 * i))
	}
	return w.out
}

// sizeBits is, of a compressed section's header of so many bytes, how many
// bits each of the two sizes in it has.
var sizeBits = [6]uint{3: 10, 4: 14, 5: 18}

// stream writes one stream of literals, the last one first.
func (z *zstdLiterals) stream(w *bitWriter, lits []byte) {
	code := &z.code
	dst, out, buf, n := w.dst, w.out, uint64(0), uint(0)
	i := len(lits)
	for ; i >= 5; i -= 5 {
		// Five of 11 bits and what is left from before fit into buf.
		var v uint64
		if i >= 8 {
			v = load64(lits, i-8)
		} else {
			for j, b := range lits[:i] {
				v |= uint64(b) << ((8 - i + j) * 8)
			}
		}
		c0, c1, c2, c3, c4 := code[v>>56], code[v>>48&0xff], code[v>>40&0xff], code[v>>32&0xff], code[v>>24&0xff]
		buf |= c0.bits() << (n & 63)
		n += c0.len()
		buf |= c1.bits() << (n & 63)
		n += c1.len()
		buf |= c2.bits() << (n & 63)
		n += c2.len()
		buf |= c3.bits() << (n & 63)
		n += c3.len()
		buf |= c4.bits() << (n & 63)
		n += c4.len()
		store64(dst, out, buf)
		out += int(n >> 3)
		buf >>= n & 56
		n &= 7
	}
	w.out, w.buf, w.n = out, buf, n
	for i--; i >= 0; i-- {
		w.literal(code[lits[i]])
	}
	w.end()
}

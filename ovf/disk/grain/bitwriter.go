package grain

// bitWriter appends bits to a slice whose capacity its user has seen to: at
// least 8 bytes beyond what is written.
type bitWriter struct {
	dst []byte // up to its capacity
	out int    // whole bytes written
	buf uint64
	n   uint // bits in buf, at most 7 after flush
}

// add appends the low bits of v, which has no others; 56 of them between
// flushes.
func (w *bitWriter) add(v uint64, bits uint) {
	w.buf |= v << (w.n & 63)
	w.n += bits
}

// flush writes out the whole bytes.
func (w *bitWriter) flush() {
	store64(w.dst, w.out, w.buf)
	w.out += int(w.n >> 3)
	w.buf >>= w.n & 56
	w.n &= 7
}

// align pads with zero bits to the next byte.
func (w *bitWriter) align() {
	w.n = (w.n + 7) &^ 7
	w.flush()
}

func (w *bitWriter) literal(c codeword) { w.add(c.bits(), c.len()) }

// stored writes src as stored blocks, the last one's final bit as given.
func (w *bitWriter) stored(src []byte, final uint64) {
	for len(src) > 0 {
		part := src[:min(len(src), maxStored)]
		src = src[len(part):]
		last := uint64(0)
		if len(src) == 0 {
			last = final
		}
		w.add(last|blockStored<<1, 3)
		w.align()
		w.add(uint64(len(part))|uint64(^uint16(len(part)))<<16, 32)
		w.flush()
		w.out += copy(w.dst[w.out:], part)
	}
}

// end ends a stream that is read from its end: a one, and zeros up to the next
// byte.
func (w *bitWriter) end() {
	w.flush()
	w.add(1, 1)
	w.align()
	w.buf, w.n = 0, 0
}

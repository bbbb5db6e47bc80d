package grain

import "fmt"

// Inflate inflates the raw deflate stream (RFC 1951) that src starts with
// into dst, whose length is the most it may inflate to. It returns how many
// bytes it wrote and how many of src the stream took, the last one perhaps in
// part; what follows is the caller's. Errors are of type *Error; n and
// consumed are then how far it came, and what dst holds past n is undefined
// whether it fails or not.
func Inflate(dst, src []byte) (n, consumed int, err error) {
	var f inflater
	f.dst, f.src = dst, src
	for {
		if err := f.block(); err != nil {
			return f.out, f.consumed(), err
		}
		if f.final {
			return f.out, f.consumed(), nil
		}
	}
}

// inflater is the state of one stream. The bit buffer holds the next n bits
// of the stream in its low bits; bits above them are either zero or already
// right.
type inflater struct {
	dst, src []byte
	in, out  int // next byte of src not in buf; next byte of dst
	buf      uint64
	n        uint

	final bool
	fixed bool // the tables are those of fixed blocks

	lit  [litTableSize]uint32
	dist [distTableSize]uint32
	pre  [preTableSize]uint32
	lens [maxLitSyms + maxDistSyms]uint8
}

// block inflates one block.
func (f *inflater) block() error {
	f.refill()
	if f.n < 3 {
		return f.truncated("block header")
	}
	f.final = f.buf&1 != 0
	kind := f.buf >> 1 & 3
	f.skip(3)
	switch kind {
	case blockStored:
		return f.stored()
	case blockFixed:
		f.fixedTables()
	case blockDynamic:
		if err := f.dynamicTables(); err != nil {
			return err
		}
	default:
		return f.corrupt("block type 3")
	}
	done, err := f.fast()
	if err == nil && !done {
		err = f.careful()
	}
	return err
}

// stored copies a stored block (RFC 1951 3.2.4).
func (f *inflater) stored() error {
	f.skip(f.n & 7)
	f.in -= int(f.n >> 3)
	f.buf, f.n = 0, 0
	if len(f.src)-f.in < 4 {
		return f.truncated("stored block's length")
	}
	length := int(f.src[f.in]) | int(f.src[f.in+1])<<8
	check := int(f.src[f.in+2]) | int(f.src[f.in+3])<<8
	if length != check^0xffff {
		return f.corrupt(fmt.Sprintf("stored block's length is %#04x, its complement %#04x", length, check))
	}
	f.in += 4
	if length > len(f.src)-f.in {
		return f.truncated(fmt.Sprintf("stored block of %d bytes, %d left", length, len(f.src)-f.in))
	}
	if length > len(f.dst)-f.out {
		return f.tooLarge()
	}
	copy(f.dst[f.out:], f.src[f.in:f.in+length])
	f.in += length
	f.out += length
	return nil
}

// refill tops the bit buffer up to at least 56 bits, or to the end of src.
func (f *inflater) refill() {
	if len(f.src)-f.in >= 8 {
		f.buf |= load64(f.src, f.in) << (f.n & 63)
		f.in += int((63 - f.n) >> 3)
		f.n |= 56
		return
	}
	for f.n <= 56 && f.in < len(f.src) {
		f.buf |= uint64(f.src[f.in]) << (f.n & 63)
		f.in++
		f.n += 8
	}
}

// skip consumes bits of which the buffer must have that many.
func (f *inflater) skip(bits uint) {
	f.buf >>= bits & 63
	f.n -= bits
}

// consumed is how many bytes of src are used, a byte in part included.
func (f *inflater) consumed() int { return f.in - int(f.n>>3) }

func (f *inflater) corrupt(detail string) error {
	return &Error{Kind: ErrCorrupt, Offset: f.consumed(), Detail: detail}
}

func (f *inflater) truncated(detail string) error {
	return &Error{Kind: ErrTruncated, Offset: f.consumed(), Detail: "source ends in " + detail}
}

func (f *inflater) tooLarge() error {
	return &Error{Kind: ErrTooLarge, Offset: f.consumed(),
		Detail: fmt.Sprintf("more than the %d bytes expected", len(f.dst))}
}

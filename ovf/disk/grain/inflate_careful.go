package grain

import "fmt"

// careful inflates to the end of the block with every bound checked at every
// symbol: near the end of src or dst.
func (f *inflater) careful() error {
	for {
		f.refill()
		e := f.lit[f.buf&(1<<litIndexBits-1)]
		if e&entrySubtable != 0 && e&entryExceptional != 0 {
			if f.n < litIndexBits {
				return f.truncated("a codeword")
			}
			f.skip(litIndexBits)
			e = f.lit[e>>16+uint32(f.buf)&(1<<(e>>8&15)-1)]
		}
		bits := uint(e & 0xff)
		if e == entryInvalid && f.n == 0 || bits > f.n {
			return f.truncated("a codeword")
		}
		if e&entryLiteral != 0 {
			if f.out >= len(f.dst) {
				return f.tooLarge()
			}
			f.dst[f.out] = byte(e >> 16)
			f.out++
			f.skip(bits)
			continue
		}
		if e&entryExceptional != 0 {
			if e&entryEnd == 0 {
				return f.corrupt("no such literal or length code")
			}
			f.skip(bits)
			return nil
		}
		codeBits := uint(e >> 8 & 15)
		length := int(e>>16) + int(f.buf&(1<<bits-1)>>codeBits)
		f.skip(bits)
		if err := f.carefulCopy(length); err != nil {
			return err
		}
	}
}

// carefulCopy reads the distance of a match and copies it.
func (f *inflater) carefulCopy(length int) error {
	f.refill()
	e := f.dist[f.buf&(1<<distIndexBits-1)]
	if e&entrySubtable != 0 && e&entryExceptional != 0 {
		if f.n < distIndexBits {
			return f.truncated("a distance")
		}
		f.skip(distIndexBits)
		e = f.dist[e>>16+uint32(f.buf)&(1<<(e>>8&15)-1)]
	}
	bits := uint(e & 0xff)
	if e&entryExceptional != 0 {
		if f.n == 0 {
			return f.truncated("a distance")
		}
		return f.corrupt("no such distance code")
	}
	if bits > f.n {
		return f.truncated("a distance")
	}
	codeBits := uint(e >> 8 & 15)
	distance := int(e>>16) + int(f.buf&(1<<bits-1)>>codeBits)
	f.skip(bits)
	if distance > f.out {
		return f.corrupt(fmt.Sprintf("distance %d with %d bytes inflated", distance, f.out))
	}
	if length > len(f.dst)-f.out {
		return f.tooLarge()
	}
	for range length {
		f.dst[f.out] = f.dst[f.out-distance]
		f.out++
	}
	return nil
}

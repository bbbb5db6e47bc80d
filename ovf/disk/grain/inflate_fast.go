package grain

import "fmt"

// Margins of the fast loop. One turn reads at most one word per refill, of
// which there are three, each advancing by 8 bytes at most; it writes three
// literals and a match, and the match's last word store may run over by 39.
const (
	fastIn  = 32
	fastOut = 3 + maxMatch + 40
)

// fast inflates while src and dst are far from their ends, so that nothing
// but distances needs checking. It reports whether it came to the end of the
// block; if not, careful goes on from there.
func (f *inflater) fast() (done bool, err error) {
	dst, src := f.dst, f.src
	in, out := f.in, f.out
	inEnd, outEnd := len(src)-fastIn, len(dst)-fastOut
	if in > inEnd || out > outEnd {
		return false, nil
	}
	buf, n := f.buf, f.n
	lit, dist := &f.lit, &f.dist

	buf |= load64(src, in) << (n & 63)
	in += int((63 - n) >> 3)
	n |= 56
	for in <= inEnd && out <= outEnd {
		// At least 56 bits here. Literals with a codeword in the main table
		// take 11 at most: two, and a length of 20, leave 14.
		e := lit[buf&(1<<litIndexBits-1)]
		if e&entryLiteral != 0 {
			buf >>= e & 63
			n -= uint(e & 63)
			store8(dst, out, byte(e>>16))
			out++
			e = lit[buf&(1<<litIndexBits-1)]
			if e&entryLiteral != 0 {
				buf >>= e & 63
				n -= uint(e & 63)
				store8(dst, out, byte(e>>16))
				out++
				e = lit[buf&(1<<litIndexBits-1)]
				if e&entryLiteral != 0 {
					buf >>= e & 63
					n -= uint(e & 63)
					store8(dst, out, byte(e>>16))
					out++
					buf |= load64(src, in) << (n & 63)
					in += int((63 - n) >> 3)
					n |= 56
					continue
				}
			}
		}
		if e&entryExceptional != 0 {
			if e&entrySubtable != 0 {
				buf >>= litIndexBits
				n -= litIndexBits
				e = lit[e>>16+uint32(buf)&(1<<(e>>8&15)-1)]
			}
			if e&entryLiteral != 0 {
				buf >>= e & 63
				n -= uint(e & 63)
				store8(dst, out, byte(e>>16))
				out++
				buf |= load64(src, in) << (n & 63)
				in += int((63 - n) >> 3)
				n |= 56
				continue
			}
			if e&entryExceptional != 0 {
				if e&entryEnd != 0 {
					buf >>= e & 63
					n -= uint(e & 63)
					done = true
				} else {
					err = errNoLitCode
				}
				break
			}
		}
		length := int(e>>16) + int(buf&(1<<(e&63)-1)>>(e>>8&15))
		buf >>= e & 63
		n -= uint(e & 63)

		// A distance takes 28 bits at most.
		if n < 15+13 {
			buf |= load64(src, in) << (n & 63)
			in += int((63 - n) >> 3)
			n |= 56
		}
		e = dist[buf&(1<<distIndexBits-1)]
		if e&entryExceptional != 0 {
			if e&entrySubtable != 0 {
				buf >>= distIndexBits
				n -= distIndexBits
				e = dist[e>>16+uint32(buf)&(1<<(e>>8&15)-1)]
			}
			if e&entryExceptional != 0 {
				err = errNoDistCode
				break
			}
		}
		distance := int(e>>16) + int(buf&(1<<(e&63)-1)>>(e>>8&15))
		buf >>= e & 63
		n -= uint(e & 63)
		if distance > out {
			err = fmt.Errorf("distance %d with %d bytes inflated", distance, out)
			break
		}
		buf |= load64(src, in) << (n & 63)
		in += int((63 - n) >> 3)
		n |= 56

		from, end := out-distance, out+length
		if distance >= 16 {
			copy16(dst, out, from)
			if length > 16 {
				copy16(dst, out+16, from+16)
				for out += 32; out < end; out += 16 {
					copy16(dst, out, out-distance)
				}
			}
		} else if distance >= 8 {
			for ; out < end; out += 8 {
				store64(dst, out, load64(dst, out-distance))
			}
		} else if distance == 1 {
			v := uint64(load8(dst, from)) * 0x0101010101010101
			for ; out < end; out += 8 {
				store64(dst, out, v)
			}
		} else {
			// Each store repeats the pattern of distance bytes; only whole
			// repeats of it are kept.
			step := 8 - 8%distance
			v := load64(dst, from)
			v &= 1<<(uint(distance*8)&63) - 1
			for s := uint(distance * 8); s < 64; s <<= 1 {
				v |= v << s
			}
			for ; out < end; out += step {
				store64(dst, out, v)
			}
		}
		out = end
	}
	f.in, f.out, f.n = in, out, n
	f.buf = buf & (1<<(n&63) - 1)
	if err != nil {
		err = f.corrupt(err.Error())
	}
	return done, err
}

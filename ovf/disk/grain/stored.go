package grain

import "encoding/binary"

// storedHeader is what a stored block costs when it starts at a byte: block
// header, LEN and NLEN.
const storedHeader = 5

// StoredSize is the exact length in bytes of n bytes as Stored writes them.
func StoredSize(n int) int {
	blocks := max(1, (n+maxStored-1)/maxStored)
	return n + blocks*storedHeader
}

// StoredZlibSize is the exact length in bytes of n bytes as an Encoder of
// level 0 writes them in zlib format: 65552 for a grain of 64 KiB.
func StoredZlibSize(n int) int { return zlibHeader + StoredSize(n) + zlibTrailer }

// Stored appends src to dst as a raw deflate stream of stored blocks
// (RFC 1951 3.2.4), as few as can be.
func Stored(dst, src []byte) []byte {
	for {
		part := src[:min(len(src), maxStored)]
		src = src[len(part):]
		final := byte(0)
		if len(src) == 0 {
			final = 1
		}
		dst = append(dst, final)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(part)))
		dst = binary.LittleEndian.AppendUint16(dst, ^uint16(len(part)))
		dst = append(dst, part...)
		if final == 1 {
			return dst
		}
	}
}

// InflateStored is InflateZlib where src is stored blocks alone, which costs a
// copy and a checksum. For anything else, errors too, it is false, and what dst
// holds is undefined.
func InflateStored(dst, src []byte) (n int, ok bool) {
	if len(src) < zlibHeader {
		return 0, false
	}
	if header := binary.BigEndian.Uint16(src); !isZlib(header) || header&0x20 != 0 {
		return 0, false
	}
	end, n := zlibHeader, 0
	for final := false; !final; {
		length, last, ok := storedBlock(src[end:])
		if !ok || length > len(dst)-n {
			return 0, false
		}
		end, n, final = end+storedHeader+length, n+length, last
	}
	if len(src)-end < zlibTrailer {
		return 0, false
	}
	out := dst[:0]
	for at := zlibHeader; at < end; {
		length, _, _ := storedBlock(src[at:])
		at += storedHeader
		out = append(out, src[at:at+length]...)
		at += length
	}
	return n, Adler32(out) == binary.BigEndian.Uint32(src[end:])
}

// IsStored says, by the first bytes of a zlib stream, whether it may be stored
// blocks alone.
func IsStored(src []byte) bool { return len(src) > zlibHeader && src[zlibHeader]&6 == 0 }

// storedBlock reads the header of a stored block that begins with a byte, and
// sees whether src has all of it.
func storedBlock(src []byte) (length int, final, ok bool) {
	if len(src) < storedHeader || src[0]&6 != 0 {
		return 0, false, false
	}
	length = int(binary.LittleEndian.Uint16(src[1:]))
	ok = binary.LittleEndian.Uint16(src[3:]) == ^uint16(length) && length <= len(src)-storedHeader
	return length, src[0]&1 != 0, ok
}

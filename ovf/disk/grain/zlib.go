package grain

import (
	"encoding/binary"
	"fmt"
)

// Sizes of what RFC 1950 puts around a deflate stream.
const (
	zlibHeader  = 2
	zlibTrailer = 4
)

// zlibHeaderOf is a level's header: deflate, a window of 32 KiB, and how hard
// the compressor tried.
func zlibHeaderOf(level int) uint16 {
	switch {
	case level < 2:
		return 0x7801
	case level < LevelDefault:
		return 0x785e
	case level < 7:
		return 0x789c
	}
	return 0x78da
}

// isZlib: the header is one of deflate with a window of 32 KiB at most, and checks.
func isZlib(header uint16) bool {
	return header>>8&0x0f == 8 && header>>12 <= 7 && header%31 == 0
}

// InflateZlib is Inflate for the zlib format (RFC 1950): it checks the header
// and the Adler-32 of what it inflated, and counts both as consumed. A preset
// dictionary is corrupt: disks have none.
func InflateZlib(dst, src []byte) (n, consumed int, err error) {
	if len(src) < zlibHeader {
		return 0, len(src), &Error{Kind: ErrTruncated, Offset: len(src), Detail: "source ends in zlib header"}
	}
	header := binary.BigEndian.Uint16(src)
	if !isZlib(header) {
		return 0, 0, &Error{Kind: ErrCorrupt, Detail: fmt.Sprintf("zlib header is %#04x", header)}
	}
	if header&0x20 != 0 {
		return 0, 0, &Error{Kind: ErrCorrupt, Detail: "zlib header names a preset dictionary"}
	}
	n, consumed, err = Inflate(dst, src[zlibHeader:])
	consumed += zlibHeader
	if err != nil {
		err.(*Error).Offset += zlibHeader
		return n, consumed, err
	}
	if len(src)-consumed < zlibTrailer {
		return n, consumed, &Error{Kind: ErrTruncated, Offset: len(src), Detail: "source ends in zlib checksum"}
	}
	want, got := binary.BigEndian.Uint32(src[consumed:]), Adler32(dst[:n])
	if want != got {
		return n, consumed, &Error{Kind: ErrCorrupt, Offset: consumed,
			Detail: fmt.Sprintf("checksum is %#08x, content has %#08x", want, got)}
	}
	return n, consumed + zlibTrailer, nil
}

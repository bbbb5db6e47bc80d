package grain

import (
	"encoding/binary"
	"slices"
)

const (
	zstdMagic       = 0xFD2FB528
	zstdFrameHeader = 9 // at most
	zstdBlockHeader = 3

	// zstdSlack is how far past the most that a frame takes a block may be
	// written before it is found to take more: three tables' descriptions.
	zstdSlack = 256

	// Block types of RFC 8878 3.1.1.2.2. One that repeats a byte is never
	// made: early decoders refuse it as the first block of a frame.
	zstdRaw        = 0
	zstdCompressed = 2
)

// ZstdEncoder compresses grains into Zstandard frames (RFC 8878), one after
// another, each on its own, fast rather than small: on grains of /usr they are
// 4 % larger than those of the zstd program's level 3. It holds some 300 KiB
// of tables that are reused; one goroutine may use it at a time. Create it with
// NewZstdEncoder.
type ZstdEncoder struct {
	_ [64]byte // keeps workers' encoders off each other's cache lines

	search    zstdSearch
	literals  zstdLiterals
	sequences zstdSequences

	_ [64]byte
}

// NewZstdEncoder makes an encoder.
func NewZstdEncoder() *ZstdEncoder {
	const most = segmentSize/4 + 1 // sequences, none with a match below 4 bytes
	return &ZstdEncoder{
		search:    zstdSearch{seqs: make([]zstdSequence, most), lits: make([]byte, segmentSize+litSlack)},
		sequences: zstdSequences{codes: make([]uint32, most)},
	}
}

// ZstdSize is the most that a frame of n bytes takes.
func ZstdSize(n int) int {
	return zstdFrameHeader + n + max(1, (n+segmentSize-1)/segmentSize)*zstdBlockHeader
}

// Append appends src, of less than 4 GiB, to dst as one frame, never longer
// than ZstdSize(len(src)), and returns the extended slice. The frame tells the
// size of its content, for which a decoder needs a window as large, and has no
// checksum. Memory past the slice's end, up to its capacity, may be
// overwritten. src and dst must not overlap.
func (e *ZstdEncoder) Append(dst, src []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, ZstdSize(len(src))+zstdSlack)
	out := start + zstdHeader(dst[:cap(dst)][start:], len(src))
	dst = dst[:cap(dst)]
	reps := repeats{1, 4}
	e.search.start()
	for from := 0; from == 0 || from < len(src); from += segmentSize {
		to := min(from+segmentSize, len(src))
		body := out + zstdBlockHeader
		kind, before := zstdCompressed, reps
		end, ok := e.block(dst, body, src, from, to, &reps)
		if !ok {
			kind, reps = zstdRaw, before
			end = body + copy(dst[body:], src[from:to])
		}
		head := uint32(kind<<1 | (end-body)<<3)
		if to == len(src) {
			head |= 1
		}
		dst[out], dst[out+1], dst[out+2] = byte(head), byte(head>>8), byte(head>>16)
		out = end
	}
	return dst[:out]
}

// zstdHeader writes a frame's header (RFC 8878 3.1.1.1) of content of n
// bytes, in a single segment, and returns its length.
func zstdHeader(dst []byte, n int) int {
	const single = 1 << 5
	binary.LittleEndian.PutUint32(dst, zstdMagic)
	switch {
	case n < 256:
		dst[4], dst[5] = single, byte(n)
		return 6
	case n < 256+1<<16:
		dst[4] = single | 1<<6
		binary.LittleEndian.PutUint16(dst[5:], uint16(n-256))
		return 7
	}
	dst[4] = single | 2<<6
	binary.LittleEndian.PutUint32(dst[5:], uint32(n))
	return 9
}

// block writes the content of a block, and returns where it ends; ok is false
// if it takes less as it is.
func (e *ZstdEncoder) block(dst []byte, out int, src []byte, from, to int, reps *repeats) (end int, ok bool) {
	limit := out + to - from
	e.search.search(src, from, to, reps)
	out = e.literals.write(dst, out, e.search.lits)
	w := bitWriter{dst: dst, out: out}
	if out > limit || !e.sequences.write(&w, limit, e.search.seqs) || w.out >= limit {
		return 0, false
	}
	return w.out, true
}

package grain

import (
	"encoding/binary"
	"slices"
)

// Levels of NewEncoder; those between are in order of speed and size. The
// sizes are relative to zlib's level 6, on grains of /usr.
const (
	LevelStored  = 0 // no compression, of a size known beforehand: StoredSize
	LevelFastest = 1 // 11 % larger, eight times as fast
	LevelDefault = 4 // 5 % larger, five times as fast
	LevelBest    = 9 // the same size
)

// Encoder compresses grains, one after another, each on its own. It holds
// some 300 KiB of tables that are reused; one goroutine may use it at a time.
// Create it with NewEncoder.
type Encoder struct {
	_ [64]byte // keeps workers' encoders off each other's cache lines

	level  int
	search searcher

	segment segment
	joined  [maxPieces]block
	code    blockCode

	_ [64]byte
}

// NewEncoder makes an encoder of a level from LevelStored to LevelBest; a
// level outside is taken as the nearest one.
func NewEncoder(level int) *Encoder {
	e := &Encoder{level: min(max(level, LevelStored), LevelBest)}
	e.search = newSearcher(e.level)
	if e.search != nil {
		e.segment = newSegment()
	}
	return e
}

// Deflate appends src to dst as one raw deflate stream (RFC 1951), never
// longer than StoredSize(len(src)), and returns the extended slice. Memory
// past its end, up to its capacity, may be overwritten. src and dst must not
// overlap.
func (e *Encoder) Deflate(dst, src []byte) []byte {
	if e.search == nil || len(src) == 0 {
		return Stored(dst, src)
	}
	start := len(dst)
	dst = slices.Grow(dst, StoredSize(len(src))+bitSlack)
	w := bitWriter{dst: dst[:cap(dst)], out: start}
	limit := start + StoredSize(len(src))
	e.search.start()
	for from := 0; from < len(src); from += segmentSize {
		to := min(from+segmentSize, len(src))
		e.segment.begin(from)
		e.search.search(&e.segment, src, from, to)
		blocks := join(e.segment.pieces, e.joined[:])
		for i := range blocks {
			b := &blocks[i]
			if !e.code.write(&w, limit, src, e.segment.seqs[b.first:b.last], b, b.end == len(src)) {
				return Stored(dst[:start], src)
			}
		}
	}
	w.align()
	return w.dst[:w.out]
}

// AppendZlib is Deflate in the zlib format (RFC 1950), never longer than
// StoredZlibSize(len(src)).
func (e *Encoder) AppendZlib(dst, src []byte) []byte {
	dst = slices.Grow(dst, StoredZlibSize(len(src))+bitSlack)
	dst = binary.BigEndian.AppendUint16(dst, zlibHeaderOf(e.level))
	dst = e.Deflate(dst, src)
	return binary.BigEndian.AppendUint32(dst, Adler32(src))
}

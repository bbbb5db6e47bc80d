package vmdk

// begins tells where in an image grains begin, in pieces of a grain's length: no
// two of them begin in one, whatever table they are of.
type begins struct {
	grain, last uint64 // sectors of a grain; the one that need not be whole
	pieces      []uint64
	tables      []uint64 // those whose grains are in pieces
}

// maxBegins bounds the pieces kept, to 8 MiB of bits: 4 TiB of grains as they are
// usually written.
const maxBegins = 64 << 20

// newBegins is that of an image of length bytes, nil for one that is too large
// and for compressed grains, which say whose they are.
func newBegins(h *header, length int64) *begins {
	n := length / h.grainBytes()
	if h.compressed() || n > maxBegins {
		return nil
	}
	return &begins{grain: h.grain, last: h.capacity / h.grain, pieces: make([]uint64, n/64+1), tables: make([]uint64, h.tables()/64+1)}
}

// add notes the grains of table i, which may come again; false with one that
// begins where another does.
func (b *begins) add(t *table, i int64) (int64, bool) {
	if b == nil || b.tables[i/64]&(1<<(i%64)) != 0 {
		return 0, true
	}
	for j, e := range t {
		if e <= zeroGrain || uint64(i)*tableEntries+uint64(j) == b.last {
			continue
		}
		p := uint64(e) / b.grain
		if b.pieces[p/64]&(1<<(p%64)) != 0 {
			return int64(j), false
		}
		b.pieces[p/64] |= 1 << (p % 64)
	}
	b.tables[i/64] |= 1 << (i % 64)
	return 0, true
}

package vmdk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/cimimove/cimimove/ovf/disk"
)

const tableWords = tableEntries / 64

// grainMap says which grains of a disk are mapped: one bit each, and for each
// grain table how many are mapped before it. It does not change once made.
type grainMap struct {
	grains int64
	bits   []uint64
	before []int64 // mapped grains before table i; one entry more than tables
}

func newGrainMap(grains int64) *grainMap {
	n := (grains + tableEntries - 1) / tableEntries
	return &grainMap{grains: grains, bits: make([]uint64, n*tableWords)}
}

// mapOf is the map of img's data extents. Grains that data touches are mapped.
func mapOf(ctx context.Context, img disk.Image) (*grainMap, error) {
	size := img.Size()
	m := newGrainMap((size + grainSize - 1) / grainSize)
	for e, err := range img.Extents(ctx, 0, size) {
		if err != nil {
			return nil, err
		}
		if e.Zero || e.Length == 0 {
			continue
		}
		m.setRange(e.Offset/grainSize, (e.Offset+e.Length-1)/grainSize+1)
	}
	m.count()
	return m, nil
}

// setRange maps the grains [from, to).
func (m *grainMap) setRange(from, to int64) {
	for from < to {
		n := min(64-from%64, to-from)
		m.bits[from/64] |= (^uint64(0) >> (64 - n)) << (from % 64)
		from += n
	}
}

func (m *grainMap) has(g int64) bool { return m.bits[g/64]&(1<<(g%64)) != 0 }

// count freezes the map.
func (m *grainMap) count() {
	n := len(m.bits) / tableWords
	m.before = make([]int64, n+1)
	for t := range n {
		k := int64(0)
		for _, w := range m.words(int64(t)) {
			k += int64(bits.OnesCount64(w))
		}
		m.before[t+1] = m.before[t] + k
	}
}

func (m *grainMap) words(table int64) []uint64 {
	return m.bits[table*tableWords : (table+1)*tableWords]
}

func (m *grainMap) mapped() int64 { return m.before[len(m.before)-1] }

// inTable is how many grains table t maps.
func (m *grainMap) inTable(t int64) int64 { return m.before[t+1] - m.before[t] }

// nth is the n-th mapped grain of table t, counted from 0; t has more than n.
func (m *grainMap) nth(t, n int64) int64 {
	for i, w := range m.words(t) {
		if k := int64(bits.OnesCount64(w)); n >= k {
			n -= k
			continue
		}
		for ; n > 0; n-- {
			w &= w - 1
		}
		return t*tableEntries + int64(i)*64 + int64(bits.TrailingZeros64(w))
	}
	panic("vmdk: grain map: table has no such grain")
}

// appendRuns appends the map as lengths of runs, unmapped first, in varints
// that end when all grains are told of.
func (m *grainMap) appendRuns(b []byte) []byte {
	mapped := false
	for g := int64(0); g < m.grains; {
		end := m.runEnd(g, mapped)
		b = binary.AppendUvarint(b, uint64(end-g))
		g, mapped = end, !mapped
	}
	return b
}

// runEnd is the first grain at or after g that is not as mapped says.
func (m *grainMap) runEnd(g int64, mapped bool) int64 {
	for g < m.grains {
		w := m.bits[g/64]
		if mapped {
			w = ^w
		}
		if w >>= g % 64; w != 0 {
			return min(m.grains, g+int64(bits.TrailingZeros64(w)))
		}
		g = g/64*64 + 64
	}
	return m.grains
}

var errGrainMap = errors.New("vmdk: grain map: not as written")

// parseRuns is the inverse of appendRuns; all of b is the map.
func parseRuns(b []byte, grains int64) (*grainMap, error) {
	m := newGrainMap(grains)
	mapped := false
	for g := int64(0); g < grains; {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(grains-g) || n == 0 && g > 0 {
			return nil, fmt.Errorf("%w: a run of %d grains at %d of %d", errGrainMap, n, g, grains)
		}
		if b = b[k:]; mapped {
			m.setRange(g, g+int64(n))
		}
		g, mapped = g+int64(n), !mapped
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes follow it", errGrainMap, len(b))
	}
	m.count()
	return m, nil
}

package vmdk

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/cimimove/cimimove/ovf/disk"
)

// table is a grain table: the sectors of its grains, 0 where there is none,
// zeroGrain where there are zeros whatever a parent holds.
type table [tableEntries]uint32

const zeroGrain = 1

var (
	emptyTable table
	zeroTable  = func() (t table) {
		for i := range t {
			t[i] = zeroGrain
		}
		return t
	}()
)

// entry is the sector of a grain, 0 where nothing is stored of it.
func (t *table) entry(i int64) uint32 {
	if t[i] == zeroGrain {
		return 0
	}
	return t[i]
}

// absent says that a grain is the parent's, where there is one.
func (t *table) absent(i int64) bool { return t[i] == 0 }

// maxCachedTables bounds the tables kept: 2 KiB each, 2 MiB in all, which map
// 32 GiB of disk.
const maxCachedTables = 1024

type tableCache struct {
	mu     sync.Mutex
	m      map[int64]*table
	begins *begins // of uncompressed grains; nil where they are not kept
}

// table is grain table i, checked.
func (m *Image) table(i int64) (*table, error) {
	at := m.directory[i]
	switch at {
	case 0:
		return &emptyTable, nil
	case zeroGrain:
		return &zeroTable, nil
	}
	c := &m.tables
	c.mu.Lock()
	t := c.m[i]
	c.mu.Unlock()
	if t != nil {
		return t, nil
	}
	var b [tableEntries * 4]byte
	if err := disk.ReadFull(m.r, b[:], int64(at)*sector); err != nil {
		return nil, err
	}
	t = new(table)
	for j := range t {
		e := binary.LittleEndian.Uint32(b[4*j:])
		if e == 0 || e == zeroGrain && m.h.flags&flagZeroGrain != 0 {
			t[j] = e
			continue
		}
		where := int64(at)*sector + int64(4*j)
		if err := checkEntry(m.name, m.h, i*tableEntries+int64(j), e, where); err != nil {
			return nil, err
		}
		if int64(e)*sector >= m.length {
			return nil, corrupt(m.name, where, fmt.Sprintf("a grain within the image's %d bytes", m.length), fmt.Sprintf("one at sector %d", e))
		}
		t[j] = e
	}
	if err := m.checkOverlap(t, i, int64(at)*sector); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if g, ok := c.begins.add(t, i); !ok {
		return nil, corrupt(m.name, int64(at)*sector+4*g, "grains that do not overlap", fmt.Sprintf("one at sector %d, where another is", t[g]))
	}
	if c.m == nil || len(c.m) >= maxCachedTables {
		// Disks are read front to back: what was kept is behind.
		c.m = make(map[int64]*table)
	}
	c.m[i] = t
	return t, nil
}

// checkOverlap checks that no two grains of table i, which lies at byte offset
// where, lie in part at one place. Compressed ones say whose they are.
func (m *Image) checkOverlap(t *table, i, where int64) error {
	if m.h.compressed() {
		return nil
	}
	var grains [tableEntries]placed
	n := 0
	for j, e := range t {
		if e > zeroGrain {
			grains[n] = placed{sector: e, index: uint32(j)}
			n++
		}
	}
	slices.SortFunc(grains[:n], bySector)
	for k := 1; k < n; k++ {
		a, b := grains[k-1], grains[k]
		// Of the last grain only what the capacity takes need be there.
		length := min(m.h.grain, m.h.capacity-uint64(i*tableEntries+int64(a.index))*m.h.grain)
		if uint64(b.sector-a.sector) < length {
			return corrupt(m.name, where+4*int64(b.index), "grains that do not overlap", fmt.Sprintf("one at sector %d and one at %d", a.sector, b.sector))
		}
	}
	return nil
}

// maxCachedGrains bounds the inflated grains kept for reads smaller than a
// grain.
const maxCachedGrains = 8

// grainCache keeps the last grains inflated for partial reads, and buffers.
type grainCache struct {
	mu   sync.Mutex
	kept []*keptGrain // most recent last
	free [][]byte     // scratch buffers for compressed bytes
}

type keptGrain struct {
	g    int64
	data []byte
}

// read copies size-long grain g from byte skip to p, by inflate where it is
// not kept. Whole grains go to p without a copy.
func (c *grainCache) read(p []byte, g, skip int64, inflate func(dst []byte, scratch *[]byte) error, size int) error {
	c.mu.Lock()
	for _, k := range c.kept {
		if k.g == g {
			copy(p, k.data[skip:])
			c.mu.Unlock()
			return nil
		}
	}
	var scratch []byte
	if n := len(c.free); n > 0 {
		scratch, c.free = c.free[n-1], c.free[:n-1]
	}
	c.mu.Unlock()

	whole := len(p) == size
	dst := p
	if !whole {
		dst = make([]byte, size)
	}
	err := inflate(dst, &scratch)

	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.free) < maxCachedGrains {
		c.free = append(c.free, scratch)
	}
	if err != nil {
		return err
	}
	if !whole {
		copy(p, dst[skip:])
		if len(c.kept) >= maxCachedGrains {
			c.kept = append(c.kept[:0], c.kept[1:]...)
		}
		c.kept = append(c.kept, &keptGrain{g, dst})
	}
	return nil
}

package qcow2

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cimimove/cimimove/ovf/disk"
)

const (
	offsetMask    = 0x00fffffffffffe00 // bits 9 to 55
	compressedBit = 1 << 62
	zeroBit       = 1 << 0 // version 3, of plain clusters

	// What is left of an entry is reserved, and zero.
	l1Reserved = (1<<63 - 1) &^ offsetMask
	l2Reserved = l1Reserved &^ compressedBit &^ zeroBit
)

type kind byte

const (
	zero   kind = iota
	absent      // the backing file's, or zeros without one
	plain
	compressed
)

// cluster is where the content of one cluster, or of a part of one, lies.
type cluster struct {
	kind kind
	at   int64 // byte offset in the image
	n    int64 // of a compressed cluster: bytes it may take, more than it does
}

// maxTableMemory bounds the L2 tables kept, in bytes.
const maxTableMemory = 8 << 20

type tableCache struct {
	mu sync.Mutex
	m  map[int64][]byte
}

// cluster is the cluster, or the part of one, that byte off of the disk is in.
func (m *Image) cluster(off int64) (cluster, error) {
	g := off / m.h.clusterSize()
	i, j := g/m.h.l2Entries(), g%m.h.l2Entries()*m.h.entrySize()
	at := int64(m.l1[i])
	if at == 0 {
		return cluster{kind: absent}, nil
	}
	t, err := m.table(i, at)
	if err != nil {
		return cluster{}, err
	}
	e := binary.BigEndian.Uint64(t[j:])
	if !m.h.extended || e&compressedBit != 0 {
		return m.entry(e, at+j)
	}
	if e&zeroBit != 0 {
		return cluster{}, corrupt(m.name, at+j, "an extended L2 entry, whose bitmap tells of zeros", fmt.Sprintf("%#x", e))
	}
	return m.part(e, binary.BigEndian.Uint64(t[j+8:]), off%m.h.clusterSize()/m.h.unit(), at+j)
}

// part is what the extended L2 entry e, which lies at where, says of a part of
// its cluster. Of bitmap, a low bit says that the part is there, the high one
// that it is zeros.
func (m *Image) part(e, bitmap uint64, part, where int64) (cluster, error) {
	c, err := m.entry(e, where)
	there, zeros := bitmap>>part&1 != 0, bitmap>>(subclusters+part)&1 != 0
	switch {
	case err != nil:
		return c, err
	case there && (zeros || c.kind != plain):
		return c, corrupt(m.name, where+8, "a bitmap that fits its L2 entry", fmt.Sprintf("%#x", bitmap))
	case there:
		return cluster{kind: plain, at: c.at + part*m.h.unit()}, nil
	case zeros:
		return cluster{kind: zero}, nil
	}
	return cluster{kind: absent}, nil
}

// entry is what the L2 entry e, which lies at where, says.
func (m *Image) entry(e uint64, where int64) (cluster, error) {
	if e&compressedBit != 0 {
		// The rest is an offset in the low bits and above it how many sectors
		// follow the one the offset is in.
		offsetBits := 62 - (m.h.clusterBits - 8)
		at := int64(e & (1<<offsetBits - 1))
		sectors := int64(e &^ compressedBit & (1<<62 - 1) >> offsetBits)
		c := cluster{kind: compressed, at: at, n: (sectors+1)*512 - at%512}
		if at >= m.length {
			return c, corrupt(m.name, where, fmt.Sprintf("a compressed cluster within the image's %d bytes", m.length), fmt.Sprintf("one at %d", at))
		}
		c.n = min(c.n, m.length-at)
		return c, nil
	}
	at := e & offsetMask
	switch {
	case e&l2Reserved != 0, e&zeroBit != 0 && m.h.version < 3, e == copiedBit && !m.h.extended:
		return cluster{}, corrupt(m.name, where, "an L2 entry", fmt.Sprintf("%#x", e))
	case e&zeroBit != 0:
		return cluster{kind: zero}, nil
	case at == 0:
		return cluster{kind: absent}, nil
	}
	c := cluster{kind: plain, at: int64(at)}
	return c, m.checkPlace(at, 0, where, "a cluster")
}

// table is L2 table i, which lies at byte offset at.
func (m *Image) table(i, at int64) ([]byte, error) {
	c := &m.tables
	c.mu.Lock()
	t := c.m[i]
	c.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t = make([]byte, m.h.clusterSize())
	if err := disk.ReadFull(m.r, t, at); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || int64(len(c.m)+1)*m.h.clusterSize() > maxTableMemory {
		// Disks are read front to back: what was kept is behind.
		c.m = make(map[int64][]byte)
	}
	c.m[i] = t
	return t, nil
}

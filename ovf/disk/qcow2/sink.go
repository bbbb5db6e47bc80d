package qcow2

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Sink writes a qcow2 image whose content comes in any order: each cluster has
// its place from the start, at a fixed distance, so that nothing but a bit for
// each is remembered. The file is as long as the disk and sparse where the disk
// is zero; Write makes a shorter one where content comes ascending.
type Sink struct {
	file disk.File
	l    fixedLayout

	mu     sync.Mutex
	mapped []uint64 // a bit for each cluster of the disk
}

var _ disk.Sink = (*Sink)(nil)

// NewSink makes file, which holds zeros, the sink. Finish must be called when
// all is written.
func NewSink(file disk.File) *Sink { return &Sink{file: file} }

// fixedLayout: header, L1, the L2 tables, the table of counts, the blocks of
// counts, the clusters of the disk. In bytes, but for the numbers of clusters.
type fixedLayout struct {
	size                             int64 // of the disk, whole sectors
	clusters, tables, blocks         int64
	l1, l2, countTable, counts, data int64
}

// SinkSize is how long the file of a disk of size bytes becomes.
func SinkSize(size int64) (int64, error) {
	l, err := newFixedLayout(size)
	return l.end(), err
}

func (l fixedLayout) end() int64 { return l.data + l.clusters*writtenCluster }

func newFixedLayout(size int64) (l fixedLayout, err error) {
	l.size = (size + 511) &^ 511
	if size < 0 || l.size > maxSize {
		return l, &disk.UnsupportedError{Format: disk.QCOW2, Feature: "a virtual size above 64 TiB"}
	}
	up := func(n, unit int64) int64 { return (n + unit - 1) / unit }
	l.clusters = up(l.size, writtenCluster)
	l.tables = up(l.clusters, entriesInL2)
	l.l1 = writtenCluster
	l.l2 = l.l1 + max(1, up(l.tables*8, writtenCluster))*writtenCluster
	l.countTable = l.l2 + l.tables*writtenCluster
	// Blocks of counts count themselves, too.
	for before := l.countTable/writtenCluster + l.clusters; ; {
		table := max(1, up(l.blocks*8, writtenCluster))
		blocks := up(before+table+l.blocks, countsInBlock)
		if blocks == l.blocks {
			l.counts = l.countTable + table*writtenCluster
			l.data = l.counts + l.blocks*writtenCluster
			return l, nil
		}
		l.blocks = blocks
	}
}

// Begin sets the size.
func (s *Sink) Begin(info disk.Info) (err error) {
	if s.l, err = newFixedLayout(info.Size); err != nil {
		return err
	}
	s.mapped = make([]uint64, (s.l.clusters+63)/64)
	return s.file.Truncate(s.l.end())
}

// WriteAt writes what is not zero.
func (s *Sink) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.l.size-int64(len(p)) {
		return 0, fmt.Errorf("%d bytes at %d exceed the disk's %d", len(p), off, s.l.size)
	}
	for done := 0; done < len(p); {
		pos := off + int64(done)
		n := min(len(p)-done, int(writtenCluster-pos%writtenCluster))
		if piece := p[done : done+n]; !disk.IsZero(piece) {
			s.mu.Lock()
			s.mapped[pos/writtenCluster/64] |= 1 << (pos / writtenCluster % 64)
			s.mu.Unlock()
			if _, err := s.file.WriteAt(piece, s.l.data+pos); err != nil {
				return done, err
			}
		}
		done += n
	}
	return len(p), nil
}

func (s *Sink) has(cluster int64) bool {
	return cluster < s.l.clusters && s.mapped[cluster/64]&(1<<(cluster%64)) != 0
}

// Finish writes the tables, the header last.
func (s *Sink) Finish() error {
	l := s.l
	table := make([]byte, writtenCluster)
	l1 := make([]byte, l.l2-l.l1)
	for t := range l.tables {
		clear(table)
		used := false
		for i := range int64(entriesInL2) {
			if c := t*entriesInL2 + i; s.has(c) {
				used = true
				binary.BigEndian.PutUint64(table[i*8:], uint64(l.data+c*writtenCluster)|copiedBit)
			}
		}
		if !used {
			continue
		}
		at := l.l2 + t*writtenCluster
		binary.BigEndian.PutUint64(l1[t*8:], uint64(at)|copiedBit)
		if _, err := s.file.WriteAt(table, at); err != nil {
			return err
		}
	}
	if _, err := s.file.WriteAt(l1, l.l1); err != nil {
		return err
	}
	countTable := make([]byte, l.counts-l.countTable)
	first := l.data / writtenCluster // cluster of the file where the disk's begin
	for b := range l.blocks {
		clear(table)
		for i := range int64(countsInBlock) {
			c := b*countsInBlock + i
			if c < first && s.counted(c, l1) || c >= first && s.has(c-first) {
				table[2*i+1] = 1
			}
		}
		// One that counts nothing is zeros, which are there already.
		binary.BigEndian.PutUint64(countTable[b*8:], uint64(l.counts+b*writtenCluster))
		if _, err := s.file.WriteAt(table, l.counts+b*writtenCluster); err != nil {
			return err
		}
	}
	if _, err := s.file.WriteAt(countTable, l.countTable); err != nil {
		return err
	}
	b := make([]byte, headerLenV3+8)
	writeHeader(b, l.size, int(l.tables), l.l1, l.countTable, (l.counts-l.countTable)/writtenCluster)
	_, err := s.file.WriteAt(b, 0)
	return err
}

// counted tells whether a cluster before the disk's is in use: L2 tables that
// map nothing are not.
func (s *Sink) counted(c int64, l1 []byte) bool {
	at := c * writtenCluster
	if at >= s.l.l2 && at < s.l.countTable {
		return binary.BigEndian.Uint64(l1[(at-s.l.l2)/writtenCluster*8:]) != 0
	}
	return true
}

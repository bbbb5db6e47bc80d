package qcow2

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
)

// What is written: version 3, clusters of 64 KiB, reference counts of 16 bits.
const (
	writtenBits    = 16
	writtenCluster = 1 << writtenBits
	countsInBlock  = writtenCluster / 2
	entriesInL2    = writtenCluster / 8

	copiedBit = 1 << 63 // the cluster's reference count is exactly 1
)

// Encode writes img to w as an uncompressed qcow2 image. Everything is laid
// out from the image's extents first, so that w need not seek: each cluster
// that data touches is written, even if it proves zero. A virtual size that is
// no multiple of 512 is rounded up to a sector. Level must be 0 or
// disk.LevelStored: where compressed clusters lie is not known before. Write
// has them.
func Encode(ctx context.Context, img disk.Image, w io.Writer, opts disk.EncodeOptions) (disk.Result, error) {
	if opts.Level > 0 || opts.Variant != "" {
		return disk.Result{Info: img.Info()}, &disk.UnsupportedError{Format: disk.QCOW2, Feature: "writing compressed clusters to a stream"}
	}
	l, err := newLayout(ctx, img)
	if err != nil {
		return disk.Result{Info: img.Info()}, err
	}
	out := &counted{w: w}
	if err := l.writeTables(out); err != nil {
		return disk.Result{Info: img.Info(), StreamBytes: out.n}, err
	}
	data := int64(0)
	res, err := disk.Stream(ctx, img, func(p []byte, off int64) error {
		for len(p) > 0 {
			n := min(len(p), writtenCluster)
			if l.mapped(off / writtenCluster) {
				data += int64(n)
				if _, err := out.Write(p[:n]); err != nil {
					return err
				}
			}
			p, off = p[n:], off+int64(n)
		}
		return nil
	}, opts)
	if err == nil {
		_, err = out.Write(make([]byte, -out.n&(writtenCluster-1)))
	}
	res.StreamBytes, res.DataBytes = out.n, data
	return res, err
}

type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// layout is where everything goes, in clusters, in this order: header,
// reference count table and blocks, L1 table, L2 tables, data.
type layout struct {
	size   int64
	bits   []uint64 // of the disk's clusters: whether data touches them
	inL2   []int64  // clusters that L2 table i maps
	blocks int64    // of reference counts
	table  int64    // clusters of the reference count table
	l1     int64    // clusters of the L1 table
	l2     int64    // tables
	total  int64
}

func newLayout(ctx context.Context, img disk.Image) (*layout, error) {
	l := &layout{size: (img.Size() + 511) &^ 511}
	if l.size > maxSize {
		return nil, &disk.UnsupportedError{Format: disk.QCOW2, Feature: "a virtual size above 64 TiB"}
	}
	clusters := (l.size + writtenCluster - 1) / writtenCluster
	l.bits = make([]uint64, (clusters+63)/64)
	l.inL2 = make([]int64, (clusters+entriesInL2-1)/entriesInL2)
	data := int64(0)
	for e, err := range img.Extents(ctx, 0, img.Size()) {
		if err != nil {
			return nil, err
		}
		if e.Zero || e.Length == 0 {
			continue
		}
		for c := e.Offset / writtenCluster; c <= (e.Offset+e.Length-1)/writtenCluster; c++ {
			if !l.mapped(c) {
				l.bits[c/64] |= 1 << (c % 64)
				l.inL2[c/entriesInL2]++
				data++
			}
		}
	}
	for _, n := range l.inL2 {
		if n > 0 {
			l.l2++
		}
	}
	l.l1 = (int64(len(l.inL2))*8 + writtenCluster - 1) / writtenCluster
	// Reference counts count their own clusters too: grow until all fit.
	for {
		l.total = 1 + l.table + l.blocks + l.l1 + l.l2 + data
		blocks := (l.total + countsInBlock - 1) / countsInBlock
		table := (blocks*8 + writtenCluster - 1) / writtenCluster
		if blocks == l.blocks && table == l.table {
			return l, nil
		}
		l.blocks, l.table = blocks, table
	}
}

func (l *layout) mapped(c int64) bool { return l.bits[c/64]&(1<<(c%64)) != 0 }

// writeTables writes everything before the data.
func (l *layout) writeTables(w io.Writer) error {
	firstBlock := 1 + l.table
	firstL1 := firstBlock + l.blocks
	firstL2 := firstL1 + l.l1
	be := binary.BigEndian

	b := make([]byte, writtenCluster)
	writeHeader(b, l.size, len(l.inL2), firstL1*writtenCluster, writtenCluster, l.table)
	if _, err := w.Write(b); err != nil {
		return err
	}
	// Tables of entries, padded to clusters: entry i of n, in clusters of room.
	entries := func(room int64, n int64, width int, entry func(i int64) uint64) error {
		per := int64(writtenCluster / width)
		for c := range room {
			clear(b)
			for i := c * per; i < min(n, (c+1)*per); i++ {
				at := b[(i-c*per)*int64(width):]
				if width == 2 {
					be.PutUint16(at, uint16(entry(i)))
				} else {
					be.PutUint64(at, entry(i))
				}
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}
	place := func(cluster int64) uint64 { return uint64(cluster) * writtenCluster }
	if err := entries(l.table, l.blocks, 8, func(i int64) uint64 { return place(firstBlock + i) }); err != nil {
		return err
	}
	if err := entries(l.blocks, l.total, 2, func(int64) uint64 { return 1 }); err != nil {
		return err
	}
	nextL2 := firstL2
	if err := entries(l.l1, int64(len(l.inL2)), 8, func(i int64) uint64 {
		if l.inL2[i] == 0 {
			return 0
		}
		nextL2++
		return place(nextL2-1) | copiedBit
	}); err != nil {
		return err
	}
	nextData := firstL2 + l.l2
	for t, n := range l.inL2 {
		if n == 0 {
			continue
		}
		first := int64(t) * entriesInL2
		last := min(entriesInL2, int64(len(l.bits))*64-first)
		if err := entries(1, last, 8, func(i int64) uint64 {
			if !l.mapped(first + i) {
				return 0
			}
			nextData++
			return place(nextData-1) | copiedBit
		}); err != nil {
			return err
		}
	}
	return nil
}

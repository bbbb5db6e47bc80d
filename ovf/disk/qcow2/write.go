package qcow2

import (
	"context"
	"encoding/binary"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Write writes img to file as a qcow2 image of version 3, zeros left out. The
// clusters are plain, or compressed where opts.Level asks for it: as zlib, or
// as zstd where opts.Variant says so. A virtual size that is no multiple of 512
// is rounded up to a sector.
func Write(ctx context.Context, img disk.Image, file disk.File, opts disk.EncodeOptions) (disk.Result, error) {
	w, err := newWriter(img.Size(), file, opts)
	if err != nil {
		return disk.Result{Info: img.Info()}, err
	}
	var res disk.Result
	if opts.Level > 0 || opts.Variant != "" {
		res, err = w.compress(ctx, img, opts)
	} else {
		res, err = disk.Scatter(ctx, img, file, writtenCluster, w.placePlain, opts)
	}
	if err != nil {
		return res, err
	}
	err = w.finish()
	res.StreamBytes = w.next
	return res, err
}

// writer lays out an image whose content comes ascending: the header, then
// clusters as they come, the L2 table of each part of the disk behind them,
// last L1 table and reference counts.
type writer struct {
	file disk.File
	size int64
	zstd bool
	next int64    // byte offset of what is free
	l1   []uint64 // 8 bytes for each 512 MiB of disk
	l2   []byte   // of the part in progress
	part int64    // which that is, -1 before the first
	refs *counts
}

func newWriter(size int64, file disk.File, opts disk.EncodeOptions) (*writer, error) {
	unsupported := func(feature string) (*writer, error) {
		return nil, &disk.UnsupportedError{Format: disk.QCOW2, Feature: feature}
	}
	w := &writer{file: file, size: (size + 511) &^ 511, next: writtenCluster, part: -1, l2: make([]byte, writtenCluster), zstd: opts.Variant == "zstd"}
	switch {
	case w.size > maxSize:
		return unsupported("a virtual size above 64 TiB")
	case opts.Variant != "" && opts.Variant != "zlib" && opts.Variant != "zstd":
		return unsupported("variant " + opts.Variant)
	case opts.Variant != "" && opts.Level == disk.LevelStored:
		return unsupported("compression " + opts.Variant + " without compression")
	}
	const span = writtenCluster * entriesInL2
	w.l1 = make([]uint64, (w.size+span-1)/span)
	w.refs = &counts{}
	return w, w.refs.add(0)
}

// placePlain is the place of the plain cluster at off of the disk.
func (w *writer) placePlain(off int64) (int64, error) {
	if err := w.enter(off / writtenCluster / entriesInL2); err != nil {
		return 0, err
	}
	at := w.alignUp()
	w.next = at + writtenCluster
	w.put(off, uint64(at)|copiedBit)
	return at, w.refs.add(at)
}

func (w *writer) put(off int64, entry uint64) {
	binary.BigEndian.PutUint64(w.l2[off/writtenCluster%entriesInL2*8:], entry)
}

func (w *writer) alignUp() int64 { return (w.next + writtenCluster - 1) &^ (writtenCluster - 1) }

// enter ends the L2 table in progress where part i is another, and the block of
// reference counts where there is one to end.
func (w *writer) enter(i int64) error {
	if block, ok := w.refs.done(); ok {
		at := w.alignUp()
		w.next = at + writtenCluster
		if err := w.refs.add(at); err != nil {
			return err
		}
		if err := w.refs.write(w.file, block, at); err != nil {
			return err
		}
	}
	if i == w.part {
		return nil
	}
	if w.part >= 0 {
		at, err := w.take(w.l2)
		if err != nil {
			return err
		}
		w.l1[w.part] = uint64(at) | copiedBit
		clear(w.l2)
	}
	w.part = i
	return nil
}

// take writes a table of whole clusters at a place of its own.
func (w *writer) take(table []byte) (int64, error) {
	at := w.alignUp()
	w.next = at + int64(len(table))
	for c := at; c < w.next; c += writtenCluster {
		if err := w.refs.add(c); err != nil {
			return 0, err
		}
	}
	return at, disk.WriteData(w.file, table, at)
}

// finish writes the tables and the header, and gives the file its length.
func (w *writer) finish() error {
	if err := w.enter(-1); err != nil {
		return err
	}
	be := binary.BigEndian
	table := make([]byte, (len(w.l1)*8+writtenCluster-1)/writtenCluster*writtenCluster) // none for a disk of nothing
	for i, e := range w.l1 {
		be.PutUint64(table[8*i:], e)
	}
	l1, err := w.take(table)
	if err != nil {
		return err
	}
	refs, n, end, err := w.refs.finish(w.file, w.alignUp())
	if err != nil {
		return err
	}
	w.next = end
	if err := w.file.Truncate(w.next); err != nil {
		return err
	}
	b := make([]byte, headerLenV3+8)
	writeHeader(b, w.size, len(w.l1), l1, refs, n)
	if w.zstd {
		be.PutUint64(b[72:], compressionType)
		be.PutUint32(b[100:], headerLenV3+8)
		b[104] = compressionZstd
	}
	_, err = w.file.WriteAt(b, 0)
	return err
}

// writeHeader fills b for a disk of size bytes with an L1 table of l1Len
// entries at l1 and a reference count table of tables clusters at refs.
func writeHeader(b []byte, size int64, l1Len int, l1, refs, tables int64) {
	be := binary.BigEndian
	be.PutUint32(b[0:], magic)
	be.PutUint32(b[4:], 3)
	be.PutUint32(b[20:], writtenBits)
	be.PutUint64(b[24:], uint64(size))
	be.PutUint32(b[36:], uint32(l1Len))
	be.PutUint64(b[40:], uint64(l1))
	be.PutUint64(b[48:], uint64(refs))
	be.PutUint32(b[56:], uint32(tables))
	be.PutUint32(b[96:], 4) // reference counts of 2^4 bits
	be.PutUint32(b[100:], headerLenV3)
}

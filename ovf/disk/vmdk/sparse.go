package vmdk

import (
	"context"
	"encoding/binary"

	"github.com/cimimove/cimimove/ovf/disk"
)

// WriteSparse writes img to file as a monolithicSparse image, grains of zeros
// left out: header, descriptor, the redundant tables and the tables, then
// grains in the order of the disk. A virtual size that is no multiple of 512 is
// rounded up to a sector.
func WriteSparse(ctx context.Context, img disk.Image, file disk.File, opts EncodeOptions) (disk.Result, error) {
	res := disk.Result{Info: img.Info()}
	if opts.Level > 0 || opts.Variant != "" {
		return res, &disk.UnsupportedError{Format: disk.VMDKSparse, Feature: "compression"}
	}
	capacity, err := capacityOf(img.Size())
	if err != nil {
		return res, err
	}
	w := newSparseWriter(capacity, file)
	res, err = disk.Scatter(ctx, img, file, grainSize, w.place, opts.EncodeOptions)
	if err != nil {
		return res, err
	}
	if err := w.endTable(); err != nil {
		return res, err
	}
	res.StreamBytes = w.next
	return res, w.finish(opts.Adapter)
}

// sparseWriter gives places to grains that come ascending, and writes each
// grain table, and its double, when the next begins.
type sparseWriter struct {
	file      disk.File
	h         header
	redundant int64 // byte offsets of directories; their tables follow each
	primary   int64
	next      int64 // of what is free
	open      int64 // the table in progress, -1 before the first
	table     [tableEntries * 4]byte
}

func newSparseWriter(capacity uint64, file disk.File) *sparseWriter {
	w := &sparseWriter{file: file, open: -1}
	w.h = header{
		version: 1, flags: flagNewLineTest | flagRedundantTable,
		capacity: capacity, grain: grainSectors,
		descriptor: 1, descriptorLen: descriptorSectors,
		tableEntries: tableEntries,
	}
	half := w.directoryLen() + w.h.tables()*tableSectors*sector
	w.redundant = (1 + descriptorSectors) * sector
	w.primary = w.redundant + half
	w.next = (w.primary + half + grainSize - 1) &^ (grainSize - 1)
	w.h.redundantTable = uint64(w.redundant) / sector
	w.h.directory = uint64(w.primary) / sector
	w.h.overhead = uint64(w.next) / sector
	return w
}

func (w *sparseWriter) directoryLen() int64 { return roundUp(w.h.tables() * 4) }

// place is the place of the grain that begins at off of the disk.
func (w *sparseWriter) place(off int64) (int64, error) {
	g := off / grainSize
	if t := g / tableEntries; t != w.open {
		if err := w.endTable(); err != nil {
			return 0, err
		}
		w.open = t
	}
	at := w.next
	w.next += grainSize
	s, err := sectorOf(at)
	if err != nil {
		return 0, &disk.UnsupportedError{Format: disk.VMDKSparse, Feature: "more than 2 TiB of grains"}
	}
	binary.LittleEndian.PutUint32(w.table[4*(g%tableEntries):], s)
	return at, nil
}

// endTable writes the table in progress.
func (w *sparseWriter) endTable() error {
	if w.open < 0 {
		return nil
	}
	for _, directory := range []int64{w.redundant, w.primary} {
		if _, err := w.file.WriteAt(w.table[:], w.tableAt(directory, w.open)); err != nil {
			return err
		}
	}
	clear(w.table[:])
	return nil
}

func (w *sparseWriter) tableAt(directory, t int64) int64 {
	return directory + w.directoryLen() + t*tableSectors*sector
}

// finish writes directories, header and descriptor, and gives the file its
// length. Every table has its place, as VMware wants it, also those that map
// nothing.
func (w *sparseWriter) finish(adapter Adapter) error {
	if err := w.file.Truncate(w.next); err != nil {
		return err
	}
	b := make([]byte, w.directoryLen())
	for _, directory := range []int64{w.redundant, w.primary} {
		for t := range w.h.tables() {
			binary.LittleEndian.PutUint32(b[4*t:], uint32(w.tableAt(directory, t)/sector))
		}
		if err := disk.WriteData(w.file, b, directory); err != nil {
			return err
		}
	}
	if adapter == "" {
		adapter = LSILogic
	}
	first := w.h.marshal()
	_, err := w.file.WriteAt(append(first[:], descriptor(w.h.capacity, adapter, "monolithicSparse")...), 0)
	return err
}

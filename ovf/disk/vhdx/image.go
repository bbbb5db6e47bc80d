// Package vhdx reads Microsoft virtual hard disks version 2, fixed, dynamic and
// differencing, and writes fixed and dynamic ones, as [MS-VHDX] says.
//
// A log that was not written back when the image was last used is replayed in
// memory: the file is not touched, and a log that cannot be replayed is
// disk.ErrCorrupt. The parent of a differencing disk is opened by the caller
// alone (OpenOver) and its identity checked.
package vhdx

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/blocks"
)

const (
	kib = 1 << 10
	mib = 1 << 20

	// maxSize is the format's own limit.
	maxSize = 64 << 40
	// maxTable bounds the block allocation table kept in memory, in entries:
	// 32 MiB.
	maxTable = 4 << 20

	// sectorsInBitmap is how many sectors a sector bitmap block tells of.
	sectorsInBitmap = 1 << 23
)

// States of a block, in the low three bits of its entry ([MS-VHDX] 2.5.1).
const (
	notPresent       = 0
	undefined        = 1
	blockZero        = 2
	unmapped         = 3
	fullyPresent     = 6
	partiallyPresent = 7
)

// Image is a VHDX. Methods may be called from several goroutines.
type Image struct {
	blocks.Image
	meta      *metadata
	dataWrite guid
}

var _ disk.Image = (*Image)(nil)

// Open takes the image of length bytes in r; name is what errors call it. It
// reads headers, log, metadata and block allocation table, and checks that
// every block lies within the image. A differencing disk is disk.ErrUnsupported.
func Open(r io.ReaderAt, length int64, name string) (*Image, error) {
	return OpenOver(r, length, name, nil)
}

// OpenOver is Open for a disk that may be differencing: parents opens what it
// builds on. Closing the image closes that.
func OpenOver(r io.ReaderAt, length int64, name string, parents disk.Parents) (*Image, error) {
	h, err := readHeaders(r, length, name)
	if err != nil {
		return nil, err
	}
	if h.log != (guid{}) {
		if r, length, err = replay(r, length, h, name); err != nil {
			return nil, err
		}
	}
	regions, err := readRegions(r, length, name)
	if err != nil {
		return nil, err
	}
	meta, err := readMetadata(r, regions.metadata, name)
	if err != nil {
		return nil, err
	}
	m := &Image{meta: meta, dataWrite: h.dataWrite}
	m.Image = blocks.Image{R: r, Label: "vhdx", Bytes: meta.size, Block: meta.block}
	others := []region{{h.logAt, h.logLen}, regions.table, regions.metadata}
	if err := m.readTable(regions.table, others, length, name); err != nil || !meta.hasParent {
		return m, err
	}
	return m, m.openParent(name, parents)
}

// readTable reads the block allocation table: after every chunk's payload
// blocks comes the entry of its sector bitmap block. Blocks do not lie in others.
func (m *Image) readTable(at region, others []region, length int64, name string) error {
	meta := m.meta
	need := (meta.size + meta.block - 1) / meta.block
	chunk := meta.chunk()
	entries := need + (need-1)/chunk
	if meta.hasParent {
		entries = (need + chunk - 1) / chunk * (chunk + 1)
	}
	if need == 0 {
		entries = 0
	}
	switch {
	case entries > maxTable:
		return unsupported(name, "a block allocation table of %d entries", entries)
	case entries*8 > at.n:
		return corrupt(name, at.at, fmt.Sprintf("a block allocation table of %d entries", entries), fmt.Sprintf("a region of %d bytes", at.n))
	}
	b := make([]byte, entries*8)
	if err := disk.ReadFull(m.R, b, at.at); err != nil {
		return err
	}
	table := make([]uint32, need)    // in MiB, 0 where there is none
	partial := map[int64]bool{}      // blocks of which sectors are the parent's
	bitmaps := make(map[int64]int64) // of chunks: byte offset of the bitmap
	entry := func(i int64) (state byte, place int64) {
		e := binary.LittleEndian.Uint64(b[8*i:])
		return byte(e & 7), int64(e >> 20)
	}
	for i := range need {
		state, place := entry(i + i/chunk)
		where := at.at + 8*(i+i/chunk)
		switch state {
		case notPresent:
			continue
		case undefined, blockZero, unmapped:
			if meta.hasParent && state != undefined {
				table[i] = zeroBlock
			}
			continue
		case partiallyPresent:
			if !meta.hasParent {
				return corrupt(name, where, "a block that is wholly there, without a parent", "one that is in part")
			}
			partial[i] = true
		case fullyPresent:
		default:
			return corrupt(name, where, "a block state", fmt.Sprint(state))
		}
		// Of the last block only what the disk's size takes need be there.
		n := min(meta.block, meta.size-i*meta.block)
		if place == 0 || place > (length-n)/mib {
			return corrupt(name, where, fmt.Sprintf("a block within the image's %d bytes", length), fmt.Sprintf("one at %d MiB", place))
		}
		if (region{place * mib, n}).in(others) {
			return corrupt(name, where, "a block where nothing else is", fmt.Sprintf("one at %d MiB", place))
		}
		table[i] = uint32(place)
	}
	if place, ok := m.overlap(table); ok {
		return corrupt(name, at.at, "blocks that do not overlap", fmt.Sprintf("two at %d MiB", place))
	}
	m.At = func(i int64) int64 { return int64(table[i]) * mib }
	if len(partial) == 0 && !meta.hasParent {
		return nil
	}
	for i := range partial {
		c := i / chunk
		state, place := entry(c*(chunk+1) + chunk)
		if state != fullyPresent || place == 0 || place > length/mib-1 {
			return corrupt(name, at.at+8*(c*(chunk+1)+chunk), "the sector bitmap of a block that is there in part", fmt.Sprintf("state %d at %d MiB", state, place))
		}
		if (region{place * mib, mib}).in(others) {
			return corrupt(name, at.at+8*(c*(chunk+1)+chunk), "a sector bitmap where nothing else is", fmt.Sprintf("one at %d MiB", place))
		}
		bitmaps[c] = place * mib
	}
	m.Zero = func(i int64) bool { return table[i] == zeroBlock }
	m.Bitmap = func(i int64) ([]byte, error) {
		if !partial[i] {
			return nil, nil
		}
		n := meta.block / meta.sector / 8
		b := make([]byte, n)
		err := disk.ReadFull(m.R, b, bitmaps[i/chunk]+i%chunk*n)
		return b, err
	}
	return nil
}

// overlap gives the place in MiB of a block of table that lies in part where
// another does. Of the last one only what the disk's size takes counts.
func (m *Image) overlap(table []uint32) (uint32, bool) {
	sorted := slices.Clone(table)
	slices.Sort(sorted)
	for i := 1; i < len(sorted) && sorted[i] != zeroBlock; i++ {
		if sorted[i-1] == 0 {
			continue
		}
		n := m.meta.block
		if last := len(table) - 1; sorted[i-1] == table[last] {
			n = m.meta.size - int64(last)*m.meta.block
		}
		if int64(sorted[i]-sorted[i-1])*mib < n {
			return sorted[i], true
		}
	}
	return 0, false
}

// zeroBlock, in the table, is a block of zeros over a parent's content.
const zeroBlock = 1<<32 - 1

func (m *Image) openParent(name string, parents disk.Parents) error {
	if m.meta.sector != 512 {
		return unsupported(name, "a differencing disk of sectors of %d bytes", m.meta.sector)
	}
	names, linkage := m.meta.locator.names(), m.meta.locator.linkage()
	if parents == nil {
		return unsupported(name, "a differencing disk, whose parent %q holds the rest of the content", names[0])
	}
	parent, err := parents(names, disk.VHDX)
	if err != nil {
		return err
	}
	p, ok := disk.Unowned(parent).(*Image)
	if !ok || !linkage[p.dataWrite] {
		parent.Close()
		return &disk.CorruptError{Name: name, Format: disk.VHDX, Offset: -1, Expected: "a parent of the identity it was made for", Got: "another image"}
	}
	m.Parent = parent
	return nil
}

func (m *Image) Info() disk.Info {
	info := disk.Info{Format: disk.VHDX, Variant: "dynamic", Size: m.Size(), Allocated: m.Allocated()}
	switch {
	case m.meta.hasParent:
		info.Variant = "differencing"
	case m.meta.fixed:
		info.Variant = "fixed"
	}
	return info
}

// Close closes the parent, where there is one, and not r, which is the caller's.
func (m *Image) Close() error {
	if m.Parent == nil {
		return nil
	}
	return m.Parent.Close()
}

func corrupt(name string, at int64, expected, got string) error {
	return &disk.CorruptError{Name: name, Format: disk.VHDX, Offset: at, Expected: expected, Got: got}
}

func unsupported(name, format string, args ...any) error {
	return &disk.UnsupportedError{Name: name, Format: disk.VHDX, Feature: fmt.Sprintf(format, args...)}
}

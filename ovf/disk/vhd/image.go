// Package vhd reads Microsoft virtual hard disks, fixed, dynamic and
// differencing, and writes fixed and dynamic ones, as the "Virtual Hard Disk
// Image Format Specification" 1.0 says.
//
// The virtual size is the footer's current size. Blocks of a dynamic disk are
// read whole: the sector bitmap before them tells child from parent, and a disk
// without a parent holds zeros where nothing was written. The parent of a
// differencing disk is opened by the caller alone (OpenOver) and its identity
// checked.
package vhd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/blocks"
)

// Image is a VHD. Methods may be called from several goroutines.
type Image struct {
	blocks.Image
	kind uint32
	id   [16]byte
}

var _ disk.Image = (*Image)(nil)

// Open takes the image of length bytes in r; name is what errors call it. It
// reads footer, header and block allocation table, and checks that every block
// lies within the image. A differencing disk is disk.ErrUnsupported.
func Open(r io.ReaderAt, length int64, name string) (*Image, error) {
	return OpenOver(r, length, name, nil)
}

// OpenOver is Open for a disk that may be differencing: parents opens what it
// builds on. Closing the image closes that.
func OpenOver(r io.ReaderAt, length int64, name string, parents disk.Parents) (*Image, error) {
	if length < footerLen {
		return nil, corrupt(name, 0, "a footer of 512 bytes", fmt.Sprintf("%d bytes", length))
	}
	b := make([]byte, footerLen, footerLen+1)
	if err := disk.ReadFull(r, b, length-footerLen); err != nil {
		return nil, err
	}
	foot := length - footerLen
	if string(b[1:1+len(footerCookie)]) == footerCookie {
		b, foot = append(b[1:], 0), length-oldFooterLen
	}
	f, err := parseFooter(name, foot, b)
	if err != nil {
		return nil, err
	}
	m := &Image{kind: f.kind, id: f.id}
	m.Image = blocks.Image{R: r, Label: "vhd", Bytes: f.size}
	if f.kind == typeFixed {
		if err := f.checkFixed(r, name, foot); err != nil {
			return nil, err
		}
		if f.size > foot {
			return nil, corrupt(name, foot, fmt.Sprintf("%d bytes before the footer", f.size), fmt.Sprint(foot))
		}
		m.Image = blocks.Image{R: whole{r}, Label: "vhd", Bytes: f.size, Block: max(f.size, 1), At: func(int64) int64 { return wholeAt }}
		return m, nil
	}
	d, err := m.readTable(f, foot, length, name)
	if err != nil || f.kind != typeDifferencing {
		return m, err
	}
	return m, m.openParent(d, length, name, parents)
}

// whole lets a fixed disk, whose only block lies at 0, be read as blocks are,
// whose place is never 0.
type whole struct{ r io.ReaderAt }

const wholeAt = 1

func (w whole) ReadAt(p []byte, off int64) (int, error) { return w.r.ReadAt(p, off-wholeAt) }

// readTable reads header and block allocation table of the disk whose footer f
// lies at foot.
func (m *Image) readTable(f *footer, foot, length int64, name string) (*dynamic, error) {
	if f.header < 0 || f.header > length-headerLen {
		return nil, corrupt(name, foot+16, fmt.Sprintf("a header within the image's %d bytes", length), fmt.Sprintf("one at %d", f.header))
	}
	b := make([]byte, headerLen)
	if err := disk.ReadFull(m.R, b, f.header); err != nil {
		return nil, err
	}
	d, err := parseDynamic(name, f.header, b)
	if err != nil {
		return nil, err
	}
	need := (f.size + d.block - 1) / d.block
	switch {
	case need > d.entries:
		return nil, corrupt(name, f.header+28, fmt.Sprintf("%d blocks for the size", need), fmt.Sprint(d.entries))
	case d.table < 0 || need*4 > length || d.table > length-need*4:
		return nil, corrupt(name, f.header+16, fmt.Sprintf("a block allocation table within the image's %d bytes", length), fmt.Sprintf("one at %d", d.table))
	}
	b = make([]byte, need*4)
	if err := disk.ReadFull(m.R, b, d.table); err != nil {
		return nil, err
	}
	table := make([]uint32, need)
	for i := range table {
		at := binary.BigEndian.Uint32(b[4*i:])
		if at == unallocated {
			continue
		}
		// Of the last block only what the disk's size takes need be there.
		n := d.bitmap() + min(d.block, f.size-int64(i)*d.block)
		where := d.table + int64(4*i)
		if at == 0 || int64(at)*sector > foot-n {
			return nil, corrupt(name, where, fmt.Sprintf("a block within the image's %d bytes", length), fmt.Sprintf("one at sector %d", at))
		}
		for _, p := range [][2]int64{{0, footerLen}, {f.header, headerLen}, {d.table, need * 4}} {
			if begin := int64(at) * sector; begin < p[0]+p[1] && p[0] < begin+n {
				return nil, corrupt(name, where, "a block behind header and table", fmt.Sprintf("one at sector %d", at))
			}
		}
		table[i] = at
	}
	if at, ok := d.overlap(table, f.size); ok {
		return nil, corrupt(name, d.table, "blocks that do not overlap", fmt.Sprintf("two at sector %d", at))
	}
	m.Block, m.At = d.block, func(i int64) int64 {
		if table[i] == 0 {
			return 0
		}
		return int64(table[i])*sector + d.bitmap()
	}
	return d, nil
}

// overlap gives the sector of a block of table that lies in part where another
// does. Of the last block of size only the disk's part counts.
func (d *dynamic) overlap(table []uint32, size int64) (uint32, bool) {
	sorted := slices.Clone(table)
	slices.Sort(sorted)
	for i := 1; i < len(sorted); i++ {
		if sorted[i-1] == 0 {
			continue
		}
		n := d.bitmap() + d.block
		if last := len(table) - 1; sorted[i-1] == table[last] {
			n = d.bitmap() + size - int64(last)*d.block
		}
		if int64(sorted[i]-sorted[i-1])*sector < n {
			return sorted[i], true
		}
	}
	return 0, false
}

func (m *Image) openParent(d *dynamic, length int64, name string, parents disk.Parents) error {
	names, err := d.parentNames(m.R, length, name)
	if err != nil {
		return err
	}
	if parents == nil {
		return unsupported(name, "a differencing disk, whose parent %q holds the rest of the content", names[0])
	}
	parent, err := parents(names, disk.VHD)
	if err != nil {
		return err
	}
	p, ok := disk.Unowned(parent).(*Image)
	if !ok || p.id != d.parentID {
		parent.Close()
		return &disk.CorruptError{Name: name, Format: disk.VHD, Offset: -1, Expected: fmt.Sprintf("a parent of identity %x", d.parentID), Got: "another image"}
	}
	m.Parent, m.HighFirst = parent, true
	m.Bitmap = func(i int64) ([]byte, error) {
		b := make([]byte, d.bitmap())
		return b, disk.ReadFull(m.R, b, m.At(i)-d.bitmap())
	}
	return nil
}

func (m *Image) Info() disk.Info {
	info := disk.Info{Format: disk.VHD, Size: m.Size()}
	switch m.kind {
	case typeFixed:
		info.Variant, info.Allocated = "fixed", info.Size
	case typeDynamic:
		info.Variant, info.Allocated = "dynamic", m.Allocated()
	default:
		info.Variant, info.Allocated = "differencing", m.Allocated()
	}
	return info
}

// Close closes the parent, where there is one, and not r, which is the caller's.
func (m *Image) Close() error {
	if m.Parent == nil {
		return nil
	}
	return errors.Join(m.Parent.Close())
}

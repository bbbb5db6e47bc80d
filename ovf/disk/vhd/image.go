// Package vhd reads Microsoft virtual hard disks, fixed and dynamic, as the
// "Virtual Hard Disk Image Format Specification" 1.0 says.
//
// The virtual size is the footer's current size. Blocks that are allocated are
// read whole: the sector bitmap before them tells parent from child, and a disk
// without a parent holds zeros where nothing was written. Differencing disks
// are disk.ErrUnsupported.
package vhd

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Image is a fixed or dynamic VHD. Methods may be called from several
// goroutines.
type Image struct {
	r     io.ReaderAt
	name  string
	size  int64
	d     *dynamic // nil for a fixed disk
	table []uint32 // sectors of the blocks, 0 where there is none
}

var _ disk.Image = (*Image)(nil)

// Open takes the image of length bytes in r; name is what errors call it. It
// reads footer, header and block allocation table, and checks that every block
// lies within the image.
func Open(r io.ReaderAt, length int64, name string) (*Image, error) {
	if length < footerLen {
		return nil, corrupt(name, 0, "a footer of 512 bytes", fmt.Sprintf("%d bytes", length))
	}
	b := make([]byte, footerLen)
	if err := disk.ReadFull(r, b, length-footerLen); err != nil {
		return nil, err
	}
	f, err := parseFooter(name, length-footerLen, b)
	if err != nil {
		return nil, err
	}
	m := &Image{r: r, name: name, size: f.size}
	if f.kind == typeFixed {
		if f.size > length-footerLen {
			return nil, corrupt(name, length-footerLen, fmt.Sprintf("%d bytes before the footer", f.size), fmt.Sprint(length-footerLen))
		}
		return m, nil
	}
	return m, m.readTable(f, length)
}

func (m *Image) readTable(f *footer, length int64) error {
	if f.header < 0 || f.header > length-headerLen {
		return corrupt(m.name, length-footerLen+16, fmt.Sprintf("a header within the image's %d bytes", length), fmt.Sprintf("one at %d", f.header))
	}
	b := make([]byte, headerLen)
	if err := disk.ReadFull(m.r, b, f.header); err != nil {
		return err
	}
	d, err := parseDynamic(m.name, f.header, b)
	if err != nil {
		return err
	}
	need := (m.size + d.block - 1) / d.block
	switch {
	case need > d.entries:
		return corrupt(m.name, f.header+28, fmt.Sprintf("%d blocks for the size", need), fmt.Sprint(d.entries))
	case d.table < 0 || need*4 > length || d.table > length-need*4:
		return corrupt(m.name, f.header+16, fmt.Sprintf("a block allocation table within the image's %d bytes", length), fmt.Sprintf("one at %d", d.table))
	}
	b = make([]byte, need*4)
	if err := disk.ReadFull(m.r, b, d.table); err != nil {
		return err
	}
	m.d, m.table = d, make([]uint32, need)
	for i := range m.table {
		at := binary.BigEndian.Uint32(b[4*i:])
		if at == unallocated {
			continue
		}
		// Of the last block only what the disk's size takes need be there.
		n := d.bitmap() + min(d.block, m.size-int64(i)*d.block)
		if at == 0 || int64(at)*sector > length-footerLen-n {
			return corrupt(m.name, d.table+int64(4*i), fmt.Sprintf("a block within the image's %d bytes", length), fmt.Sprintf("one at sector %d", at))
		}
		m.table[i] = at
	}
	return nil
}

func (m *Image) Size() int64 { return m.size }

func (m *Image) Info() disk.Info {
	variant := "dynamic"
	if m.d == nil {
		variant = "fixed"
	}
	return disk.Info{Format: disk.VHD, Variant: variant, Size: m.size, Allocated: -1}
}

// Close releases nothing: r is the caller's.
func (m *Image) Close() error { return nil }

func (m *Image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("vhd: read at negative offset %d", off)
	}
	if off >= m.size {
		return 0, io.EOF
	}
	var atEnd error
	if int64(len(p)) > m.size-off {
		p, atEnd = p[:m.size-off], io.EOF
	}
	if m.d == nil {
		if err := disk.ReadFull(m.r, p, off); err != nil {
			return 0, err
		}
		return len(p), atEnd
	}
	for done := 0; done < len(p); {
		i, skip := (off+int64(done))/m.d.block, (off+int64(done))%m.d.block
		part := p[done:min(int64(len(p)), int64(done)+m.d.block-skip)]
		if at := int64(m.table[i]); at == 0 {
			clear(part)
		} else if err := disk.ReadFull(m.r, part, at*sector+m.d.bitmap()+skip); err != nil {
			return done, err
		}
		done += len(part)
	}
	return len(p), atEnd
}

// Extents are those of the block allocation table; a fixed disk is one.
func (m *Image) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		if off < 0 || n < 0 || off > m.size-n {
			yield(disk.Extent{}, fmt.Errorf("vhd: extents of %d bytes at %d: the disk has %d", n, off, m.size))
			return
		}
		if m.d == nil {
			if n > 0 {
				yield(disk.Extent{Offset: off, Length: n}, nil)
			}
			return
		}
		for end := off + n; off < end; {
			if err := ctx.Err(); err != nil {
				yield(disk.Extent{}, err)
				return
			}
			i := off / m.d.block
			zero := m.table[i] == 0
			for i++; i < int64(len(m.table)) && (m.table[i] == 0) == zero; i++ {
			}
			next := min(i*m.d.block, end)
			if !yield(disk.Extent{Offset: off, Length: next - off, Zero: zero}, nil) {
				return
			}
			off = next
		}
	}
}

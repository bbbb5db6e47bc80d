// Package blocks is what VHD, VHDX and VDI have in common: a disk cut into
// large blocks, each of which lies somewhere in the file or nowhere, as one
// table says. Image reads such a disk, Write and Encode write one.
package blocks

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Image reads a disk of blocks. Formats embed it.
type Image struct {
	R     io.ReaderAt
	Label string // what errors begin with: the format
	Bytes int64  // the virtual size
	Block int64  // bytes of content in a block
	// At is the byte offset in R of the content of block i. 0 says that it is
	// not there: zeros, or the parent's where there is one.
	At func(i int64) int64

	// Parent, which may be nil, holds what is not here. It may be smaller:
	// zeros follow it.
	Parent disk.Image
	// Zero, which may be nil, with a Parent, says which blocks are zeros
	// whatever the parent holds.
	Zero func(i int64) bool
	// Bitmap, with a Parent, says which sectors of 512 bytes of a block that is
	// there are its own, the rest being the parent's: bit n of the block, the
	// first bit of a byte the highest or the lowest as HighFirst says. nil is
	// all of them.
	Bitmap    func(i int64) ([]byte, error)
	HighFirst bool
}

const sector = 512

func (m *Image) Size() int64 { return m.Bytes }

// Close releases nothing: R is the caller's.
func (m *Image) Close() error { return nil }

// Allocated is how many bytes of content lie in blocks of the file's own.
func (m *Image) Allocated() int64 {
	sum := int64(0)
	for i := int64(0); i*m.Block < m.Bytes; i++ {
		if m.At(i) != 0 && !m.zero(i) {
			sum += min(m.Block, m.Bytes-i*m.Block)
		}
	}
	return sum
}

func (m *Image) ReadAt(p []byte, off int64) (int, error) {
	p, atEnd := disk.Within(m.Label, p, off, m.Bytes)
	for done := 0; done < len(p); {
		i, skip := (off+int64(done))/m.Block, (off+int64(done))%m.Block
		part := p[done:min(int64(len(p)), int64(done)+m.Block-skip)]
		if err := m.readBlock(part, i, skip); err != nil {
			return done, err
		}
		done += len(part)
	}
	return len(p), atEnd
}

// readBlock reads from byte skip of block i.
func (m *Image) readBlock(p []byte, i, skip int64) error {
	at := m.At(i)
	switch {
	case m.zero(i):
		clear(p)
		return nil
	case at == 0 && m.Parent == nil:
		clear(p)
		return nil
	case at == 0:
		return m.readParent(p, i*m.Block+skip)
	case m.Parent == nil || m.Bitmap == nil:
		return disk.ReadFull(m.R, p, at+skip)
	}
	bits, err := m.Bitmap(i)
	if err != nil {
		return err
	}
	if bits == nil {
		return disk.ReadFull(m.R, p, at+skip)
	}
	for len(p) > 0 {
		own := m.own(bits, skip)
		n := min(int64(len(p)), sector-skip%sector)
		for n < int64(len(p)) && m.own(bits, skip+n) == own {
			n = min(int64(len(p)), n+sector)
		}
		if own {
			err = disk.ReadFull(m.R, p[:n], at+skip)
		} else {
			err = m.readParent(p[:n], i*m.Block+skip)
		}
		if err != nil {
			return err
		}
		p, skip = p[n:], skip+n
	}
	return nil
}

func (m *Image) zero(i int64) bool { return m.Zero != nil && m.Zero(i) }

func (m *Image) own(bits []byte, skip int64) bool {
	n := skip / sector
	if m.HighFirst {
		return bits[n/8]&(0x80>>(n%8)) != 0
	}
	return bits[n/8]&(1<<(n%8)) != 0
}

func (m *Image) readParent(p []byte, off int64) error {
	n := max(0, min(int64(len(p)), m.Parent.Size()-off))
	clear(p[n:])
	return disk.ReadFull(m.Parent, p[:n], off)
}

// Extents are those of the blocks; where the parent's content shows, its own.
func (m *Image) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return disk.Merged(func(yield func(disk.Extent, error) bool) {
		if off < 0 || n < 0 || off > m.Bytes-n {
			yield(disk.Extent{}, fmt.Errorf("%s: extents of %d bytes at %d: the disk has %d", m.Label, n, off, m.Bytes))
			return
		}
		for end := off + n; off < end; {
			if err := ctx.Err(); err != nil {
				yield(disk.Extent{}, err)
				return
			}
			i := off / m.Block
			next := min((i+1)*m.Block, end)
			zero := m.At(i) == 0 || m.zero(i)
			if zero && m.Parent != nil && !m.zero(i) {
				if !m.parentExtents(ctx, off, next, yield) {
					return
				}
			} else if !yield(disk.Extent{Offset: off, Length: next - off, Zero: zero}, nil) {
				return
			}
			off = next
		}
	})
}

// parentExtents yields the parent's extents of [off, end), zeros behind it.
func (m *Image) parentExtents(ctx context.Context, off, end int64, yield func(disk.Extent, error) bool) bool {
	if have := min(end, m.Parent.Size()); off < have {
		for e, err := range m.Parent.Extents(ctx, off, have-off) {
			if !yield(e, err) || err != nil {
				return false
			}
		}
		off = have
	}
	return off >= end || yield(disk.Extent{Offset: off, Length: end - off, Zero: true}, nil)
}

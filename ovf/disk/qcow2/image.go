// Package qcow2 reads QEMU copy-on-write disks, versions 2 and 3, with plain,
// zero, zlib- and zstd-compressed clusters, and writes version 3.
//
// It follows QEMU's docs/interop/qcow2.txt. A backing file is opened by the
// caller alone (OpenOver): a file is not opened because a header names it. An
// external data file and encryption are disk.ErrUnsupported. Of an image with
// internal snapshots the current state is read, as every reader does; Info
// counts the snapshots, which no conversion carries.
package qcow2

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Image is a qcow2 disk read through its tables. Methods may be called from
// several goroutines.
type Image struct {
	r        io.ReaderAt
	name     string
	length   int64 // of the image file
	h        *header
	l1       []uint64   // byte offsets of L2 tables, 0 where there is none
	parent   disk.Image // nil where there is none
	tables   tableCache
	clusters clusterCache
}

var _ disk.Image = (*Image)(nil)

// Open takes the image of length bytes in r; name is what errors call it. It
// reads the header and the L1 table, and checks that every L2 table lies
// within the image; clusters are checked when read. An image with a backing file
// is disk.ErrUnsupported.
func Open(r io.ReaderAt, length int64, name string) (*Image, error) {
	return OpenOver(r, length, name, nil)
}

// OpenOver is Open for an image that may have a backing file, which parents
// opens. Closing the image closes that.
func OpenOver(r io.ReaderAt, length int64, name string, parents disk.Parents) (*Image, error) {
	h, err := readHeader(r, length, name)
	if err != nil {
		return nil, err
	}
	m := &Image{r: r, name: name, length: length, h: h}
	b := make([]byte, int(h.l1Len)*8)
	if err := disk.ReadFull(r, b, int64(h.l1)); err != nil {
		return nil, err
	}
	m.l1 = make([]uint64, h.l1Len)
	for i := range m.l1 {
		e := binary.BigEndian.Uint64(b[8*i:])
		at := e & offsetMask
		if e&l1Reserved != 0 || e == copiedBit {
			return nil, corrupt(name, int64(h.l1)+int64(8*i), "an L1 entry", fmt.Sprintf("%#x", e))
		}
		if err := m.checkPlace(at, h.clusterSize(), int64(h.l1)+int64(8*i), "an L2 table"); err != nil {
			return nil, err
		}
		m.l1[i] = at
	}
	if h.backing == "" {
		return m, nil
	}
	if parents == nil {
		return nil, &disk.UnsupportedError{Name: name, Format: disk.QCOW2, Feature: fmt.Sprintf("a backing file %q, which holds the rest of the content", h.backing)}
	}
	m.parent, err = parents([]string{h.backing}, backingFormats[h.backingAs])
	return m, err
}

// SetParent says that what is not in the image is in another, which the image
// itself does not tell of. Closing the image closes that too.
func (m *Image) SetParent(parent disk.Image) { m.parent = parent }

// backingFormats are qemu's names of formats.
var backingFormats = map[string]disk.Format{
	"raw": disk.Raw, "qcow2": disk.QCOW2, "vmdk": disk.VMDK, "vpc": disk.VHD, "vhdx": disk.VHDX, "vdi": disk.VDI,
}

// checkPlace checks that what lies at byte offset at, for n bytes, as the entry
// at where says.
func (m *Image) checkPlace(at uint64, n, where int64, what string) error {
	if at == 0 {
		return nil
	}
	if at%uint64(m.h.clusterSize()) != 0 || at > uint64(m.length) || n > m.length-int64(at) {
		return corrupt(m.name, where, fmt.Sprintf("%s at a cluster within the image's %d bytes", what, m.length), fmt.Sprintf("one at %d", at))
	}
	// Both tables are whole clusters: what begins outside is outside.
	if at-m.h.l1 < uint64(m.h.l1Len)*8 || at-m.h.counts < uint64(m.h.countsLen)<<m.h.clusterBits {
		return corrupt(m.name, where, what+" where no other table is", fmt.Sprintf("one at %d", at))
	}
	return nil
}

func (m *Image) Size() int64 { return int64(m.h.size) }

func (m *Image) Info() disk.Info {
	return disk.Info{Format: disk.QCOW2, Variant: fmt.Sprintf("version %d", m.h.version), Size: m.Size(), Allocated: -1, Snapshots: int(m.h.snapshots)}
}

// Close closes the backing file, where there is one, and not r, which is the
// caller's.
func (m *Image) Close() error {
	if m.parent == nil {
		return nil
	}
	return m.parent.Close()
}

func (m *Image) ReadAt(p []byte, off int64) (int, error) {
	p, atEnd := disk.Within("qcow2", p, off, m.Size())
	for done := 0; done < len(p); {
		n, err := m.readRun(p[done:], off+int64(done))
		if err != nil {
			return done, err
		}
		done += n
	}
	return len(p), atEnd
}

// readRun reads what is in one piece at off: clusters, or parts of them, that
// follow each other in the image too, or one compressed cluster.
func (m *Image) readRun(p []byte, off int64) (int, error) {
	unit := m.h.unit()
	skip := off % unit
	c, err := m.cluster(off)
	if err != nil {
		return 0, err
	}
	n := min(int64(len(p)), unit-skip)
	switch c.kind {
	case absent:
		if m.parent != nil {
			k := max(0, min(n, m.parent.Size()-off))
			clear(p[k:n])
			return int(n), disk.ReadFull(m.parent, p[:k], off)
		}
		fallthrough
	case zero:
		clear(p[:n])
		return int(n), nil
	case compressed:
		cs := m.h.clusterSize()
		n = min(int64(len(p)), cs-off%cs)
		return int(n), m.readCompressed(p[:n], off/cs, c, off%cs)
	}
	for n < int64(len(p)) {
		next, err := m.cluster(off + n)
		if err != nil {
			return 0, err
		}
		if next.kind != plain || next.at != c.at+skip+n {
			break
		}
		n = min(int64(len(p)), n+unit)
	}
	return int(n), m.readPlain(p[:n], c.at+skip)
}

// readPlain reads at byte offset at. The file may end within the last cluster,
// behind the disk's size, not before.
func (m *Image) readPlain(p []byte, at int64) error {
	if at > m.length-int64(len(p)) {
		return corrupt(m.name, at, fmt.Sprintf("%d bytes of clusters", len(p)), fmt.Sprintf("the end of the image at %d", m.length))
	}
	return disk.ReadFull(m.r, p, at)
}

// Extents reads tables, not clusters. Zero clusters, allocated or not, are
// zero extents; where the backing file's content shows, its own.
func (m *Image) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return disk.Merged(func(yield func(disk.Extent, error) bool) {
		if off < 0 || n < 0 || off > m.Size()-n {
			yield(disk.Extent{}, fmt.Errorf("qcow2: extents of %d bytes at %d: the disk has %d", n, off, m.Size()))
			return
		}
		unit, end := m.h.unit(), off+n
		span := m.h.clusterSize() * m.h.l2Entries()
		for at := off; at < end; {
			if err := ctx.Err(); err != nil {
				yield(disk.Extent{}, err)
				return
			}
			next, k := at/span*span+span, absent
			if m.l1[at/span] != 0 {
				c, err := m.cluster(at)
				if err != nil {
					yield(disk.Extent{}, err)
					return
				}
				next, k = at/unit*unit+unit, c.kind
			}
			next = min(next, end)
			if k == absent && m.parent != nil && at < m.parent.Size() {
				have := min(next, m.parent.Size())
				for e, err := range m.parent.Extents(ctx, at, have-at) {
					if !yield(e, err) || err != nil {
						return
					}
				}
				at = have
			}
			if !yield(disk.Extent{Offset: at, Length: next - at, Zero: k == zero || k == absent}, nil) {
				return
			}
			at = next
		}
	})
}

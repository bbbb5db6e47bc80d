// Package vdi reads and writes VirtualBox disk images, dynamic and fixed, as
// VirtualBox's VDICore.h lays them out (version 1.1).
//
// Differencing and undo images, whose content is in part another file's, are
// disk.ErrUnsupported.
package vdi

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/blocks"
)

// Image is a VDI. Methods may be called from several goroutines.
type Image struct {
	blocks.Image
	kind uint32
}

var _ disk.Image = (*Image)(nil)

// Block map entries without a block: never written, and written with zeros.
const (
	entryFree = 0xffffffff
	entryZero = 0xfffffffe
)

// maxMap bounds the block map kept in memory: 64 MiB, 16 TiB of disk.
const maxMap = 16 << 20

// Open takes the image of length bytes in r; name is what errors call it. It
// reads header and block map, and checks that every block lies within the
// image, and no two at one place.
func Open(r io.ReaderAt, length int64, name string) (*Image, error) {
	h, err := readHeader(r, length, name)
	if err != nil {
		return nil, err
	}
	b := make([]byte, int64(h.blocks)*4)
	if err := disk.ReadFull(r, b, int64(h.mapAt)); err != nil {
		return nil, err
	}
	need := (h.size + h.block - 1) / h.block
	places := make([]uint32, need)
	seen := make([]uint64, (int64(h.blocks)+63)/64)
	for i := range places {
		e := binary.LittleEndian.Uint32(b[4*i:])
		if e == entryFree || e == entryZero {
			continue
		}
		where := int64(h.mapAt) + int64(4*i)
		// Of the last block only what the disk's size takes need be there.
		n := min(h.block, h.size-int64(i)*h.block)
		if at := h.place(e); e >= h.blocks || at > length-n {
			return nil, corrupt(name, where, fmt.Sprintf("a block within the image's %d bytes", length), fmt.Sprintf("block %d", e))
		}
		if seen[e/64]&(1<<(e%64)) != 0 {
			return nil, corrupt(name, where, "each block once", fmt.Sprintf("block %d again", e))
		}
		seen[e/64] |= 1 << (e % 64)
		places[i] = e + 1
	}
	m := &Image{kind: h.kind}
	m.Image = blocks.Image{R: r, Label: "vdi", Bytes: h.size, Block: h.block, At: func(i int64) int64 {
		if places[i] == 0 {
			return 0
		}
		return h.place(places[i] - 1)
	}}
	return m, nil
}

func (m *Image) Info() disk.Info {
	variant := "dynamic"
	if m.kind == kindFixed {
		variant = "fixed"
	}
	return disk.Info{Format: disk.VDI, Variant: variant, Size: m.Size(), Allocated: m.Allocated()}
}

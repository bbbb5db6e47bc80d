package vdi

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/google/uuid"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/blocks"
)

// What is written: blocks of 1 MiB, VirtualBox's own and the only ones that
// qemu reads, map and blocks aligned to as much.
const (
	writtenBlock = 1 << 20
	writtenAlign = 1 << 20
)

// Write writes img to file as a VDI, dynamic unless opts.Variant is "fixed";
// blocks of zeros are left out of a dynamic one. A virtual size that is no
// multiple of 512 is rounded up to a sector. Each image gets an identity of its
// own, so that no two writes give the same bytes.
func Write(ctx context.Context, img disk.Image, file disk.File, opts disk.EncodeOptions) (disk.Result, error) {
	f, err := format(img, opts)
	if err != nil {
		return disk.Result{Info: img.Info()}, err
	}
	return f.Write(ctx, img, file, opts)
}

// Encode is Write to what cannot seek: each block that img's extents touch is
// written.
func Encode(ctx context.Context, img disk.Image, w io.Writer, opts disk.EncodeOptions) (disk.Result, error) {
	f, err := format(img, opts)
	if err != nil {
		return disk.Result{Info: img.Info()}, err
	}
	return f.Encode(ctx, img, w, opts)
}

func format(img disk.Image, opts disk.EncodeOptions) (*blocks.Format, error) {
	kind := uint32(kindDynamic)
	switch {
	case opts.Level > 0:
		return nil, unsupported("", "compression")
	case opts.Variant == "fixed":
		kind = kindFixed
	case opts.Variant != "" && opts.Variant != "dynamic":
		return nil, unsupported("", "variant %s", opts.Variant)
	}
	size := (img.Size() + sector - 1) &^ (sector - 1)
	n := (size + writtenBlock - 1) / writtenBlock
	if n > maxMap {
		return nil, unsupported("", "a virtual size of %d bytes, above 16 TiB", size)
	}
	first := (writtenAlign + n*4 + writtenAlign - 1) &^ (writtenAlign - 1)
	return &blocks.Format{Block: writtenBlock, First: first, Fixed: kind == kindFixed, Front: func(table []uint32, put blocks.Put) error {
		b := make([]byte, writtenAlign)
		le := binary.LittleEndian
		copy(b, text)
		le.PutUint32(b[64:], signature)
		le.PutUint32(b[68:], version)
		le.PutUint32(b[atLen:], headerLen)
		le.PutUint32(b[atKind:], kind)
		le.PutUint32(b[atMap:], writtenAlign)
		le.PutUint32(b[atData:], uint32(first))
		le.PutUint32(b[atSectorSize:], sector)
		le.PutUint64(b[atSize:], uint64(size))
		le.PutUint32(b[atBlock:], writtenBlock)
		le.PutUint32(b[atBlocks:], uint32(n))
		used := uint32(0)
		for _, k := range table {
			if k != 0 {
				used++
			}
		}
		le.PutUint32(b[atUsed:], used)
		for _, at := range []int{atID, atModified} {
			id, err := uuid.NewRandom()
			if err != nil {
				return err
			}
			copy(b[at:], id[:])
		}
		if err := put(b, 0); err != nil {
			return err
		}
		return blocks.PutTable(put, writtenAlign, int(n), 4, func(i int, b []byte) {
			if table[i] == 0 {
				le.PutUint32(b, entryFree)
			} else {
				le.PutUint32(b, table[i]-1)
			}
		})
	}}, nil
}

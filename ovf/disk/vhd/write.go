package vhd

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/blocks"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

const (
	// writtenBlock is the format's usual block size.
	writtenBlock = 2 << 20
	// writtenAlign is what blocks' content is aligned to: a page, so that hosts
	// read and write it without copying.
	writtenAlign = 4096

	noOffset = 0xffffffffffffffff
)

// Write writes img to file as a VHD, dynamic unless opts.Variant is "fixed";
// blocks of zeros are left out of a dynamic one. A virtual size that is no
// multiple of 512 is rounded up to a sector. Each image gets an identity of its
// own, so that no two writes give the same bytes.
func Write(ctx context.Context, img disk.Image, file disk.File, opts disk.EncodeOptions) (disk.Result, error) {
	w, err := newWritten(img, opts)
	if err != nil {
		return disk.Result{Info: img.Info()}, err
	}
	if w.kind == typeDynamic {
		return w.format().Write(ctx, img, file, opts)
	}
	res, err := disk.Scatter(ctx, img, file, disk.BlockSize, func(off int64) (int64, error) { return off, nil }, opts)
	if err != nil {
		return res, err
	}
	res.StreamBytes = w.size + footerLen
	if err := file.Truncate(res.StreamBytes); err != nil {
		return res, err
	}
	_, err = file.WriteAt(w.footer(), w.size)
	return res, err
}

// Encode is Write to what cannot seek: each block that img's extents touch is
// written.
func Encode(ctx context.Context, img disk.Image, out io.Writer, opts disk.EncodeOptions) (disk.Result, error) {
	w, err := newWritten(img, opts)
	if err != nil {
		return disk.Result{Info: img.Info()}, err
	}
	if w.kind == typeDynamic {
		return w.format().Encode(ctx, img, out, opts)
	}
	res, err := raw.Encode(ctx, img, out, opts)
	if err != nil {
		return res, err
	}
	n, err := out.Write(append(make([]byte, w.size-img.Size()), w.footer()...))
	res.StreamBytes += int64(n)
	return res, err
}

// written is an image about to be written.
type written struct {
	size int64
	kind uint32
	id   uuid.UUID
	made uint32 // seconds since 2000
}

func newWritten(img disk.Image, opts disk.EncodeOptions) (*written, error) {
	w := &written{size: (img.Size() + sector - 1) &^ (sector - 1), kind: typeDynamic}
	switch {
	case opts.Level > 0:
		return nil, unsupported("", "compression")
	case opts.Variant == "fixed":
		w.kind = typeFixed
	case opts.Variant != "" && opts.Variant != "dynamic":
		return nil, unsupported("", "variant %s", opts.Variant)
	}
	if w.size > maxSize {
		return nil, unsupported("", "a virtual size of %d bytes, above 2040 GiB", w.size)
	}
	id, err := uuid.NewRandom()
	w.id, w.made = id, uint32(time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))/time.Second)
	return w, err
}

func (w *written) footer() []byte {
	b := make([]byte, footerLen)
	be := binary.BigEndian
	copy(b, footerCookie)
	be.PutUint32(b[8:], 2) // a bit that is always set
	be.PutUint32(b[12:], 1<<16)
	be.PutUint64(b[16:], noOffset)
	if w.kind != typeFixed {
		be.PutUint64(b[16:], footerLen)
	}
	be.PutUint32(b[24:], w.made)
	// Readers tell by the creator whether the size or the geometry counts; of
	// Windows' own images it is the size.
	copy(b[28:], "win ")
	be.PutUint32(b[32:], 10<<16)
	copy(b[36:], "Wi2k")
	be.PutUint64(b[40:], uint64(w.size))
	be.PutUint64(b[48:], uint64(w.size))
	cylinders, heads, sectors := geometry(w.size / sector)
	be.PutUint16(b[56:], cylinders)
	b[58], b[59] = heads, sectors
	be.PutUint32(b[60:], w.kind)
	copy(b[68:], w.id[:])
	be.PutUint32(b[64:], checksum(b, 64))
	return b
}

// geometry is the specification's appendix "CHS Calculation".
func geometry(total int64) (cylinders uint16, heads, sectors byte) {
	total = min(total, 65535*16*255)
	per, h := int64(17), int64(0)
	by := int64(0) // cylinders times heads
	switch {
	case total >= 65535*16*63:
		per, h = 255, 16
		by = total / per
	default:
		by = total / per
		h = max((by+1023)/1024, 4)
		if by >= h*1024 || h > 16 {
			per, h = 31, 16
			by = total / per
		}
		if by >= h*1024 {
			per, h = 63, 16
			by = total / per
		}
	}
	return uint16(by / h), byte(h), byte(per)
}

func (w *written) format() *blocks.Format {
	n := (w.size + writtenBlock - 1) / writtenBlock
	const tableAt = footerLen + headerLen
	first := (tableAt + n*4 + writtenAlign - 1) &^ (writtenAlign - 1)
	bitmap := make([]byte, writtenBlock/sector/8)
	for i := range bitmap {
		bitmap[i] = 0xff
	}
	f := &blocks.Format{Block: writtenBlock, First: first, Prefix: bitmap, Align: writtenAlign, Tail: w.footer()}
	f.Front = func(table []uint32, put blocks.Put) error {
		b := make([]byte, tableAt)
		copy(b, f.Tail)
		be := binary.BigEndian
		h := b[footerLen : footerLen+headerLen]
		copy(h, headerCookie)
		be.PutUint64(h[8:], noOffset)
		be.PutUint64(h[16:], tableAt)
		be.PutUint32(h[24:], 1<<16)
		be.PutUint32(h[28:], uint32(n))
		be.PutUint32(h[32:], writtenBlock)
		be.PutUint32(h[36:], checksum(h, 36))
		if err := put(b, 0); err != nil {
			return err
		}
		return blocks.PutTable(put, tableAt, int(first-tableAt)/4, 4, func(i int, b []byte) {
			at := uint32(math.MaxUint32)
			if i < len(table) && table[i] != 0 {
				at = uint32((f.Content(table[i]-1) - int64(len(bitmap))) / sector)
			}
			be.PutUint32(b, at)
		})
	}
	return f
}

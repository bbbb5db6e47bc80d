package vhdx

import (
	"context"
	"encoding/binary"
	"io"
	"unicode/utf16"

	"github.com/google/uuid"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/blocks"
)

const (
	creator = "cimimove"

	// maxWrittenBlocks bounds the table: blocks grow with the disk, from 1 MiB.
	maxWrittenBlocks = 1 << 20

	logAt       = mib
	logLen      = mib
	metadataAt  = 2 * mib
	metadataLen = mib
	tableAt     = 3 * mib

	// writtenItems is room for the values of all items of metadata.
	writtenItems = 64

	writtenSector = 512
	// writtenPhysical is the sector size that guests are told the disk has
	// inside, the usual one today.
	writtenPhysical = 4096
)

// Write writes img to file as a VHDX, dynamic unless opts.Variant is "fixed";
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
	fixed := opts.Variant == "fixed"
	size := (img.Size() + writtenSector - 1) &^ (writtenSector - 1)
	switch {
	case opts.Level > 0:
		return nil, unsupported("", "compression")
	case !fixed && opts.Variant != "" && opts.Variant != "dynamic":
		return nil, unsupported("", "variant %s", opts.Variant)
	case size > maxSize:
		return nil, unsupported("", "a virtual size of %d bytes, above 64 TiB", size)
	}
	meta := &metadata{size: size, block: mib, sector: writtenSector, fixed: fixed}
	for (size+meta.block-1)/meta.block > maxWrittenBlocks {
		meta.block *= 2
	}
	n := (size + meta.block - 1) / meta.block
	chunk := meta.chunk()
	entries := max(1, n+(n-1)/chunk)
	tableLen := (entries*8 + mib - 1) &^ (mib - 1)
	f := &blocks.Format{Block: meta.block, First: tableAt + tableLen, Fixed: fixed}
	f.Front = func(table []uint32, put blocks.Put) error {
		head := make([]byte, region2At+regionLen)
		le := binary.LittleEndian
		copy(head, signature)
		for i, u := range utf16.Encode([]rune(creator)) {
			le.PutUint16(head[8+2*i:], u)
		}
		if err := putHeaders(head); err != nil {
			return err
		}
		putRegions(head, tableLen)
		if err := put(head, 0); err != nil {
			return err
		}
		region := make([]byte, metadataTable+writtenItems)
		if err := meta.put(region); err != nil {
			return err
		}
		if err := put(region, metadataAt); err != nil {
			return err
		}
		// The entry behind those of each chunk is its bitmap's, of which there is none.
		return blocks.PutTable(put, tableAt, int(entries), 8, func(e int, b []byte) {
			i := int64(e) - int64(e)/(chunk+1)
			if int64(e)%(chunk+1) != chunk && i < n && table[i] != 0 {
				le.PutUint64(b, uint64(f.Content(table[i]-1))|fullyPresent)
			}
		})
	}
	return f, nil
}

// newGUID is a random one.
func newGUID() (guid, error) {
	id, err := uuid.NewRandom()
	return guid(id), err
}

// putHeaders writes both headers, with an empty log.
func putHeaders(b []byte) error {
	le := binary.LittleEndian
	fileWrite, err := newGUID()
	if err != nil {
		return err
	}
	dataWrite, err := newGUID()
	if err != nil {
		return err
	}
	for i, at := range []int{header1At, header2At} {
		h := b[at : at+headerLen]
		copy(h, "head")
		le.PutUint64(h[8:], uint64(i))
		copy(h[16:], fileWrite[:])
		copy(h[32:], dataWrite[:])
		le.PutUint16(h[66:], 1)
		le.PutUint32(h[68:], logLen)
		le.PutUint64(h[72:], logAt)
		seal(h)
	}
	return nil
}

// putRegions writes both region tables.
func putRegions(b []byte, tableLen int64) {
	le := binary.LittleEndian
	for _, at := range []int{region1At, region2At} {
		t := b[at : at+regionLen]
		copy(t, "regi")
		le.PutUint32(t[8:], 2)
		for i, r := range []struct {
			id string
			region
		}{
			{"2dc27766-f623-4200-9d64-115e9bfd4a08", region{tableAt, tableLen}},
			{"8b7ca206-4790-4b9a-b8fe-575f050f886e", region{metadataAt, metadataLen}},
		} {
			e, id := t[16+32*i:], known(r.id)
			copy(e, id[:])
			le.PutUint64(e[16:], uint64(r.at))
			le.PutUint32(e[24:], uint32(r.n))
			le.PutUint32(e[28:], 1)
		}
		seal(t)
	}
}

// put writes the metadata region into b, of which the values take writtenItems.
func (m *metadata) put(b []byte) error {
	le := binary.LittleEndian
	identity, err := newGUID()
	if err != nil {
		return err
	}
	flags := uint32(0)
	if m.fixed {
		flags = 1
	}
	const virtualDisk = 2
	items := []struct {
		id    string
		flags uint32
		value []byte
	}{
		{idParameters, itemRequired, le.AppendUint32(le.AppendUint32(nil, uint32(m.block)), flags)},
		{idSize, itemRequired | virtualDisk, le.AppendUint64(nil, uint64(m.size))},
		{idPage83, itemRequired | virtualDisk, identity[:]},
		{idLogicalSector, itemRequired | virtualDisk, le.AppendUint32(nil, uint32(m.sector))},
		{idPhysicalSector, itemRequired | virtualDisk, le.AppendUint32(nil, writtenPhysical)},
	}
	copy(b, "metadata")
	le.PutUint16(b[10:], uint16(len(items)))
	at := metadataTable
	for i, item := range items {
		e, id := b[32+32*i:], known(item.id)
		copy(e, id[:])
		le.PutUint32(e[16:], uint32(at))
		le.PutUint32(e[20:], uint32(len(item.value)))
		le.PutUint32(e[24:], item.flags)
		copy(b[at:], item.value)
		at += len(item.value)
	}
	return nil
}

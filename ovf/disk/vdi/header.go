package vdi

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
)

const (
	signature = 0xbeda107f
	version   = 1<<16 | 1

	// headerAt is where the pre-header ends: a text of 64 bytes, signature and
	// version.
	headerAt  = 72
	headerLen = 400 // as counted by the header itself
	headerEnd = headerAt + headerLen
	text      = "<<< Oracle VM VirtualBox Disk Image >>>\n"

	kindDynamic = 1
	kindFixed   = 2
	kindUndo    = 3
	kindDiff    = 4

	sector = 512
)

// Places of the fields we read and write.
const (
	atLen        = 72
	atKind       = 76
	atMap        = 340
	atData       = 344
	atSectorSize = 360
	atSize       = 368
	atBlock      = 376
	atExtra      = 380
	atBlocks     = 384
	atUsed       = 388
	atID         = 392
	atModified   = 408
	atLink       = 424 // of the image that this one builds on
)

type header struct {
	kind   uint32
	mapAt  uint32 // byte offset of the block map
	data   uint32 // byte offset of the first block
	size   int64  // of the disk, in bytes
	block  int64  // bytes of content in a block
	extra  int64  // bytes before the content of each
	blocks uint32 // entries in the map
}

// place is the byte offset of the content of the k-th block of the file.
func (h *header) place(k uint32) int64 {
	return int64(h.data) + int64(k)*(h.block+h.extra) + h.extra
}

func readHeader(r io.ReaderAt, length int64, name string) (*header, error) {
	b := make([]byte, min(length, disk.HeaderSize))
	if err := disk.ReadFull(r, b, 0); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if len(b) < 68 || le.Uint32(b[64:]) != signature {
		return nil, &disk.FormatError{Name: name, Expected: "vdi", Found: disk.DetectHeader(b).String()}
	}
	if len(b) < headerEnd {
		return nil, corrupt(name, 0, fmt.Sprintf("a header of %d bytes", headerEnd), fmt.Sprintf("%d bytes", len(b)))
	}
	if v := le.Uint32(b[68:]); v>>16 != 1 {
		return nil, unsupported(name, "version %d.%d", v>>16, v&0xffff)
	}
	h := &header{
		kind:   le.Uint32(b[atKind:]),
		mapAt:  le.Uint32(b[atMap:]),
		data:   le.Uint32(b[atData:]),
		size:   int64(le.Uint64(b[atSize:])),
		block:  int64(le.Uint32(b[atBlock:])),
		extra:  int64(le.Uint32(b[atExtra:])),
		blocks: le.Uint32(b[atBlocks:]),
	}
	return h, h.check(b, length, name)
}

func (h *header) check(b []byte, length int64, name string) error {
	le := binary.LittleEndian
	switch {
	case h.kind == kindDiff || h.kind == kindUndo || !disk.IsZero(b[atLink:atLink+16]):
		return unsupported(name, "a differencing image, whose parent holds the rest of the content")
	case h.kind != kindDynamic && h.kind != kindFixed:
		return unsupported(name, "image type %d", h.kind)
	case le.Uint32(b[atLen:]) < headerLen-16:
		return corrupt(name, atLen, "a header of 384 bytes or more", fmt.Sprint(le.Uint32(b[atLen:])))
	case le.Uint32(b[atSectorSize:]) != sector && le.Uint32(b[atSectorSize:]) != 0:
		return unsupported(name, "sectors of %d bytes", le.Uint32(b[atSectorSize:]))
	case h.size < 0 || h.size > 64<<40:
		return unsupported(name, "virtual size of %d bytes, above 64 TiB", uint64(h.size))
	case h.block < 4096 || h.block > 256<<20 || h.block&(h.block-1) != 0:
		return corrupt(name, atBlock, "a block size that is a power of two, 4 KiB to 256 MiB", fmt.Sprint(h.block))
	case h.extra%sector != 0 || h.extra > h.block:
		return corrupt(name, atExtra, "whole sectors before a block", fmt.Sprint(h.extra))
	}
	need := (h.size + h.block - 1) / h.block
	switch {
	case h.blocks > maxMap:
		return unsupported(name, "a block map of %d entries", h.blocks)
	case int64(h.blocks) < need:
		return corrupt(name, atBlocks, fmt.Sprintf("%d blocks for the size", need), fmt.Sprint(h.blocks))
	case h.mapAt < headerAt || int64(h.mapAt) > length || int64(h.blocks)*4 > length-int64(h.mapAt):
		return corrupt(name, atMap, fmt.Sprintf("a block map within the image's %d bytes", length), fmt.Sprintf("one at %d", h.mapAt))
	case int64(h.data) < int64(h.mapAt)+int64(h.blocks)*4:
		return corrupt(name, atData, "blocks behind the block map", fmt.Sprintf("at %d", h.data))
	}
	return nil
}

func corrupt(name string, at int64, expected, got string) error {
	return &disk.CorruptError{Name: name, Format: disk.VDI, Offset: at, Expected: expected, Got: got}
}

func unsupported(name, format string, args ...any) error {
	return &disk.UnsupportedError{Name: name, Format: disk.VDI, Feature: fmt.Sprintf(format, args...)}
}

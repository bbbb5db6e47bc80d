package vhd

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
)

const (
	sector = 512

	footerCookie = "conectix"
	headerCookie = "cxsparse"

	footerLen = 512
	// oldFooterLen is that of images from before Virtual PC 2004, which lack the
	// last of the reserved bytes.
	oldFooterLen = 511
	headerLen    = 1024

	typeFixed        = 2
	typeDynamic      = 3
	typeDifferencing = 4

	// unallocated is a block allocation table entry without a block.
	unallocated = 0xffffffff

	// maxSize is the format's own limit: 2040 GiB.
	maxSize = 2040 << 30

	minBlock = sector
	maxBlock = 256 << 20
)

// footer is the hard disk footer, the end of every VHD.
type footer struct {
	header int64 // byte offset of the dynamic disk header
	size   int64 // of the disk, in bytes
	kind   uint32
	id     [16]byte
}

// checksum is the ones' complement of the sum of b's bytes, without the four
// at skip.
func checksum(b []byte, skip int) uint32 {
	var sum uint32
	for i, c := range b {
		if i < skip || i >= skip+4 {
			sum += uint32(c)
		}
	}
	return ^sum
}

// parseFooter reads the footer that lies at byte offset at.
func parseFooter(name string, at int64, b []byte) (*footer, error) {
	be := binary.BigEndian
	if string(b[:len(footerCookie)]) != footerCookie {
		return nil, corrupt(name, at, "a footer", fmt.Sprintf("%q", b[:8]))
	}
	if want, got := checksum(b[:footerLen], 64), be.Uint32(b[64:]); want != got {
		return nil, corrupt(name, at+64, fmt.Sprintf("footer checksum %#08x", want), fmt.Sprintf("%#08x", got))
	}
	f := &footer{header: int64(be.Uint64(b[16:])), size: int64(be.Uint64(b[48:])), kind: be.Uint32(b[60:]), id: [16]byte(b[68:84])}
	if v := be.Uint32(b[12:]); v>>16 != 1 {
		return nil, unsupported(name, "version %d.%d", v>>16, v&0xffff)
	}
	if f.size < 0 || f.size > maxSize {
		return nil, unsupported(name, "virtual size of %d bytes, above 2040 GiB", uint64(f.size))
	}
	switch f.kind {
	case typeFixed, typeDynamic, typeDifferencing:
		return f, nil
	}
	return nil, unsupported(name, "disk type %d", f.kind)
}

// checkFixed checks that a fixed disk, whose footer f lies at foot, does not begin
// with the copy of it that other disks have: their header is no content.
func (f *footer) checkFixed(r io.ReaderAt, name string, foot int64) error {
	if foot < footerLen {
		return nil
	}
	b := make([]byte, footerLen)
	if err := disk.ReadFull(r, b, 0); err != nil {
		return err
	}
	front, err := parseFooter(name, 0, b)
	if err != nil || front.kind == typeFixed || front.id != f.id {
		return nil
	}
	return corrupt(name, foot+60, fmt.Sprintf("type %d, as in the copy of the footer at 0", front.kind), fmt.Sprint(f.kind))
}

// dynamic is the dynamic disk header.
type dynamic struct {
	table   int64 // byte offset of the block allocation table
	entries int64
	block   int64 // bytes of content in a block

	parentID [16]byte
	name     string // of the parent
	locators []locator
}

// bitmap is the length of the sector bitmap before each block's content.
func (d *dynamic) bitmap() int64 {
	return (d.block/sector/8 + sector - 1) &^ (sector - 1)
}

func parseDynamic(name string, at int64, b []byte) (*dynamic, error) {
	be := binary.BigEndian
	if string(b[:len(headerCookie)]) != headerCookie {
		return nil, corrupt(name, at, "a dynamic disk header", fmt.Sprintf("%q", b[:8]))
	}
	if want, got := checksum(b[:headerLen], 36), be.Uint32(b[36:]); want != got {
		return nil, corrupt(name, at+36, fmt.Sprintf("header checksum %#08x", want), fmt.Sprintf("%#08x", got))
	}
	d := &dynamic{table: int64(be.Uint64(b[16:])), entries: int64(be.Uint32(b[28:])), block: int64(be.Uint32(b[32:]))}
	if d.block < minBlock || d.block > maxBlock || d.block&(d.block-1) != 0 {
		return nil, corrupt(name, at+32, "a block size that is a power of two up to 256 MiB", fmt.Sprint(d.block))
	}
	d.parentID = [16]byte(b[40:56])
	d.name = text(binary.BigEndian, b[64:576])
	for i := range maxLocators {
		l := b[576+24*i:]
		d.locators = append(d.locators, locator{code: string(l[:4]), n: int64(be.Uint32(l[8:])), at: int64(be.Uint64(l[16:]))})
	}
	return d, nil
}

func corrupt(name string, at int64, expected, got string) error {
	return &disk.CorruptError{Name: name, Format: disk.VHD, Offset: at, Expected: expected, Got: got}
}

func unsupported(name, format string, args ...any) error {
	return &disk.UnsupportedError{Name: name, Format: disk.VHD, Feature: fmt.Sprintf(format, args...)}
}

package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cimimove/cimimove/ovf/disk"
)

// ErrBitmap: a bitmap is not in the image, or it does not say for certain what
// was written.
var ErrBitmap = errors.New("no bitmap tells for certain what was written")

// Bitmap is one that an image keeps of its disk (docs/interop/qcow2.txt,
// "Bitmaps").
type Bitmap struct {
	Name string
	// Granularity is how many bytes of the disk a bit stands for.
	Granularity int64
	// InUse: the image was written to since the bitmap was stored, or is now.
	InUse bool
	// Auto: whoever writes to the image notes it in the bitmap.
	Auto bool

	odd       string // what is not known of it, empty where all is
	table     uint64 // byte offset
	tableLen  uint32 // entries
	directory [2]int64
}

const (
	extensionBitmaps = 0x23852875
	bitmapsExtension = 24 // bytes of its data

	autoclearBitmaps = 1 << 0

	bitmapEntry   = 24 // the fixed part of one in the directory
	maxBitmaps    = 65535
	maxBitmapName = 1023
	// maxDirectory bounds what is read of the directory, in bytes: some thousand
	// bitmaps.
	maxDirectory = 1 << 20

	bitmapInUse      = 1 << 0
	bitmapAuto       = 1 << 1
	bitmapCompatible = 1 << 2

	bitmapDirtyTracking = 1

	minGranularityBits = 9
	maxGranularityBits = 31
)

// Bitmaps reads the directory of the bitmaps that the image keeps; none where it
// has no such extension. Where the extension is not marked consistent, as that of an
// image to which a program wrote that knows of no bitmaps, the error wraps ErrBitmap.
func (m *Image) Bitmaps() ([]Bitmap, error) {
	cluster := make([]byte, min(m.h.clusterSize(), m.length))
	if err := disk.ReadFull(m.r, cluster, 0); err != nil {
		return nil, err
	}
	ext, at, err := m.bitmapsExtension(cluster)
	if ext == nil || err != nil {
		return nil, err
	}
	be := binary.BigEndian
	if be.Uint64(cluster[88:])&autoclearBitmaps == 0 {
		return nil, fmt.Errorf("%s: its bitmaps are not marked consistent: %w", m.name, ErrBitmap)
	}
	n, reserved, size, offset := be.Uint32(ext), be.Uint32(ext[4:]), be.Uint64(ext[8:]), be.Uint64(ext[16:])
	switch {
	case n == 0 || n > maxBitmaps || reserved != 0:
		return nil, corrupt(m.name, at, fmt.Sprintf("1 to %d bitmaps", maxBitmaps), fmt.Sprintf("%d, and %#x where zero is to be", n, reserved))
	case size < uint64(n)*bitmapEntry:
		return nil, corrupt(m.name, at+8, fmt.Sprintf("a directory of %d bitmaps", n), fmt.Sprintf("one of %d bytes", size))
	case size > maxDirectory:
		return nil, &disk.UnsupportedError{Name: m.name, Format: disk.QCOW2, Feature: fmt.Sprintf("a directory of bitmaps of %d bytes", size)}
	case offset == 0:
		return nil, corrupt(m.name, at+16, "a directory of bitmaps behind the header", "one at 0")
	}
	if err := m.checkPlace(offset, int64(size), at+16, "a directory of bitmaps"); err != nil {
		return nil, err
	}
	dir := make([]byte, size)
	if err := disk.ReadFull(m.r, dir, int64(offset)); err != nil {
		return nil, err
	}
	return m.readDirectory(dir, int64(offset), int(n))
}

// bitmapsExtension finds the data of the extension in the first cluster, and
// where it lies; nil where there is none.
func (m *Image) bitmapsExtension(cluster []byte) (ext []byte, where int64, err error) {
	if m.h.version < 3 || len(cluster) < headerLenV3 {
		return nil, 0, nil
	}
	be := binary.BigEndian
	end := int64(len(cluster))
	if name := be.Uint64(cluster[8:]); name != 0 && name < uint64(end) {
		end = int64(name) // that of the backing file comes after them
	}
	for at := int64(be.Uint32(cluster[100:])); at+8 <= end; {
		kind, n := be.Uint32(cluster[at:]), int64(be.Uint32(cluster[at+4:]))
		switch {
		case kind == 0:
			return ext, where, nil
		case n > end-at-8:
			return nil, 0, corrupt(m.name, at, "a header extension within the header", fmt.Sprintf("one of %d bytes", n))
		case kind == extensionBitmaps && (n != bitmapsExtension || ext != nil):
			return nil, 0, corrupt(m.name, at, fmt.Sprintf("one bitmaps extension, of %d bytes", bitmapsExtension), fmt.Sprintf("one of %d", n))
		case kind == extensionBitmaps:
			ext, where = cluster[at+8:at+8+n], at+8
		}
		at += 8 + (n+7)&^7
	}
	return ext, where, nil
}

// readDirectory takes the directory of n bitmaps apart, which lies at byte offset at.
func (m *Image) readDirectory(dir []byte, at int64, n int) ([]Bitmap, error) {
	be := binary.BigEndian
	place := [2]int64{at, at + int64(len(dir))}
	names := map[string]bool{}
	out := make([]Bitmap, 0, n)
	for range n {
		where := place[1] - int64(len(dir))
		if len(dir) < bitmapEntry {
			return nil, corrupt(m.name, where, fmt.Sprintf("%d bitmaps", n), fmt.Sprintf("the end of the directory after %d", len(out)))
		}
		flags, kind, bits := be.Uint32(dir[12:]), dir[16], dir[17]
		nameLen, extraLen := int64(be.Uint16(dir[18:])), int64(be.Uint32(dir[20:]))
		length := bitmapEntry + extraLen + nameLen
		whole := (length + 7) &^ 7
		if nameLen == 0 || nameLen > maxBitmapName || whole > int64(len(dir)) {
			return nil, corrupt(m.name, where, "a bitmap with a name of 1 to 1023 bytes within the directory", fmt.Sprintf("one of %d bytes with one of %d", whole, nameLen))
		}
		b := Bitmap{Name: string(dir[bitmapEntry+extraLen : length]), InUse: flags&bitmapInUse != 0, Auto: flags&bitmapAuto != 0,
			table: be.Uint64(dir), tableLen: be.Uint32(dir[8:]), directory: place}
		if names[b.Name] || !disk.IsZero(dir[length:whole]) {
			return nil, corrupt(m.name, where, "a bitmap with a name of its own, and zeros up to the next", fmt.Sprintf("%.80q", b.Name))
		}
		names[b.Name] = true
		switch {
		case kind != bitmapDirtyTracking:
			b.odd = fmt.Sprintf("its type is %d", kind)
		case flags&^(bitmapInUse|bitmapAuto|bitmapCompatible) != 0:
			b.odd = fmt.Sprintf("its flags are %#x", flags)
		case extraLen != 0:
			b.odd = fmt.Sprintf("it has %d bytes of extra data", extraLen)
		case bits < minGranularityBits || bits > maxGranularityBits:
			b.odd = fmt.Sprintf("its granularity is 2^%d bytes", bits)
		default:
			b.Granularity = 1 << bits
		}
		out = append(out, b)
		dir = dir[whole:]
	}
	if len(dir) > 0 {
		return nil, corrupt(m.name, place[1]-int64(len(dir)), fmt.Sprintf("the end of the directory after %d bitmaps", n), fmt.Sprintf("%d bytes more", len(dir)))
	}
	return out, nil
}

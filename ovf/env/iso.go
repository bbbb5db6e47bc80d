package env

import (
	"encoding/binary"
	"fmt"
	"time"
	"unicode/utf16"
)

// ISOOptions of ISO.
type ISOOptions struct {
	Volume string    // volume identifier; empty is OVF ENV
	Time   time.Time // of the file and the volume; the zero value is 1980-01-01
}

const (
	sector   = 2048
	fileName = "ovf-env.xml"
	// Where things lie: the system area takes 16 sectors.
	atPrimary, atJoliet, atEnd      = 16, 17, 18
	atPaths, atJolietPaths          = 19, 21 // each little-endian, then big-endian
	atRoot, atJolietRoot, atContent = 23, 24, 25
)

// ISO is an ISO 9660 image with the document as ovf-env.xml in its root: what
// the transport "iso" gives to the guest (DSP0243 11.2). The name is
// OVF_ENV.XML for readers without the Joliet extension, ovf-env.xml for all
// others. The same document gives the same bytes.
//
// The libraries at hand shorten the name, stage files on disk and write the
// time of the day; one file in one folder is simple enough.
func ISO(document []byte, opts ISOOptions) ([]byte, error) {
	if int64(len(document)) > 1<<30 {
		return nil, fmt.Errorf("ovf environment: a document of %d bytes is too large for the image", len(document))
	}
	if opts.Volume == "" {
		opts.Volume = "OVF ENV"
	}
	if opts.Time.IsZero() {
		opts.Time = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	sectors := (len(document) + sector - 1) / sector
	// Readers expect some room behind the last file.
	image := make([]byte, (atContent+sectors+150)*sector)
	at := func(n int) []byte { return image[n*sector : (n+1)*sector] }
	volume(at(atPrimary), 1, opts, len(image)/sector, atPaths, atRoot)
	volume(at(atJoliet), 2, opts, len(image)/sector, atJolietPaths, atJolietRoot)
	copy(at(atEnd), "\xFFCD001\x01")
	for i, root := range []uint32{atRoot, atJolietRoot} {
		first := atPaths + 2*i
		copy(at(first), []byte{1, 0})
		binary.LittleEndian.PutUint32(at(first)[2:], root)
		at(first)[6] = 1
		copy(at(first+1), []byte{1, 0})
		binary.BigEndian.PutUint32(at(first + 1)[2:], root)
		at(first + 1)[7] = 1
	}
	directory(at(atRoot), atRoot, []byte("OVF_ENV.XML;1"), len(document), opts.Time)
	directory(at(atJolietRoot), atJolietRoot, ucs2(fileName), len(document), opts.Time)
	copy(image[atContent*sector:], document)
	return image, nil
}

// both writes a number in both byte orders (ECMA-119 7.2.3, 7.3.3).
func both(b []byte, n uint32, size int) {
	if size == 2 {
		binary.LittleEndian.PutUint16(b, uint16(n))
		binary.BigEndian.PutUint16(b[2:], uint16(n))
		return
	}
	binary.LittleEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], n)
}

// volume writes a volume descriptor (ECMA-119 8.4, 8.5): 1 primary, 2 Joliet.
func volume(b []byte, kind byte, opts ISOOptions, sectors, paths int, root uint32) {
	b[0] = kind
	copy(b[1:], "CD001\x01")
	text := func(from, to int, s string) {
		field := b[from:to]
		if kind == 2 {
			for i := 0; i+1 < len(field); i += 2 {
				field[i+1] = ' '
			}
			u := ucs2(s)
			copy(field, u[:min(len(u), len(field)&^1)])
			return
		}
		for i := range field {
			field[i] = ' '
		}
		copy(field, s)
	}
	text(8, 40, "")
	text(40, 72, opts.Volume)
	both(b[80:], uint32(sectors), 4)
	if kind == 2 {
		copy(b[88:], "%/E") // UCS-2, level 3
	}
	both(b[120:], 1, 2)
	both(b[124:], 1, 2)
	both(b[128:], sector, 2)
	both(b[132:], 10, 4) // the path table holds the root alone
	binary.LittleEndian.PutUint32(b[140:], uint32(paths))
	binary.BigEndian.PutUint32(b[148:], uint32(paths)+1)
	record(b[156:190], root, sector, 2, []byte{0}, opts.Time)
	for _, f := range [][2]int{{190, 318}, {318, 446}, {446, 574}, {574, 702}, {702, 739}, {739, 776}, {776, 813}} {
		text(f[0], f[1], "")
	}
	stamp := opts.Time.UTC().Format("20060102150405") + "00"
	copy(b[813:], stamp)
	copy(b[830:], stamp)
	copy(b[847:], "0000000000000000")
	copy(b[864:], "0000000000000000")
	b[881] = 1
}

// directory is the root folder with its one file (ECMA-119 9.1).
func directory(b []byte, self uint32, name []byte, size int, when time.Time) {
	n := record(b, self, sector, 2, []byte{0}, when)
	n += record(b[n:], self, sector, 2, []byte{1}, when)
	record(b[n:], atContent, uint32(size), 0, name, when)
}

func record(b []byte, extent, size uint32, flags byte, name []byte, when time.Time) int {
	n := 33 + len(name)
	n += n & 1
	b[0] = byte(n)
	both(b[2:], extent, 4)
	both(b[10:], size, 4)
	t := when.UTC()
	copy(b[18:], []byte{byte(t.Year() - 1900), byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0})
	b[25] = flags
	both(b[28:], 1, 2)
	b[32] = byte(len(name))
	copy(b[33:], name)
	return n
}

// ucs2 is big-endian, as Joliet has it.
func ucs2(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.BigEndian.AppendUint16(out, u)
	}
	return out
}

package vhdx

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/google/uuid"

	"github.com/cimimove/cimimove/ovf/disk"
)

const signature = "vhdxfile"

// Places in the first MiB ([MS-VHDX] 2.2).
const (
	header1At = 64 * kib
	header2At = 128 * kib
	region1At = 192 * kib
	region2At = 256 * kib

	headerLen = 4 * kib
	regionLen = 64 * kib

	maxRegions = 2047
)

// guid is a GUID as it lies in the file, its first fields little-endian.
type guid [16]byte

// parseGUID reads the written form.
func parseGUID(s string) (guid, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return guid{}, err
	}
	return guid{u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]}, nil
}

// known is parseGUID for constants.
func known(s string) guid {
	g, err := parseGUID(s)
	if err != nil {
		panic(err)
	}
	return g
}

// sum is the CRC-32C of b with the four bytes at offset 4 taken as zeros.
func sum(b []byte) uint32 {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	c := crc32.Update(0, castagnoli, b[:4])
	c = crc32.Update(c, castagnoli, make([]byte, 4))
	return crc32.Update(c, castagnoli, b[8:])
}

func sealed(b []byte) bool { return binary.LittleEndian.Uint32(b[4:]) == sum(b) }

func seal(b []byte) { binary.LittleEndian.PutUint32(b[4:], sum(b)) }

type header struct {
	sequence  uint64
	dataWrite guid
	log       guid // zero where the log is empty
	logAt     int64
	logLen    int64
}

// readHeaders gives the current one of the two headers.
func readHeaders(r io.ReaderAt, length int64, name string) (*header, error) {
	b := make([]byte, min(length, int64(len(signature))))
	if err := disk.ReadFull(r, b, 0); err != nil {
		return nil, err
	}
	if string(b) != signature {
		return nil, &disk.FormatError{Name: name, Expected: "vhdx", Found: disk.DetectHeader(b).String()}
	}
	if length < mib {
		return nil, corrupt(name, 0, "headers in the first MiB", fmt.Sprintf("an image of %d bytes", length))
	}
	var current *header
	for _, at := range []int64{header1At, header2At} {
		b := make([]byte, headerLen)
		if err := disk.ReadFull(r, b, at); err != nil {
			return nil, err
		}
		if string(b[:4]) != "head" || !sealed(b) {
			continue
		}
		le := binary.LittleEndian
		h := &header{sequence: le.Uint64(b[8:]), dataWrite: guid(b[32:48]), log: guid(b[48:64]), logLen: int64(le.Uint32(b[68:])), logAt: int64(le.Uint64(b[72:]))}
		if current != nil && current.sequence >= h.sequence {
			continue
		}
		if v := le.Uint16(b[66:]); v != 1 {
			return nil, unsupported(name, "version %d", v)
		}
		if v := le.Uint16(b[64:]); v != 0 && h.log != (guid{}) {
			return nil, unsupported(name, "log version %d", v)
		}
		if h.log != (guid{}) && (h.logAt < mib || h.logAt%mib != 0 || h.logLen == 0 || h.logLen%mib != 0 || h.logAt > length-h.logLen) {
			return nil, corrupt(name, at+68, fmt.Sprintf("a log within the image's %d bytes", length), fmt.Sprintf("%d bytes at %d", h.logLen, h.logAt))
		}
		current = h
	}
	if current == nil {
		return nil, corrupt(name, header1At, "a header", "two that are not valid")
	}
	return current, nil
}

// region is where something lies in the file.
type region struct{ at, n int64 }

// in tells whether part of g is part of one of others.
func (g region) in(others []region) bool {
	for _, o := range others {
		if g.at < o.at+o.n && o.at < g.at+g.n {
			return true
		}
	}
	return false
}

type regions struct{ table, metadata region }

// readRegions reads the region table, or its copy.
func readRegions(r io.ReaderAt, length int64, name string) (*regions, error) {
	for _, at := range []int64{region1At, region2At} {
		b := make([]byte, regionLen)
		if err := disk.ReadFull(r, b, at); err != nil {
			return nil, err
		}
		if string(b[:4]) == "regi" && sealed(b) {
			return parseRegions(b, at, length, name)
		}
	}
	return nil, corrupt(name, region1At, "a region table", "two that are not valid")
}

func parseRegions(b []byte, at, length int64, name string) (*regions, error) {
	le := binary.LittleEndian
	n := le.Uint32(b[8:])
	if n > maxRegions {
		return nil, corrupt(name, at+8, "at most 2047 regions", fmt.Sprint(n))
	}
	tableID, metadataID := known("2dc27766-f623-4200-9d64-115e9bfd4a08"), known("8b7ca206-4790-4b9a-b8fe-575f050f886e")
	var out regions
	for i := range int64(n) {
		e := b[16+32*i:]
		g := region{at: int64(le.Uint64(e[16:])), n: int64(le.Uint32(e[24:]))}
		where := at + 16 + 32*i
		var known *region
		switch id := guid(e[:16]); {
		case id == tableID:
			known = &out.table
		case id == metadataID:
			known = &out.metadata
		case le.Uint32(e[28:])&1 != 0:
			return nil, unsupported(name, "the required region %x", id)
		default:
			continue
		}
		if g.at < mib || g.at%mib != 0 || g.n%mib != 0 || g.at > length-g.n {
			return nil, corrupt(name, where, fmt.Sprintf("a region within the image's %d bytes", length), fmt.Sprintf("%d bytes at %d", g.n, g.at))
		}
		if known.at != 0 {
			return nil, corrupt(name, where, "each region once", "one again")
		}
		*known = g
	}
	if out.table.at == 0 || out.metadata.at == 0 {
		return nil, corrupt(name, at, "the regions of metadata and block allocation table", "one missing")
	}
	return &out, nil
}

package vmdk

import (
	"encoding/binary"
	"fmt"

	"github.com/cimimove/cimimove/ovf/disk"
)

// magic is "KDMV", little-endian.
const magic = 0x564d444b

const (
	flagNewLineTest    = 1 << 0
	flagRedundantTable = 1 << 1
	flagZeroGrain      = 1 << 2 // a grain table entry of 1 is a zero grain
	flagCompressed     = 1 << 16
	flagMarkers        = 1 << 17

	compressionDeflate = 1

	// directoryAtEnd as the grain directory's place means: ask the footer.
	directoryAtEnd = 0xffffffffffffffff
)

// header is the SparseExtentHeader, which is also the footer. Places and
// lengths are in sectors of 512 bytes.
type header struct {
	version        uint32
	flags          uint32
	capacity       uint64
	grain          uint64
	descriptor     uint64
	descriptorLen  uint64
	tableEntries   uint32
	redundantTable uint64
	directory      uint64
	overhead       uint64
	unclean        bool
	compression    uint16
}

var lineEnds = [4]byte{'\n', ' ', '\r', '\n'}

func (h *header) marshal() [sector]byte {
	var b [sector]byte
	le := binary.LittleEndian
	le.PutUint32(b[0:], magic)
	le.PutUint32(b[4:], h.version)
	le.PutUint32(b[8:], h.flags)
	le.PutUint64(b[12:], h.capacity)
	le.PutUint64(b[20:], h.grain)
	le.PutUint64(b[28:], h.descriptor)
	le.PutUint64(b[36:], h.descriptorLen)
	le.PutUint32(b[44:], h.tableEntries)
	le.PutUint64(b[48:], h.redundantTable)
	le.PutUint64(b[56:], h.directory)
	le.PutUint64(b[64:], h.overhead)
	if h.unclean {
		b[72] = 1
	}
	copy(b[73:], lineEnds[:])
	le.PutUint16(b[77:], h.compression)
	return b
}

// parseHeader reads the header that lies at byte offset at of the image name.
func parseHeader(name string, at int64, b []byte) (*header, error) {
	le := binary.LittleEndian
	if len(b) < sector {
		return nil, corrupt(name, at, "a header of 512 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	if m := le.Uint32(b); m != magic {
		if at == 0 {
			found := disk.DetectHeader(b)
			return nil, &disk.FormatError{Name: name, Expected: "vmdk", Found: found.String()}
		}
		return nil, corrupt(name, at, "magic KDMV", fmt.Sprintf("%q", b[:4]))
	}
	h := &header{
		version:        le.Uint32(b[4:]),
		flags:          le.Uint32(b[8:]),
		capacity:       le.Uint64(b[12:]),
		grain:          le.Uint64(b[20:]),
		descriptor:     le.Uint64(b[28:]),
		descriptorLen:  le.Uint64(b[36:]),
		tableEntries:   le.Uint32(b[44:]),
		redundantTable: le.Uint64(b[48:]),
		directory:      le.Uint64(b[56:]),
		overhead:       le.Uint64(b[64:]),
		unclean:        b[72] != 0,
		compression:    le.Uint16(b[77:]),
	}
	return h, h.check(name, at, b)
}

func (h *header) check(name string, at int64, b []byte) error {
	unsupported := func(format string, args ...any) error {
		return &disk.UnsupportedError{Name: name, Format: disk.VMDK, Feature: fmt.Sprintf(format, args...)}
	}
	switch {
	case h.version < 1 || h.version > 3:
		return unsupported("version %d", h.version)
	case h.flags&flagNewLineTest != 0 && [4]byte(b[73:77]) != lineEnds:
		return corrupt(name, at+73, "line ends as written", fmt.Sprintf("%q: a transfer as text changed them", b[73:77]))
	case h.capacity > maxCapacity:
		return unsupported("capacity of %d sectors, above 64 TiB", h.capacity)
	case h.grain == 0 || h.grain&(h.grain-1) != 0:
		return corrupt(name, at+20, "a grain size that is a power of two", fmt.Sprintf("%d sectors", h.grain))
	case h.grain > maxGrainSectors:
		return unsupported("grains of %d sectors, above 1 MiB", h.grain)
	case h.grain < 8:
		return corrupt(name, at+20, "grains of 4 KiB or more", fmt.Sprintf("%d sectors", h.grain))
	case h.tableEntries != tableEntries:
		return corrupt(name, at+44, "512 entries in a grain table", fmt.Sprint(h.tableEntries))
	case h.compressed() && h.compression != compressionDeflate:
		return unsupported("compression method %d", h.compression)
	case h.markers() && !h.compressed():
		return unsupported("markers without compression")
	}
	return nil
}

func (h *header) compressed() bool  { return h.flags&flagCompressed != 0 }
func (h *header) markers() bool     { return h.flags&flagMarkers != 0 }
func (h *header) size() int64       { return int64(h.capacity) * sector }
func (h *header) grainBytes() int64 { return int64(h.grain) * sector }

// grains is the number of grains the capacity takes.
func (h *header) grains() int64 {
	return int64((h.capacity + h.grain - 1) / h.grain)
}

// tables is the number of grain tables, the entries of the grain directory.
func (h *header) tables() int64 {
	return (h.grains() + tableEntries - 1) / tableEntries
}

// taken tells whether n bytes from a sector on are the header's or descriptor's.
func (h *header) taken(at uint64, n int64) bool {
	return at == 0 || at < h.descriptor+h.descriptorLen && h.descriptor < at+uint64(roundUp(n)/sector)
}

func (h *header) info() disk.Info {
	if h.compressed() {
		return disk.Info{Format: disk.VMDK, Variant: "streamOptimized", Size: h.size(), Allocated: -1}
	}
	return disk.Info{Format: disk.VMDKSparse, Variant: "monolithicSparse", Size: h.size(), Allocated: -1}
}

// sameDisk reports what in the footer f contradicts the header.
func (h *header) sameDisk(f *header) string {
	switch {
	case f.capacity != h.capacity:
		return fmt.Sprintf("capacity %d", f.capacity)
	case f.grain != h.grain:
		return fmt.Sprintf("grain size %d", f.grain)
	case f.overhead != h.overhead:
		return fmt.Sprintf("grains from sector %d on", f.overhead)
	case f.flags&(flagCompressed|flagMarkers) != h.flags&(flagCompressed|flagMarkers):
		return fmt.Sprintf("flags %#x", f.flags)
	}
	return ""
}

func corrupt(name string, at int64, expected, got string) error {
	return &disk.CorruptError{Name: name, Format: disk.VMDK, Offset: at, Expected: expected, Got: got}
}

// StreamSize is the virtual size in bytes of the streamOptimized image that
// begins with b, of disk.HeaderSize bytes; not ok where it is none.
func StreamSize(b []byte) (size int64, ok bool) {
	if len(b) < sector {
		return 0, false
	}
	h, err := parseHeader("", 0, b[:sector])
	if err != nil || !h.compressed() || !h.markers() {
		return 0, false
	}
	return h.size(), true
}

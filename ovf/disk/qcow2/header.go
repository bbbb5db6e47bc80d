package qcow2

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
)

const (
	magic = 0x514649fb // "QFI\xfb"

	headerLenV2 = 72
	headerLenV3 = 104

	minClusterBits = 9
	maxClusterBits = 21 // 2 MiB, qemu's own limit

	// maxL1 bounds the L1 table kept in memory, as qemu does: 32 MiB.
	maxL1 = 4 << 20

	maxSize = 64 << 40

	maxCountOrder = 6 // bits of a reference count, as a power of two
)

// Incompatible features (version 3): a reader that does not know one must not
// read.
const (
	dirty           = 1 << 0 // reference counts may be wrong; content is not
	corruptBit      = 1 << 1
	externalData    = 1 << 2
	compressionType = 1 << 3
	extendedL2      = 1 << 4
)

// Compression types.
const (
	compressionZlib = 0
	compressionZstd = 1
)

type header struct {
	version     uint32
	clusterBits uint32
	size        uint64 // of the disk, in bytes
	l1Len       uint32 // entries
	l1          uint64 // byte offset
	counts      uint64 // byte offset of the table of reference counts
	countsLen   uint32 // clusters it takes
	compression byte
	snapshots   uint32
	backing     string // the file that holds the rest of the content, if any
	backingAs   string // its format, as qemu calls it, where the image says
	extended    bool   // L2 entries tell of the parts of a cluster
}

func (h *header) clusterSize() int64 { return 1 << h.clusterBits }

// entrySize is the length of an L2 entry.
func (h *header) entrySize() int64 {
	if h.extended {
		return 16
	}
	return 8
}

// l2Entries is the number of clusters an L2 table maps: it takes one cluster.
func (h *header) l2Entries() int64 { return h.clusterSize() / h.entrySize() }

// subclusters is how many parts of a cluster extended L2 entries tell of.
const subclusters = 32

// unit is the length of what the tables tell of as one: a cluster or a part.
func (h *header) unit() int64 {
	if h.extended {
		return h.clusterSize() / subclusters
	}
	return h.clusterSize()
}

// readHeader reads and checks the header of the image of length bytes.
func readHeader(r io.ReaderAt, length int64, name string) (*header, error) {
	unsupported := func(format string, args ...any) error {
		return &disk.UnsupportedError{Name: name, Format: disk.QCOW2, Feature: fmt.Sprintf(format, args...)}
	}
	b := make([]byte, min(length, disk.HeaderSize))
	if err := disk.ReadFull(r, b, 0); err != nil {
		return nil, err
	}
	be := binary.BigEndian
	if len(b) < 4 || be.Uint32(b) != magic {
		return nil, &disk.FormatError{Name: name, Expected: "qcow2", Found: disk.DetectHeader(b).String()}
	}
	if len(b) < headerLenV2 {
		return nil, corrupt(name, 0, "a header of 72 bytes", fmt.Sprintf("%d bytes", len(b)))
	}
	h := &header{
		version:     be.Uint32(b[4:]),
		clusterBits: be.Uint32(b[20:]),
		size:        be.Uint64(b[24:]),
		l1Len:       be.Uint32(b[36:]),
		l1:          be.Uint64(b[40:]),
		counts:      be.Uint64(b[48:]),
		countsLen:   be.Uint32(b[56:]),
	}
	if h.version != 2 && h.version != 3 {
		return nil, unsupported("version %d", h.version)
	}
	if h.version == 3 {
		if len(b) < headerLenV3 {
			return nil, corrupt(name, 0, "a header of 104 bytes", fmt.Sprintf("%d bytes", len(b)))
		}
		if err := h.features(name, b); err != nil {
			return nil, err
		}
	}
	switch {
	case h.clusterBits < minClusterBits || h.clusterBits > maxClusterBits:
		return nil, corrupt(name, 20, "clusters of 512 bytes to 2 MiB", fmt.Sprintf("2^%d", h.clusterBits))
	case h.size > maxSize:
		return nil, unsupported("virtual size of %d bytes, above 64 TiB", h.size)
	case be.Uint32(b[32:]) != 0:
		return nil, unsupported("encryption (method %d)", be.Uint32(b[32:]))
	}
	if err := h.checkCounts(name, b, length); err != nil {
		return nil, err
	}
	h.snapshots = be.Uint32(b[60:])
	if at, n := be.Uint64(b[8:]), be.Uint32(b[16:]); at != 0 {
		if n == 0 || n > maxBackingName || at > uint64(length) || uint64(n) > uint64(length)-at {
			return nil, corrupt(name, 8, "a backing file's name of at most 1023 bytes", fmt.Sprintf("%d bytes at %d", n, at))
		}
		text := make([]byte, n)
		if err := disk.ReadFull(r, text, int64(at)); err != nil {
			return nil, err
		}
		h.backing, h.backingAs = string(text), backingFormat(h.version, b)
	}
	return h, h.checkL1(name, length)
}

// maxBackingName is the format's own limit.
const maxBackingName = 1023

// backingFormat is what the header extensions in b say of the backing file's
// format, empty where they do not.
func backingFormat(version uint32, b []byte) string {
	const extensionFormat = 0xe2792aca
	be := binary.BigEndian
	at := int64(headerLenV2)
	if version >= 3 {
		at = int64(be.Uint32(b[100:]))
	}
	for at+8 <= int64(len(b)) {
		kind, n := be.Uint32(b[at:]), int64(be.Uint32(b[at+4:]))
		if kind == 0 || n > int64(len(b))-at-8 {
			return ""
		}
		if kind == extensionFormat {
			return string(b[at+8 : at+8+n])
		}
		at += 8 + (n+7)&^7
	}
	return ""
}

func (h *header) features(name string, b []byte) error {
	be := binary.BigEndian
	bits := be.Uint64(b[72:])
	switch {
	case bits&corruptBit != 0:
		return corrupt(name, 72, "an image not marked corrupt", "one that is")
	case bits&externalData != 0:
		return &disk.UnsupportedError{Name: name, Format: disk.QCOW2, Feature: "an external data file"}
	case bits&^(dirty|corruptBit|externalData|compressionType|extendedL2) != 0:
		return &disk.UnsupportedError{Name: name, Format: disk.QCOW2, Feature: fmt.Sprintf("incompatible features %#x", bits)}
	}
	if h.extended = bits&extendedL2 != 0; h.extended && h.clusterBits < 14 {
		return corrupt(name, 20, "clusters of 16 KiB or more with extended L2 entries", fmt.Sprintf("2^%d bytes", h.clusterBits))
	}
	headerLen := be.Uint32(b[100:])
	if headerLen < headerLenV3 {
		return corrupt(name, 100, "a header length of 104 or more", fmt.Sprint(headerLen))
	}
	if bits&compressionType != 0 {
		if len(b) < headerLenV3+1 {
			return corrupt(name, 104, "a compression type", "the end of the image")
		}
		h.compression = b[104]
		if h.compression > compressionZstd {
			return &disk.UnsupportedError{Name: name, Format: disk.QCOW2, Feature: fmt.Sprintf("compression type %d", h.compression)}
		}
	}
	return nil
}

// checkCounts checks where the header b says the reference counts are, and how
// wide. Reading does without them; that they are not there is damage all the same.
func (h *header) checkCounts(name string, b []byte, length int64) error {
	be := binary.BigEndian
	switch {
	case h.countsLen == 0:
		return corrupt(name, 56, "a table of reference counts", "none")
	case h.counts == 0 || h.counts%uint64(h.clusterSize()) != 0 || h.counts >= uint64(length):
		return corrupt(name, 48, fmt.Sprintf("a table of reference counts at a cluster within the image's %d bytes", length), fmt.Sprintf("one at %d", h.counts))
	case h.version >= 3 && be.Uint32(b[96:]) > maxCountOrder:
		return corrupt(name, 96, "reference counts of 1 to 64 bits", fmt.Sprintf("2^%d", be.Uint32(b[96:])))
	case h.version >= 3 && int64(be.Uint32(b[100:])) > h.clusterSize():
		return corrupt(name, 100, "a header within the first cluster", fmt.Sprintf("one of %d bytes", be.Uint32(b[100:])))
	}
	return nil
}

func (h *header) checkL1(name string, length int64) error {
	span := uint64(h.clusterSize() * h.l2Entries())
	need := (h.size + span - 1) / span
	switch {
	case need > maxL1:
		return &disk.UnsupportedError{Name: name, Format: disk.QCOW2, Feature: fmt.Sprintf("an L1 table of %d entries", need)}
	case uint64(h.l1Len) < need:
		return corrupt(name, 36, fmt.Sprintf("an L1 table of %d entries for the size", need), fmt.Sprint(h.l1Len))
	case h.l1%uint64(h.clusterSize()) != 0 && need > 0:
		return corrupt(name, 40, "an L1 table at the start of a cluster", fmt.Sprintf("one at %d", h.l1))
	case need > 0 && (h.l1 == 0 || h.l1 > uint64(length) || need*8 > uint64(length)-h.l1):
		return corrupt(name, 40, fmt.Sprintf("an L1 table within the image's %d bytes", length), fmt.Sprintf("one at %d", h.l1))
	}
	h.l1Len = uint32(need)
	return nil
}

func corrupt(name string, at int64, expected, got string) error {
	return &disk.CorruptError{Name: name, Format: disk.QCOW2, Offset: at, Expected: expected, Got: got}
}

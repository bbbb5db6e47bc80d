package vhdx

import (
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf16"

	"github.com/cimimove/cimimove/ovf/disk"
)

// metadata is what the metadata region says ([MS-VHDX] 2.6).
type metadata struct {
	size      int64 // of the disk, in bytes
	block     int64 // bytes of content in a block
	sector    int64 // logical, in bytes
	fixed     bool
	hasParent bool
	locator   locator
}

// chunk is how many payload blocks share one sector bitmap block.
func (m *metadata) chunk() int64 { return sectorsInBitmap * m.sector / m.block }

const (
	metadataTable = 64 * kib
	maxItems      = 2047
	maxItem       = mib // the format's own limit

	itemRequired = 4
)

// Ids of the items.
const (
	idParameters     = "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
	idSize           = "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
	idPage83         = "beca12ab-b2e6-4523-93ef-c309e000c746"
	idLogicalSector  = "8141bf1d-a96f-4709-ba47-f233a8faab5f"
	idPhysicalSector = "cda348c7-445d-4471-9cc9-e9885251c556"
	idLocator        = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"
)

// readMetadata reads the region at, which lies within the image.
func readMetadata(r io.ReaderAt, at region, name string) (*metadata, error) {
	le := binary.LittleEndian
	if at.n < metadataTable {
		return nil, corrupt(name, at.at, "a metadata table of 64 KiB", fmt.Sprintf("%d bytes", at.n))
	}
	b := make([]byte, metadataTable)
	if err := disk.ReadFull(r, b, at.at); err != nil {
		return nil, err
	}
	n := int64(le.Uint16(b[10:]))
	if string(b[:8]) != "metadata" || n > maxItems {
		return nil, corrupt(name, at.at, "a metadata table of at most 2047 items", fmt.Sprintf("%q of %d", b[:8], n))
	}
	items := map[guid][]byte{}
	wanted := map[guid]int{known(idParameters): 8, known(idSize): 8, known(idLogicalSector): 4, known(idPhysicalSector): 4, known(idPage83): 16, known(idLocator): 20}
	for i := range n {
		e := b[32+32*i:]
		id, begin, size := guid(e[:16]), int64(le.Uint32(e[16:])), int64(le.Uint32(e[20:]))
		where := at.at + 32 + 32*i
		least, ok := wanted[id]
		if !ok {
			if le.Uint32(e[24:])&itemRequired != 0 {
				return nil, unsupported(name, "the required metadata item %x", id)
			}
			continue
		}
		if begin < metadataTable || size > maxItem || size < int64(least) || begin > at.n-size {
			return nil, corrupt(name, where, fmt.Sprintf("an item of %d bytes or more in the region", least), fmt.Sprintf("%d bytes at %d", size, begin))
		}
		if items[id] != nil {
			return nil, corrupt(name, where, "each metadata item once", "one again")
		}
		item := make([]byte, size)
		if err := disk.ReadFull(r, item, at.at+begin); err != nil {
			return nil, err
		}
		items[id] = item
	}
	m := &metadata{sector: 512}
	parameters, size := items[known(idParameters)], items[known(idSize)]
	if parameters == nil || size == nil || items[known(idLogicalSector)] == nil {
		return nil, corrupt(name, at.at, "file parameters, size and sector size", "one missing")
	}
	m.block = int64(le.Uint32(parameters))
	m.fixed, m.hasParent = parameters[4]&1 != 0, parameters[4]&2 != 0
	m.size = int64(le.Uint64(size))
	m.sector = int64(le.Uint32(items[known(idLogicalSector)]))
	switch {
	case m.block < mib || m.block > 256*mib || m.block&(m.block-1) != 0:
		return nil, corrupt(name, at.at, "a block size that is a power of two, 1 to 256 MiB", fmt.Sprint(m.block))
	case m.sector != 512 && m.sector != 4096:
		return nil, corrupt(name, at.at, "sectors of 512 or 4096 bytes", fmt.Sprint(m.sector))
	case m.size < 0 || m.size > maxSize:
		return nil, unsupported(name, "virtual size of %d bytes, above 64 TiB", uint64(m.size))
	}
	if m.hasParent {
		var err error
		if m.locator, err = parseLocator(items[known(idLocator)], name); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// locator says in keys and values where the parent is ([MS-VHDX] 2.6.2.6).
type locator map[string]string

func parseLocator(b []byte, name string) (locator, error) {
	le := binary.LittleEndian
	bad := func(got string) error { return corrupt(name, -1, "a parent locator", got) }
	if len(b) < 20 {
		return nil, bad("none")
	}
	n := int(le.Uint16(b[18:]))
	if 20+12*n > len(b) {
		return nil, bad(fmt.Sprintf("%d entries in %d bytes", n, len(b)))
	}
	out := locator{}
	for i := range n {
		e := b[20+12*i:]
		text := func(at uint32, size uint16) (string, bool) {
			if int64(at)+int64(size) > int64(len(b)) {
				return "", false
			}
			var units []uint16
			for s := b[at : at+uint32(size)]; len(s) >= 2; s = s[2:] {
				units = append(units, le.Uint16(s))
			}
			return string(utf16.Decode(units)), true
		}
		key, ok := text(le.Uint32(e), le.Uint16(e[8:]))
		value, also := text(le.Uint32(e[4:]), le.Uint16(e[10:]))
		if !ok || !also {
			return nil, bad(fmt.Sprintf("entry %d outside it", i))
		}
		out[key] = value
	}
	return out, nil
}

// names are the parent's, that relative to the image first; at least one.
func (l locator) names() []string {
	var out []string
	for _, key := range []string{"relative_path", "absolute_win32_path", "volume_path"} {
		if v := l[key]; v != "" {
			out = append(out, v)
		}
	}
	if out == nil {
		out = []string{""}
	}
	return out
}

// linkage are the identities that the parent may have.
func (l locator) linkage() map[guid]bool {
	out := map[guid]bool{}
	for _, key := range []string{"parent_linkage", "parent_linkage2"} {
		if g, err := parseGUID(l[key]); err == nil && g != (guid{}) {
			out[g] = true
		}
	}
	return out
}

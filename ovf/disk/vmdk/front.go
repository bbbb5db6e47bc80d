package vmdk

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cimimove/cimimove/ovf/disk"
)

// maxTables bounds the grain directory kept in memory: 16 MiB of entries.
const maxTables = 4 << 20

// placed is a grain table or a grain and where it lies in the image, in
// sectors.
type placed struct {
	sector uint32
	index  uint32
}

func bySector(a, b placed) int { return cmp.Compare(a.sector, b.sector) }

// readFront reads grain directory and tables that lie before the grains, as
// monolithicSparse images and qemu-img's streamOptimized ones have them, and
// calls each for every grain mapped, with its sector in the image.
func readFront(s *stream, h *header, each func(g int64, at uint32) error) error {
	directory, err := readDirectory(s, h)
	if err != nil {
		return err
	}
	slices.SortFunc(directory, bySector)
	table := make([]byte, tableEntries*4)
	for _, t := range directory {
		if uint64(t.sector)+tableSectors > h.overhead {
			return &disk.UnsupportedError{Name: s.name, Format: disk.VMDK, Feature: "grain tables among the grains: not readable as a stream"}
		}
		if err := s.skipTo(int64(t.sector)*sector, "grain table"); err != nil {
			return err
		}
		if err := s.read(table, "a grain table"); err != nil {
			return err
		}
		for i := range tableEntries {
			at := binary.LittleEndian.Uint32(table[4*i:])
			if at == 0 || at == 1 && h.flags&flagZeroGrain != 0 {
				continue
			}
			g := int64(t.index)*tableEntries + int64(i)
			if err := checkEntry(s.name, h, g, at, int64(t.sector)*sector+int64(4*i)); err != nil {
				return err
			}
			if err := each(g, at); err != nil {
				return err
			}
		}
	}
	return s.skipTo(int64(h.overhead)*sector, "the grains")
}

// checkEntry checks the grain table entry at byte offset where, which places
// grain g at sector at.
func checkEntry(name string, h *header, g int64, at uint32, where int64) error {
	if g >= h.grains() {
		return corrupt(name, where, fmt.Sprintf("no grain after the last, %d", h.grains()-1), fmt.Sprintf("grain %d", g))
	}
	if uint64(at) < h.overhead {
		return corrupt(name, where, fmt.Sprintf("a grain at sector %d or after", h.overhead), fmt.Sprintf("sector %d", at))
	}
	return nil
}

func readDirectory(s *stream, h *header) ([]placed, error) {
	tables := h.tables()
	if tables > maxTables {
		return nil, &disk.UnsupportedError{Name: s.name, Format: disk.VMDK, Feature: fmt.Sprintf("a grain directory of %d entries", tables)}
	}
	if h.taken(h.directory, tables*4) {
		return nil, corrupt(s.name, 56, "a grain directory behind the descriptor", fmt.Sprintf("one at sector %d", h.directory))
	}
	if err := s.skipTo(int64(h.directory)*sector, "grain directory"); err != nil {
		return nil, err
	}
	var directory []placed
	var entry [4]byte
	for i := range tables {
		if err := s.read(entry[:], "a grain directory"); err != nil {
			return nil, err
		}
		// 1 is a table of zero grains where such grains have entries.
		if at := binary.LittleEndian.Uint32(entry[:]); at > 1 || at == 1 && h.flags&flagZeroGrain == 0 {
			if h.taken(uint64(at), tableEntries*4) {
				return nil, corrupt(s.name, s.off-4, "a grain table behind the descriptor", fmt.Sprintf("one at sector %d", at))
			}
			directory = append(directory, placed{sector: at, index: uint32(i)})
		}
	}
	return directory, nil
}

package vmdk

import (
	"context"
	"fmt"
	"slices"

	"github.com/cimimove/cimimove/ovf/disk"
)

// decodeFrontTables reads the streamOptimized image that qemu-img writes: the
// tables come first, then the grains behind their markers, and no end. The
// tables tell when all have come.
func decodeFrontTables(ctx context.Context, s *stream, bs *blocks) error {
	var mapped, seen grainSet
	err := readFront(s, bs.h, func(g int64, _ uint32) error {
		mapped.add(g)
		return nil
	})
	if err != nil {
		return err
	}
	if err := bs.sink.Begin(bs.h.info()); err != nil {
		return err
	}
	return bs.run(ctx, func() error {
		for seen.n < mapped.n {
			at := s.off
			m, err := peekMarker(s)
			if err != nil {
				return err
			}
			if m.size == 0 {
				return corrupt(s.name, at, fmt.Sprintf("%d more grains that the tables map", mapped.n-seen.n), "none")
			}
			if g := int64(m.value / bs.h.grain); !mapped.has(g) {
				return corrupt(s.name, at, "a grain that the tables map", fmt.Sprintf("sector %d", m.value))
			}
			if err := takeGrain(s, bs, &seen, m); err != nil {
				return err
			}
		}
		return s.finish()
	})
}

// maxPlaced bounds the reverse map of a monolithicSparse image read as a
// stream, in grains: 32 MiB of memory, 256 GiB of content.
const maxPlaced = 4 << 20

// decodeSparse reads a monolithicSparse image whose tables come before its
// grains, which lie in any order.
func decodeSparse(ctx context.Context, s *stream, bs *blocks) error {
	h := bs.h
	if h.directory >= h.overhead {
		return &disk.UnsupportedError{Name: s.name, Format: disk.VMDKSparse, Feature: "a grain directory after the grains: not readable as a stream"}
	}
	var grains []placed
	err := readFront(s, h, func(g int64, at uint32) error {
		if len(grains) == maxPlaced || g > 1<<32-1 {
			return &disk.UnsupportedError{Name: s.name, Format: disk.VMDKSparse, Feature: fmt.Sprintf("more than %d grains: not readable as a stream", maxPlaced)}
		}
		grains = append(grains, placed{sector: at, index: uint32(g)})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(grains, bySector)
	if err := bs.sink.Begin(h.info()); err != nil {
		return err
	}
	return bs.run(ctx, func() error {
		for _, g := range grains {
			at := int64(g.sector) * sector
			if at < s.off {
				return corrupt(s.name, at, "grains that do not overlap", fmt.Sprintf("grain %d within the one before", g.index))
			}
			if err := s.skipTo(at, "a grain"); err != nil {
				return err
			}
			begin := int64(g.index) * h.grainBytes()
			// What lies beyond the capacity need not be there.
			room, err := bs.room(uint64(begin/sector), int(min(h.grainBytes(), h.size()-begin)), at)
			if err != nil {
				return err
			}
			if err := s.read(room, "a grain"); err != nil {
				return err
			}
		}
		return s.drain()
	})
}

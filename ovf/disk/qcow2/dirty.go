package qcow2

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"slices"

	"github.com/cimimove/cimimove/ovf/disk"
)

// maxBitmapData bounds the bits of one bitmap, in bytes: 64 TiB in the 64 KiB that
// QEMU takes by itself have half of that.
const maxBitmapData = 256 << 20

const bitmapAllOnes = 1 << 0 // in an entry of the table, of a cluster that is not there

// Dirty are the extents of the disk, ascending and apart, that were written to
// since the bitmap of that name was made, in multiples of its granularity. What
// is in none of them was not. Where that is not certain (no such bitmap, one that was
// not stored when the image was closed, one that nobody keeps up, anything in it that
// is not known or does not fit) there is an error, which wraps ErrBitmap where the
// image itself is sound.
func (m *Image) Dirty(ctx context.Context, name string) iter.Seq2[disk.Extent, error] {
	return disk.Merged(func(yield func(disk.Extent, error) bool) {
		b, table, err := m.findBitmap(name)
		if err != nil {
			yield(disk.Extent{}, err)
			return
		}
		cs := m.h.clusterSize()
		cluster := make([]byte, cs)
		for i, e := range table {
			if err := ctx.Err(); err != nil {
				yield(disk.Extent{}, context.Cause(ctx))
				return
			}
			first := int64(i) * cs * 8 * b.Granularity // of the disk
			switch at := e & offsetMask; {
			case at != 0:
				if err := disk.ReadFull(m.r, cluster, int64(at)); err != nil {
					yield(disk.Extent{}, err)
					return
				}
			case e&bitmapAllOnes == 0:
				continue
			default:
				n := min(cs*8*b.Granularity, m.Size()-first)
				if !yield(disk.Extent{Offset: first, Length: n}, nil) {
					return
				}
				continue
			}
			for j := 0; j < len(cluster); j++ {
				for set := cluster[j]; set != 0; set &= set - 1 {
					off := first + (int64(j)*8+int64(bits.TrailingZeros8(set)))*b.Granularity
					if off >= m.Size() {
						yield(disk.Extent{}, fmt.Errorf("%s: bitmap %s has bits behind the disk's %d bytes: %w", m.name, name, m.Size(), ErrBitmap))
						return
					}
					if !yield(disk.Extent{Offset: off, Length: min(b.Granularity, m.Size()-off)}, nil) {
						return
					}
				}
			}
		}
	})
}

// findBitmap finds a bitmap that can be relied on, and its table.
func (m *Image) findBitmap(name string) (*Bitmap, []uint64, error) {
	all, err := m.Bitmaps()
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(all, func(b Bitmap) bool { return b.Name == name })
	if i < 0 {
		return nil, nil, fmt.Errorf("%s: it has no bitmap %s: %w", m.name, name, ErrBitmap)
	}
	b := &all[i]
	doubt := b.odd
	switch {
	case doubt != "":
	case b.InUse:
		doubt = "it was not stored when the image was closed"
	case !b.Auto:
		doubt = "nobody notes in it what is written"
	}
	if doubt != "" {
		return nil, nil, fmt.Errorf("%s: bitmap %s: %s: %w", m.name, name, doubt, ErrBitmap)
	}
	table, err := m.bitmapTable(b)
	return b, table, err
}

// bitmapTable reads and checks where the bits of a bitmap lie: each cluster of them
// within the image, and none twice.
func (m *Image) bitmapTable(b *Bitmap) ([]uint64, error) {
	cs := m.h.clusterSize()
	n := (m.Size() + b.Granularity - 1) / b.Granularity // bits
	n = (n + 7) / 8
	if n > maxBitmapData {
		return nil, &disk.UnsupportedError{Name: m.name, Format: disk.QCOW2, Feature: fmt.Sprintf("a bitmap of %d bytes", n)}
	}
	n = (n + cs - 1) / cs
	size := int64(b.tableLen) * 8
	switch {
	case n != int64(b.tableLen):
		return nil, fmt.Errorf("%s: bitmap %s is of another size than the disk: its table has %d entries, expected %d: %w", m.name, b.Name, b.tableLen, n, ErrBitmap)
	case n == 0:
		return nil, nil
	case b.table == 0:
		return nil, corrupt(m.name, b.directory[0], "the table of a bitmap behind the header", "one at 0")
	}
	if err := m.checkPlace(b.table, size, b.directory[0], "the table of a bitmap"); err != nil {
		return nil, err
	}
	at := int64(b.table)
	raw := make([]byte, size)
	if err := disk.ReadFull(m.r, raw, at); err != nil {
		return nil, err
	}
	// In clusters: what else lies where bits must not.
	taken := map[uint64]bool{}
	for _, k := range [][2]int64{{0, 1}, b.directory, {at, at + size}} {
		for c := k[0] / cs; c <= (k[1]-1)/cs; c++ {
			if c > 0 && taken[uint64(c)] {
				return nil, corrupt(m.name, c*cs, "the table of a bitmap apart from the directory", "both in one cluster")
			}
			taken[uint64(c)] = true
		}
	}
	out := make([]uint64, n)
	for i := range out {
		e := binary.BigEndian.Uint64(raw[8*i:])
		where := at + int64(8*i)
		place := e & offsetMask
		if e&^(offsetMask|bitmapAllOnes) != 0 || place != 0 && e&bitmapAllOnes != 0 {
			return nil, corrupt(m.name, where, "an entry of the table of a bitmap", fmt.Sprintf("%#x", e))
		}
		if err := m.checkPlace(place, cs, where, "bits of a bitmap"); err != nil {
			return nil, err
		}
		if c := place / uint64(cs); place != 0 {
			if taken[c] {
				return nil, corrupt(m.name, where, "bits of a bitmap in a cluster of their own", fmt.Sprintf("at %d, which is taken", place))
			}
			taken[c] = true
		}
		out[i] = e
	}
	return out, nil
}

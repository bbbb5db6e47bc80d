package vmdk

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/grain"
	"github.com/cimimove/cimimove/ovf/disk/internal/inorder"
)

// EncodeOptions are the format's own beside those of every format.
type EncodeOptions struct {
	disk.EncodeOptions
	// Adapter is the disk controller the descriptor names; LSILogic by default.
	Adapter Adapter
}

// Encode writes img to w as a streamOptimized image, compressing grains in
// parallel; grains of zeros are left out. A virtual size that is no multiple
// of 512 is rounded up to a sector. Result.DataBytes is what OVF calls the
// populated size.
func Encode(ctx context.Context, img disk.Image, w io.Writer, opts EncodeOptions) (disk.Result, error) {
	res := disk.Result{Info: img.Info()}
	size := img.Size()
	capacity, err := capacityOf(size)
	if err != nil {
		return res, err
	}
	wr := newWriter(w, capacity, opts.Adapter)
	if err := wr.start(); err != nil {
		return res, err
	}
	var digester *disk.Digester
	if !opts.NoDigest {
		digester = disk.NewDigester(size, opts.OnBlock)
	}
	encoders := make([]*grain.Encoder, inorder.Count(opts.Workers))
	err = inorder.Line[encodeBlock]{
		Workers: opts.Workers,
		New:     func() *encodeBlock { return &encodeBlock{data: make([]byte, disk.BlockSize)} },
		Produce: inorder.Numbers(func(ctx context.Context) iter.Seq2[int64, error] { return disk.DataBlocks(ctx, img, size) }, func(b *encodeBlock, index int64) {
			b.index, b.n = index, int(min(disk.BlockSize, size-index*disk.BlockSize))
		}),
		Work: func(_ context.Context, worker int, b *encodeBlock) error {
			if err := disk.ReadFull(img, b.data[:b.n], b.index*disk.BlockSize); err != nil {
				return err
			}
			if digester != nil {
				b.sum = disk.SumBlock(b.data[:b.n])
			}
			if encoders[worker] == nil {
				encoders[worker] = newEncoder(opts.Level)
			}
			b.encode(encoders[worker])
			return nil
		},
		Deliver: func(b *encodeBlock) error {
			res.DataBytes += b.carry
			if opts.Progress != nil {
				opts.Progress(b.index*disk.BlockSize+int64(b.n), size)
			}
			if digester != nil {
				if err := digester.WriteBlock(b.index, b.sum); err != nil {
					return err
				}
			}
			return wr.grains(b.out, b.placed)
		},
	}.Run(ctx)
	if err == nil {
		err = wr.finish()
	}
	res.StreamBytes = wr.off
	if err != nil {
		return res, err
	}
	if digester != nil {
		res.Digest, res.HasDigest = digester.Sum(), true
	}
	if opts.Progress != nil {
		opts.Progress(size, size)
	}
	return res, nil
}

func capacityOf(size int64) (uint64, error) {
	if size < 0 || size > maxCapacity*sector {
		return 0, &disk.UnsupportedError{Format: disk.VMDK, Feature: fmt.Sprintf("a virtual size of %d bytes, above 64 TiB", size)}
	}
	return uint64(roundUp(size)) / sector, nil
}

// encodeBlock is the work unit of encoding: the grains of one block of the
// content digest.
type encodeBlock struct {
	index  int64
	n      int
	data   []byte
	sum    disk.BlockSum
	out    []byte        // markers and compressed grains, padded to sectors
	placed []placedGrain // where in out
	carry  int64
}

type placedGrain struct {
	g  int64
	at int
}

// encode compresses the block's grains that are not zero.
func (b *encodeBlock) encode(e *grain.Encoder) {
	clear(b.data[b.n:])
	b.out, b.placed, b.carry = b.out[:0], b.placed[:0], 0
	for at := 0; at < b.n; at += grainSize {
		content := b.data[at : at+grainSize]
		if disk.IsZero(content) {
			continue
		}
		g := (b.index*disk.BlockSize + int64(at)) / grainSize
		start := len(b.out)
		b.placed = append(b.placed, placedGrain{g, start})
		b.carry += int64(min(grainSize, b.n-at))

		var marker [grainMarkerLen]byte
		b.out = append(b.out, marker[:]...)
		b.out = e.AppendZlib(b.out, content)
		putGrainMarker(b.out[start:], uint64(g)*grainSectors, len(b.out)-start-grainMarkerLen)
		for len(b.out)%sector != 0 {
			b.out = append(b.out, 0)
		}
	}
}

// writer lays out the stream: header, descriptor, then grains with a table
// behind those of each, directory, footer, end.
type writer struct {
	w         io.Writer
	off       int64
	h         header
	adapter   Adapter
	directory []byte
	table     [tableEntries * 4]byte
	open      int64 // the table in progress, -1 before the first
}

func newWriter(w io.Writer, capacity uint64, adapter Adapter) *writer {
	h := newHeader(capacity)
	return &writer{w: w, h: h, adapter: adapter, open: -1, directory: make([]byte, roundUp(h.tables()*4))}
}

// newHeader is the header of what we write.
func newHeader(capacity uint64) header {
	return header{
		version: 3, flags: flagNewLineTest | flagCompressed | flagMarkers,
		capacity: capacity, grain: grainSectors,
		descriptor: 1, descriptorLen: descriptorSectors,
		tableEntries: tableEntries, directory: directoryAtEnd,
		overhead: overheadSectors, compression: compressionDeflate,
	}
}

// overheadSectors is where grains begin; VMware aligns them to a grain.
const overheadSectors = grainSectors

// front is everything before the first grain.
func front(h header, adapter Adapter) []byte {
	if adapter == "" {
		adapter = LSILogic
	}
	b := make([]byte, overheadSectors*sector)
	first := h.marshal()
	copy(b, first[:])
	copy(b[sector:], descriptor(h.capacity, adapter, "streamOptimized"))
	return b
}

func (w *writer) start() error { return w.write(front(w.h, w.adapter)) }

func (w *writer) write(p []byte) error {
	n, err := w.w.Write(p)
	w.off += int64(n)
	return err
}

// grains writes out, which holds the grains placed, ascending.
func (w *writer) grains(out []byte, placed []placedGrain) error {
	for len(placed) > 0 {
		if t := placed[0].g / tableEntries; t != w.open {
			if err := w.endTable(); err != nil {
				return err
			}
			w.open = t
		}
		base, i := int64(placed[0].at), 0
		for ; i < len(placed) && placed[i].g/tableEntries == w.open; i++ {
			at, err := sectorOf(w.off + int64(placed[i].at) - base)
			if err != nil {
				return err
			}
			binary.LittleEndian.PutUint32(w.table[4*(placed[i].g%tableEntries):], at)
		}
		end := len(out)
		if i < len(placed) {
			end = placed[i].at
		}
		if err := w.write(out[base:end]); err != nil {
			return err
		}
		placed = placed[i:]
	}
	return nil
}

// sectorOf is the sector at byte offset off as tables hold it, 32 bits.
func sectorOf(off int64) (uint32, error) {
	if off>>sectorLog > 1<<32-1 {
		return 0, &disk.UnsupportedError{Format: disk.VMDK, Feature: "more than 2 TiB of compressed grains"}
	}
	return uint32(off >> sectorLog), nil
}

// endTable writes the table in progress.
func (w *writer) endTable() error {
	if w.open < 0 {
		return nil
	}
	at, err := sectorOf(w.off + sector)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(w.directory[4*w.open:], at)
	marker := marshalMarker(markerTable, tableSectors)
	if err := w.write(marker[:]); err != nil {
		return err
	}
	err = w.write(w.table[:])
	clear(w.table[:])
	return err
}

func (w *writer) finish() error {
	if err := w.endTable(); err != nil {
		return err
	}
	tail := trailer(w.h, w.directory, w.off)
	return w.write(tail)
}

// trailer is everything behind the last grain table, for an image in which it
// begins at byte offset off.
func trailer(h header, directory []byte, off int64) []byte {
	var b []byte
	add := func(s [sector]byte) { b = append(b, s[:]...) }
	add(marshalMarker(markerDirectory, uint64(len(directory))/sector))
	h.directory = uint64(off)/sector + 1
	b = append(b, directory...)
	add(marshalMarker(markerFooter, 1))
	add(h.marshal())
	add(marshalMarker(markerEnd, 0))
	return b
}

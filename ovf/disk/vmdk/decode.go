package vmdk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/grain"
)

// Decode writes the disk that r streams to sink, in one pass, inflating grains
// in parallel, and reads r to its end. It takes streamOptimized images, and
// monolithicSparse ones where their tables come before the grains.
//
// The content digest is computed in the same pass when grains come in
// ascending order, as every known writer puts them; Result.HasDigest tells.
// Nothing written counts before Decode has returned without error.
func Decode(ctx context.Context, r io.Reader, sink disk.Sink, opts disk.DecodeOptions) (disk.Result, error) {
	s := newStream(r, opts.Name)
	var res disk.Result
	h, err := readStart(s)
	if err != nil {
		return res, err
	}
	res.Info = h.info()
	bs := &blocks{h: h, sink: sink, opts: opts, res: &res}
	switch {
	case !h.compressed():
		err = decodeSparse(ctx, s, bs)
	case h.directory < h.overhead && h.directory != 0:
		err = decodeFrontTables(ctx, s, bs)
	default:
		err = decodeMarkers(ctx, s, bs)
	}
	res.StreamBytes = s.off
	return res, err
}

// maxDescriptor bounds the embedded descriptor, in sectors.
const maxDescriptor = 256

// readStart reads header and descriptor, up to the descriptor's end. A delta
// link is refused: what it lacks cannot be known from a stream.
func readStart(s *stream) (*header, error) {
	h, text, err := readText(s)
	if err == nil {
		err = h.checkWhole(s.name, text)
	}
	if err != nil {
		return nil, err
	}
	said, err := checkDescriptor(s.name, text)
	if err == nil {
		err = said.check(s.name, h)
	}
	if err == nil && said.delta {
		err = said.refused(s.name)
	}
	return h, err
}

// readText reads header and descriptor; the text is empty where there is none.
func readText(s *stream) (*header, string, error) {
	if err := s.refuseDescriptor(); err != nil {
		return nil, "", err
	}
	var b [sector]byte
	if err := s.read(b[:], "a header"); err != nil {
		return nil, "", err
	}
	h, err := parseHeader(s.name, 0, b[:])
	if err != nil {
		return nil, "", err
	}
	if err := h.checkPlaces(s.name); err != nil {
		return nil, "", err
	}
	if h.descriptor == 0 || h.descriptorLen == 0 {
		return h, "", nil
	}
	if err := s.skipTo(int64(h.descriptor)*sector, "descriptor"); err != nil {
		return nil, "", err
	}
	text := make([]byte, h.descriptorLen*sector)
	if err := s.read(text, "a descriptor"); err != nil {
		return nil, "", err
	}
	return h, string(text), nil
}

// refuseDescriptor names the variant of a descriptor file, which has no
// content of its own.
func (s *stream) refuseDescriptor() error {
	b, err := s.r.Peek(disk.HeaderSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if k := disk.DetectHeader(b); k.Format == disk.VMDK && !bytes.HasPrefix(b, []byte("KDMV")) {
		return &disk.UnsupportedError{Name: s.name, Format: disk.VMDK, Feature: k.Variant + ", whose content lies in other files: make one file of it first"}
	}
	return nil
}

// checkPlaces checks where the header says things are.
func (h *header) checkPlaces(name string) error {
	switch {
	case h.compressed() && !h.markers():
		return &disk.UnsupportedError{Name: name, Format: disk.VMDK, Feature: "compressed grains without markers"}
	case h.overhead == 0 || h.overhead > 1<<32:
		return corrupt(name, 64, "the grains within 32 bits of sectors", fmt.Sprintf("sector %d", h.overhead))
	case h.descriptor != 0 && h.descriptorLen > maxDescriptor:
		return corrupt(name, 36, fmt.Sprintf("a descriptor of at most %d sectors", maxDescriptor), fmt.Sprint(h.descriptorLen))
	case h.descriptor != 0 && (h.descriptor >= h.overhead || h.descriptorLen > h.overhead-h.descriptor):
		return corrupt(name, 28, "the descriptor before the grains", fmt.Sprintf("sectors %d to %d", h.descriptor, h.descriptor+h.descriptorLen))
	}
	return nil
}

// decodeMarkers reads the stream VMware writes: grains, tables, directory,
// footer, each behind its marker, and an end.
func decodeMarkers(ctx context.Context, s *stream, bs *blocks) error {
	if err := s.skipTo(int64(bs.h.overhead)*sector, "the grains"); err != nil {
		return err
	}
	if err := bs.sink.Begin(bs.h.info()); err != nil {
		return err
	}
	var seen grainSet
	var sawEnd bool // directory or footer
	block := int64(-1)
	return bs.run(ctx, func() error {
		for {
			at := s.off
			m, err := peekMarker(s)
			if err != nil {
				return err
			}
			if m.size > 0 {
				if i := int64(m.value) * sector / disk.BlockSize; i != block {
					if block = i; bs.opts.OnPlace != nil {
						bs.opts.OnPlace(i, at)
					}
				}
				if err := takeGrain(s, bs, &seen, m); err != nil {
					return err
				}
				continue
			}
			if err := s.skipTo(at+sector, "a marker"); err != nil {
				return err
			}
			switch m.kind {
			case markerEnd:
				if m.value != 0 || !sawEnd {
					return corrupt(s.name, at, "the footer before the end-of-stream marker", "an end-of-stream marker")
				}
				return s.finish()
			case markerProgress:
			case markerTable:
				err = s.skipSectors(m.value, "a grain table")
			case markerDirectory:
				sawEnd = sawEnd || bs.h.directory != directoryAtEnd
				err = s.skipSectors(m.value, "a grain directory")
			case markerFooter:
				sawEnd = true
				err = readFooter(s, bs.h)
			default:
				err = corrupt(s.name, at, "a marker", fmt.Sprintf("one of type %d", m.kind))
			}
			if err != nil {
				return err
			}
		}
	})
}

type marker struct {
	value uint64
	size  uint32 // of a grain's compressed bytes, else 0
	kind  markerType
}

// peekMarker gives the marker that comes next, and leaves its sector to be read.
func peekMarker(s *stream) (m marker, err error) {
	b, err := s.r.Peek(sector)
	if err != nil {
		return m, cmp.Or(s.read(make([]byte, sector), "a marker"), err)
	}
	m.value = binary.LittleEndian.Uint64(b[0:])
	m.size = binary.LittleEndian.Uint32(b[8:])
	m.kind = markerType(binary.LittleEndian.Uint32(b[12:]))
	return m, nil
}

// takeGrain reads the grain that opens with marker m.
func takeGrain(s *stream, bs *blocks, seen *grainSet, m marker) error {
	at := s.off
	switch {
	case m.value >= bs.h.capacity:
		return corrupt(s.name, at, fmt.Sprintf("a grain below the capacity of %d sectors", bs.h.capacity), fmt.Sprintf("one at sector %d", m.value))
	case m.value%bs.h.grain != 0:
		return corrupt(s.name, at, fmt.Sprintf("a grain at a multiple of %d sectors", bs.h.grain), fmt.Sprintf("one at sector %d", m.value))
	case int64(m.size) > maxCompressed(bs.h.grainBytes()):
		return corrupt(s.name, at, fmt.Sprintf("at most %d compressed bytes", maxCompressed(bs.h.grainBytes())), fmt.Sprint(m.size))
	case !seen.add(int64(m.value / bs.h.grain)):
		return corrupt(s.name, at, "each grain once", fmt.Sprintf("sector %d again", m.value))
	}
	end := at + roundUp(grainMarkerLen+int64(m.size))
	taken, err := bs.takeStored(s, m)
	if err != nil {
		return err
	}
	if taken {
		return s.skipTo(end, "the end of a grain's last sector")
	}
	room, err := bs.room(m.value, int(m.size), at)
	if err != nil {
		return err
	}
	if err := s.skipTo(at+grainMarkerLen, "a marker"); err != nil {
		return err
	}
	if err := s.read(room, "a grain's compressed bytes"); err != nil {
		return err
	}
	return s.skipTo(end, "the end of a grain's last sector")
}

// takeStored puts the content of a grain that is stored as it is into the block
// in hand, from where the stream holds it: to pass it on to others to be inflated
// would be to copy it once more. It is false, with nothing read, for grains that
// are not, and for those that something is wrong with.
func (bs *blocks) takeStored(s *stream, m marker) (bool, error) {
	n := grainMarkerLen + int(m.size)
	if head, err := s.r.Peek(sector); err != nil || !grain.IsStored(head[grainMarkerLen:]) || n > s.r.Size() {
		return false, nil
	}
	stored, err := s.r.Peek(n)
	if err != nil {
		return false, nil // which reading it finds too
	}
	b, err := bs.open(m.value)
	if err != nil {
		return false, err
	}
	g := storedGrain{at: int(int64(m.value) * sector % disk.BlockSize), inflated: true, offset: s.off}
	out := b.data[g.at:][:bs.h.grainBytes()]
	n, ok := grain.InflateStored(out, stored[grainMarkerLen:])
	if !ok || n < bs.need(b, g.at) {
		return false, nil
	}
	clear(out[n:])
	b.grains = append(b.grains, g)
	return true, nil
}

func readFooter(s *stream, h *header) error {
	at := s.off
	var b [sector]byte
	if err := s.read(b[:], "a footer"); err != nil {
		return err
	}
	f, err := parseHeader(s.name, at, b[:])
	if err != nil {
		return err
	}
	if diff := h.sameDisk(f); diff != "" {
		return corrupt(s.name, at, "a footer that repeats the header", diff)
	}
	return nil
}

// skipSectors skips the n sectors of what.
func (s *stream) skipSectors(n uint64, what string) error {
	if n > 1<<32 {
		return corrupt(s.name, s.off-sector, what+" within 32 bits of sectors", fmt.Sprint(n))
	}
	return s.skipTo(s.off+int64(n)*sector, "the end of "+what)
}

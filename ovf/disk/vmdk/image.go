package vmdk

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Image is a streamOptimized or monolithicSparse disk read through its grain
// directory. Methods may be called from several goroutines.
type Image struct {
	r         io.ReaderAt
	name      string
	length    int64 // of the image file
	h         *header
	directory []uint32
	tables    tableCache
	grains    grainCache
	parent    disk.Image // nil where there is none
}

var _ disk.Image = (*Image)(nil)

// Open takes the image of length bytes in r; name is what errors call it. It
// reads header, descriptor, footer and grain directory, and checks that every
// grain table lies within the image; grains are checked when read.
func Open(r io.ReaderAt, length int64, name string) (*Image, error) {
	return OpenOver(r, length, name, nil)
}

// OpenOver is Open for an image that may be a delta link: parents opens the
// disk that holds what is not in this one. Closing the image closes that.
func OpenOver(r io.ReaderAt, length int64, name string, parents disk.Parents) (*Image, error) {
	return open(r, length, name, parents, false)
}

// open is OpenOver for an image that is all of a disk, or an extent of one.
func open(r io.ReaderAt, length int64, name string, parents disk.Parents, extent bool) (*Image, error) {
	m := &Image{r: r, name: name, length: length}
	s := newStream(io.NewSectionReader(r, 0, length), name)
	h, text, err := readText(s)
	if err == nil && !extent {
		err = h.checkWhole(name, text)
	}
	if err != nil {
		return nil, err
	}
	said, err := checkDescriptor(name, text)
	if err == nil {
		err = said.check(name, h)
	}
	if err != nil {
		return nil, err
	}
	if said.delta && parents == nil {
		return nil, said.refused(name)
	}
	m.h = h
	if h.directory == directoryAtEnd {
		if m.h, err = m.footer(h); err != nil {
			return nil, err
		}
	}
	if err := m.readDirectory(); err != nil {
		return nil, err
	}
	m.tables.begins = newBegins(m.h, length)
	if !said.delta {
		return m, nil
	}
	m.parent, err = parents([]string{said.parent}, disk.VMDK)
	return m, err
}

// SetParent says that what is not in the image is in another, which the image
// itself does not tell of. Closing the image closes that too.
func (m *Image) SetParent(parent disk.Image) { m.parent = parent }

// footer finds the footer: two sectors and its marker before the end, zeros
// behind it apart.
func (m *Image) footer(h *header) (*header, error) {
	n := min(m.length, maxPadding+4*sector) &^ (sector - 1)
	base := m.length&^(sector-1) - n
	tail := make([]byte, n)
	if err := disk.ReadFull(m.r, tail, base); err != nil {
		return nil, err
	}
	// Back over the zero sectors: the end-of-stream marker and padding.
	i := n - sector
	for i > 0 && disk.IsZero(tail[i:i+sector]) {
		i -= sector
	}
	if i == n-sector || i == 0 {
		return nil, corrupt(m.name, base+i, "a footer and an end-of-stream marker", "the end of the image")
	}
	prior := tail[i-sector : i]
	le := binary.LittleEndian
	if le.Uint32(tail[i:]) != magic || le.Uint32(prior[8:]) != 0 || markerType(le.Uint32(prior[12:])) != markerFooter {
		return nil, corrupt(m.name, base+i, "a footer before the end of the image", "something else")
	}
	f, err := parseHeader(m.name, base+i, tail[i:i+sector])
	if err != nil {
		return nil, err
	}
	if diff := h.sameDisk(f); diff != "" {
		return nil, corrupt(m.name, base+i, "a footer that repeats the header", diff)
	}
	return f, nil
}

func (m *Image) readDirectory() error {
	tables := m.h.tables()
	begin, n := m.h.directory, uint64(tables)*4
	if tables > maxTables {
		return &disk.UnsupportedError{Name: m.name, Format: disk.VMDK, Feature: fmt.Sprintf("a grain directory of %d entries", tables)}
	}
	if tables == 0 {
		return nil
	}
	if begin > uint64(m.length)/sector || n > uint64(m.length)-begin*sector || m.h.taken(begin, int64(n)) {
		return corrupt(m.name, 56, fmt.Sprintf("a grain directory of %d bytes within the image's %d", n, m.length), fmt.Sprintf("one at sector %d", begin))
	}
	b := make([]byte, n)
	if err := disk.ReadFull(m.r, b, int64(begin)*sector); err != nil {
		return err
	}
	m.directory = make([]uint32, tables)
	for i := range m.directory {
		at := binary.LittleEndian.Uint32(b[4*i:])
		if at == zeroGrain && m.h.flags&flagZeroGrain != 0 {
			m.directory[i] = at
			continue
		}
		if at != 0 && (int64(at)*sector > m.length-tableEntries*4 || m.h.taken(uint64(at), tableEntries*4)) {
			return corrupt(m.name, int64(begin)*sector+int64(4*i), fmt.Sprintf("a grain table within the image's %d bytes", m.length), fmt.Sprintf("one at sector %d", at))
		}
		m.directory[i] = at
	}
	return nil
}

func (m *Image) Size() int64     { return m.h.size() }
func (m *Image) Info() disk.Info { return m.h.info() }

// Close closes the parent, where there is one, and not r, which is the caller's.
func (m *Image) Close() error {
	if m.parent == nil {
		return nil
	}
	return m.parent.Close()
}

func (m *Image) ReadAt(p []byte, off int64) (int, error) {
	p, atEnd := disk.Within("vmdk", p, off, m.Size())
	done := 0
	gs := m.h.grainBytes()
	for done < len(p) {
		g, skip := (off+int64(done))/gs, (off+int64(done))%gs
		n := int(min(int64(len(p)-done), gs-skip))
		if err := m.readGrain(p[done:done+n], g, skip); err != nil {
			return done, err
		}
		done += n
	}
	return done, atEnd
}

// readGrain reads from byte skip of grain g.
func (m *Image) readGrain(p []byte, g, skip int64) error {
	t, err := m.table(g / tableEntries)
	if err != nil {
		return err
	}
	at := t.entry(g % tableEntries)
	if at == 0 {
		if m.parent == nil || !t.absent(g%tableEntries) {
			clear(p)
			return nil
		}
		off := g*m.h.grainBytes() + skip
		k := max(0, min(int64(len(p)), m.parent.Size()-off))
		clear(p[k:])
		return disk.ReadFull(m.parent, p[:k], off)
	}
	offset := int64(at) * sector
	if !m.h.compressed() {
		// Beyond the capacity the last grain need not be there.
		if offset > m.length-skip-int64(len(p)) {
			return corrupt(m.name, offset, fmt.Sprintf("grain %d", g), "the end of the image")
		}
		return disk.ReadFull(m.r, p, offset+skip)
	}
	return m.grains.read(p, g, skip, func(dst []byte, scratch *[]byte) error {
		return m.inflateAt(dst, g, offset, scratch)
	}, int(m.h.grainBytes()))
}

// inflateAt fills dst with grain g, whose marker is at offset.
func (m *Image) inflateAt(dst []byte, g, offset int64, scratch *[]byte) error {
	var first [grainMarkerLen]byte
	if offset > m.length-sector {
		return corrupt(m.name, offset, fmt.Sprintf("grain %d", g), "the end of the image")
	}
	if err := disk.ReadFull(m.r, first[:], offset); err != nil {
		return err
	}
	lba := binary.LittleEndian.Uint64(first[:])
	n := int64(binary.LittleEndian.Uint32(first[8:]))
	switch {
	case lba != uint64(g)*m.h.grain:
		return corrupt(m.name, offset, fmt.Sprintf("the grain of sector %d", uint64(g)*m.h.grain), fmt.Sprintf("that of sector %d", lba))
	case n == 0 || n > maxCompressed(int64(len(dst))):
		return corrupt(m.name, offset, fmt.Sprintf("1 to %d compressed bytes", maxCompressed(int64(len(dst)))), fmt.Sprint(n))
	case offset > m.length-grainMarkerLen-n:
		return corrupt(m.name, offset, fmt.Sprintf("%d compressed bytes", n), "the end of the image")
	}
	if int64(cap(*scratch)) < n {
		*scratch = make([]byte, n)
	}
	src := (*scratch)[:n]
	if err := disk.ReadFull(m.r, src, offset+grainMarkerLen); err != nil {
		return err
	}
	need := min(int64(len(dst)), m.Size()-g*m.h.grainBytes())
	got, err := inflateGrain(dst, src)
	if err == nil && int64(got) < need {
		err = fmt.Errorf("it inflates to %d", got)
	}
	if err != nil {
		return &disk.CorruptError{Name: m.name, Format: disk.VMDK, Offset: offset, Expected: fmt.Sprintf("a grain of %d bytes", need), Err: err}
	}
	clear(dst[got:])
	return nil
}

// Extents reads grain tables, not grains. Grains with an entry are data; those
// of a parent are as it says.
func (m *Image) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	if m.parent == nil {
		return m.own(ctx, off, n)
	}
	return disk.Merged(func(yield func(disk.Extent, error) bool) {
		for e, err := range m.own(ctx, off, n) {
			if err != nil || !e.Zero {
				if !yield(e, err) || err != nil {
					return
				}
				continue
			}
			if !m.below(ctx, e, yield) {
				return
			}
		}
	})
}

// below yields what a run without entries is in the parent, zeros behind its
// end; false when yield asked to stop or an error was yielded. The run may hold
// grains that are zeros here: they are asked for one by one.
func (m *Image) below(ctx context.Context, run disk.Extent, yield func(disk.Extent, error) bool) bool {
	gs, end := m.h.grainBytes(), run.Offset+run.Length
	for at := run.Offset; at < end; {
		g := at / gs
		t, err := m.table(g / tableEntries)
		if err != nil {
			yield(disk.Extent{}, err)
			return false
		}
		absent := t.absent(g % tableEntries)
		to := min(end, (g+1)*gs)
		for to < end && (to/gs)/tableEntries == g/tableEntries && t.absent(to/gs%tableEntries) == absent {
			to = min(end, to+gs)
		}
		have := min(to, max(at, m.parent.Size()))
		if !absent {
			have = at
		}
		if have > at {
			for e, err := range m.parent.Extents(ctx, at, have-at) {
				if !yield(e, err) || err != nil {
					return false
				}
			}
		}
		if to > have && !yield(disk.Extent{Offset: have, Length: to - have, Zero: true}, nil) {
			return false
		}
		at = to
	}
	return true
}

// own are the runs of the image's own entries.
func (m *Image) own(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		if off < 0 || n < 0 || off > m.Size()-n {
			yield(disk.Extent{}, fmt.Errorf("vmdk: extents of %d bytes at %d: the disk has %d", n, off, m.Size()))
			return
		}
		run := disk.Extent{Offset: off, Zero: true}
		gs, end := m.h.grainBytes(), off+n
		grow := func(to int64, zero bool) bool {
			to = min(to, end)
			if zero != run.Zero {
				if run.Length > 0 && !yield(run, nil) {
					return false
				}
				run = disk.Extent{Offset: run.Offset + run.Length, Zero: zero}
			}
			run.Length = to - run.Offset
			return true
		}
		for at := off; at < end; {
			if err := ctx.Err(); err != nil {
				yield(disk.Extent{}, err)
				return
			}
			ti := at / (gs * tableEntries)
			tableEnd := (ti + 1) * gs * tableEntries
			if d := m.directory[ti]; d == 0 || d == zeroGrain {
				if !grow(tableEnd, true) {
					return
				}
				at = tableEnd
				continue
			}
			t, err := m.table(ti)
			if err != nil {
				yield(disk.Extent{}, err)
				return
			}
			for ; at < min(tableEnd, end); at = at/gs*gs + gs {
				if !grow(at/gs*gs+gs, t.entry(at/gs%tableEntries) == 0) {
					return
				}
			}
		}
		if run.Length > 0 {
			yield(run, nil)
		}
	}
}

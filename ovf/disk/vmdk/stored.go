package vmdk

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sort"

	"github.com/cimimove/cimimove/ovf/disk"
)

// StoredOptions are those of Stored.
type StoredOptions struct {
	// Adapter is the disk controller the descriptor names; LSILogic by default.
	Adapter Adapter
}

// Layout is a streamOptimized image without compression, laid out before a
// byte of the disk is read: every grain that the disk's map names takes 66,048
// bytes, even if it proves zero. It can be kept (MarshalBinary) and gives the
// same bytes for ever for the same content.
type Layout struct {
	size    int64 // of the disk, in bytes
	adapter Adapter
	grains  *grainMap

	capacity uint64
	front    []byte
	trailer  []byte
	starts   []int64 // where table i's grains begin; one entry more than tables
	length   int64
}

// NewLayout freezes the map of img. It reads extents, not content.
func NewLayout(ctx context.Context, img disk.Image, opts StoredOptions) (*Layout, error) {
	if _, err := capacityOf(img.Size()); err != nil {
		return nil, err
	}
	grains, err := mapOf(ctx, img)
	if err != nil {
		return nil, err
	}
	return newLayout(img.Size(), opts.Adapter, grains)
}

func newLayout(size int64, adapter Adapter, grains *grainMap) (*Layout, error) {
	capacity, err := capacityOf(size)
	if err != nil {
		return nil, err
	}
	if adapter == "" {
		adapter = LSILogic
	}
	h := newHeader(capacity)
	l := &Layout{size: size, adapter: adapter, grains: grains, capacity: capacity, front: front(h, adapter)}

	tables := h.tables()
	directory := make([]byte, roundUp(tables*4))
	l.starts = make([]int64, tables+1)
	off := int64(len(l.front))
	for t := range tables {
		l.starts[t] = off
		n := grains.inTable(t)
		if n == 0 {
			continue
		}
		off += n * storedGrainLen
		at, err := sectorOf(off + sector)
		if err != nil {
			return nil, err
		}
		binary.LittleEndian.PutUint32(directory[4*t:], at)
		off += sector + tableSectors*sector
	}
	l.starts[tables] = off
	l.trailer = trailer(h, directory, off)
	l.length = off + int64(len(l.trailer))
	return l, nil
}

// Size is the length of the image in bytes.
func (l *Layout) Size() int64 { return l.length }

// DiskSize is the virtual size of the disk in bytes, before it is rounded up
// to a sector.
func (l *Layout) DiskSize() int64 { return l.size }

// DataBytes is how much content is mapped, what OVF calls the populated size.
func (l *Layout) DataBytes() int64 {
	n := l.grains.mapped() * grainSize
	if last := l.grains.grains - 1; last >= 0 && l.grains.has(last) {
		n -= (last+1)*grainSize - l.size
	}
	return n
}

const layoutMagic = "cmvl1"

// MarshalBinary writes the layout compactly: a few bytes for each run of
// grains.
func (l *Layout) MarshalBinary() ([]byte, error) {
	b := append([]byte(nil), layoutMagic...)
	b = binary.AppendUvarint(b, uint64(l.size))
	b = binary.AppendUvarint(b, uint64(len(l.adapter)))
	b = append(b, l.adapter...)
	b = l.grains.appendRuns(b)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)), nil
}

// UnmarshalBinary is the inverse of MarshalBinary.
func (l *Layout) UnmarshalBinary(b []byte) error {
	if len(b) < len(layoutMagic)+crc32.Size || string(b[:len(layoutMagic)]) != layoutMagic {
		return errGrainMap
	}
	b, sum := b[:len(b)-crc32.Size], b[len(b)-crc32.Size:]
	if crc32.ChecksumIEEE(b) != binary.BigEndian.Uint32(sum) {
		return fmt.Errorf("%w: its checksum differs", errGrainMap)
	}
	b = b[len(layoutMagic):]
	size, k := binary.Uvarint(b)
	if k <= 0 || size > maxCapacity*sector {
		return errGrainMap
	}
	b = b[k:]
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return errGrainMap
	}
	adapter := Adapter(b[k : k+int(n)])
	if adapter != LSILogic && adapter != BusLogic && adapter != IDE {
		return fmt.Errorf("%w: adapter %q", errGrainMap, string(adapter))
	}
	grains, err := parseRuns(b[k+int(n):], (int64(size)+grainSize-1)/grainSize)
	if err != nil {
		return err
	}
	read, err := newLayout(int64(size), adapter, grains)
	if err != nil {
		return err
	}
	*l = *read
	return nil
}

// StoredImage is the bytes of a Layout over a disk: an io.ReaderAt of known
// size. What the layout does not map is not read. Reading from several
// goroutines is fine.
type StoredImage struct {
	*Layout
	img  disk.Image
	kept chan *storedForm // of the last reads of a part of a grain, to continue or reuse
}

type storedForm struct {
	g int64
	b [storedGrainLen]byte
}

// Stored lays out img and opens it.
func Stored(ctx context.Context, img disk.Image, opts StoredOptions) (*StoredImage, error) {
	l, err := NewLayout(ctx, img, opts)
	if err != nil {
		return nil, err
	}
	return l.Open(img)
}

// Open opens the layout over the disk it was made from.
func (l *Layout) Open(img disk.Image) (*StoredImage, error) {
	if img.Size() != l.size {
		return nil, fmt.Errorf("vmdk: the layout is of a disk of %d bytes, this one has %d", l.size, img.Size())
	}
	return &StoredImage{Layout: l, img: img, kept: make(chan *storedForm, maxKeptForms)}, nil
}

func (s *StoredImage) ReadAt(p []byte, off int64) (int, error) {
	p, atEnd := disk.Within("vmdk", p, off, s.length)
	for done := 0; done < len(p); {
		n, err := s.readPart(p[done:], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return len(p), atEnd
}

// readPart reads what one part of the image holds at off, at least a byte.
func (s *StoredImage) readPart(p []byte, off int64) (int, error) {
	if off < int64(len(s.front)) {
		return copy(p, s.front[off:]), nil
	}
	end := s.starts[len(s.starts)-1]
	if off >= end {
		return copy(p, s.trailer[off-end:]), nil
	}
	// The last table that begins at or before off, those without grains apart:
	// they begin where the next does.
	t := int64(sort.Search(len(s.starts), func(i int) bool { return s.starts[i] > off })) - 1
	in := off - s.starts[t]
	if n := s.grains.inTable(t); in >= n*storedGrainLen {
		b := s.tableBytes(t)
		return copy(p, b[in-n*storedGrainLen:]), nil
	}
	return s.readGrains(p, t, in/storedGrainLen, in%storedGrainLen)
}

// tableBytes is the marker of grain table t and the table.
func (s *StoredImage) tableBytes(t int64) []byte {
	b := make([]byte, sector+tableSectors*sector)
	marker := marshalMarker(markerTable, tableSectors)
	copy(b, marker[:])
	at := s.starts[t]
	for n := range s.grains.inTable(t) {
		i := s.grains.nth(t, n) % tableEntries
		binary.LittleEndian.PutUint32(b[sector+4*i:], uint32(at>>sectorLog))
		at += storedGrainLen
	}
	return b
}

// readGrains reads from byte skip of the n-th grain of table t on: as many
// whole grains as are one after the other on the disk and fit p, or a part of
// one.
func (s *StoredImage) readGrains(p []byte, t, n, skip int64) (int, error) {
	g := s.grains.nth(t, n)
	if skip > 0 || len(p) < storedGrainLen {
		return s.readForm(p, g, skip)
	}
	last := min(s.grains.runEnd(g, true), (t+1)*tableEntries)
	count := min(last-g, int64(len(p)/storedGrainLen), maxRun)
	if err := s.fill(p[:count*storedGrainLen], g, count); err != nil {
		return 0, err
	}
	return int(count * storedGrainLen), nil
}

// readForm reads from byte skip of the stored form of grain g.
func (s *StoredImage) readForm(p []byte, g, skip int64) (int, error) {
	var form *storedForm
	select {
	case form = <-s.kept:
	default:
		form = &storedForm{g: -1}
	}
	if form.g != g {
		form.g = -1
		if err := s.fill(form.b[:], g, 1); err != nil {
			return 0, err
		}
		form.g = g
	}
	n := copy(p, form.b[skip:])
	select {
	case s.kept <- form:
	default: // more readers at once than are kept for
	}
	return n, nil
}

// maxKeptForms bounds the stored grains kept, 66 KiB each.
const maxKeptForms = 8

// maxRun is how many grains are read from the disk at once: 1 MiB.
const maxRun = disk.BlockSize / grainSize

// fill makes out the stored forms of count grains from g on. The content is
// read into the end of out, then moved to its places from the front.
func (s *StoredImage) fill(out []byte, g, count int64) error {
	content := out[len(out)-int(count*grainSize):]
	begin := g * grainSize
	have := min(int64(len(content)), s.size-begin)
	clear(content[have:])
	if err := disk.ReadFull(s.img, content[:have], begin); err != nil {
		return err
	}
	for i := range count {
		putStored(out[i*storedGrainLen:(i+1)*storedGrainLen], content[i*grainSize:(i+1)*grainSize], g+i)
	}
	return nil
}

package vhdx_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vhdx"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

var le = binary.LittleEndian

func seal(b []byte) {
	le.PutUint32(b[4:], 0)
	le.PutUint32(b[4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// written is content as we write it.
func written(t testing.TB, content []byte) []byte {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.vhdx"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := vhdx.Write(context.Background(), raw.New(bytes.NewReader(content), int64(len(content))), f, disk.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(b []byte) ([]byte, error) {
	img, err := vhdx.Open(bytes.NewReader(b), int64(len(b)), "disk.vhdx")
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
}

// logged makes the log of image non-empty, with one entry, at off of the log,
// that writes page over the 4 KiB at dataAt and zeros over those at zeroAt.
func logged(image []byte, off int, sequence uint64, dataAt, zeroAt int, page []byte) []byte {
	b := bytes.Clone(image)
	id := bytes.Repeat([]byte{7}, 16)
	for _, at := range []int{64 << 10, 128 << 10} {
		copy(b[at+48:], id)
		seal(b[at : at+4096])
	}
	e := make([]byte, 8192)
	copy(e, "loge")
	le.PutUint32(e[8:], uint32(len(e)))
	le.PutUint32(e[12:], uint32(off))
	le.PutUint64(e[16:], sequence)
	le.PutUint32(e[24:], 2)
	copy(e[32:], id)
	le.PutUint64(e[48:], uint64(len(b)))
	le.PutUint64(e[56:], uint64(len(b)))
	d := e[64:]
	copy(d, "desc")
	copy(d[4:8], page[4092:])
	copy(d[8:16], page)
	le.PutUint64(d[16:], uint64(dataAt))
	le.PutUint64(d[24:], sequence)
	z := e[96:]
	copy(z, "zero")
	le.PutUint64(z[8:], 4096)
	le.PutUint64(z[16:], uint64(zeroAt))
	le.PutUint64(z[24:], sequence)
	data := e[4096:]
	copy(data, page)
	copy(data, "data")
	le.PutUint32(data[4:], uint32(sequence>>32))
	le.PutUint32(data[4092:], uint32(sequence))
	seal(e)
	// The log is a ring.
	log := b[1<<20 : 2<<20]
	n := copy(log[off:], e)
	copy(log, e[n:])
	return b
}

// TestLogIsReplayed: as qemu-img replays it, wherever in the ring it lies.
func TestLogIsReplayed(t *testing.T) {
	ovftest.Slow(t)
	rng := rand.New(rand.NewPCG(2, 1))
	content := disktest.Noise(rng, 3<<20)
	image := written(t, content)
	const block = 4 << 20 // of the file: where the first block lies
	page := disktest.Noise(rng, 4096)
	want := bytes.Clone(content)
	copy(want[8192:], page)
	clear(want[65536 : 65536+4096])
	for _, off := range []int{0, 4096, 1<<20 - 4096} {
		dirty := logged(image, off, 1<<33+5, block+8192, block+65536, page)
		got, err := read(dirty)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("log at %d: reads other content (%v)", off, err)
		}
		path := filepath.Join(t.TempDir(), "dirty.vhdx")
		disktest.Write(t, path, dirty)
		disktest.Run(t, disktest.Tool(t, "qemu-img"), "check", "-r", "all", "-f", "vhdx", path)
		disktest.Judge(t, path, "vhdx", want)
	}
	// A log that does not hold together is not passed over.
	dirty := logged(image, 0, 5, block, block+4096, page)
	dirty[1<<20+4096+100]++
	if _, err := read(dirty); !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("a log with a wrong checksum: %v", err)
	}
	// An older sequence is not the active one.
	both := logged(image, 0, 5, block+8192, block+65536, page)
	older := logged(image, 16384, 3, block, block+4096, page)
	copy(both[1<<20+16384:], older[1<<20+16384:1<<20+16384+8192])
	if got, err := read(both); err != nil || !bytes.Equal(got, want) {
		t.Errorf("with an older sequence in the log: %v", err)
	}
}

// TestDifferencing: a child's own sectors, blocks and zeros over its parent's.
func TestDifferencing(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	base := disktest.Noise(rng, 4<<20)
	over := disktest.Noise(rng, 4<<20)
	parentImage := written(t, base)
	child := written(t, over)
	const tableAt, metadataAt, firstBlock = 3 << 20, 2 << 20, 4 << 20
	// Block 0 is the parent's, 1 in part, 2 wholly the child's, 3 zeros.
	entry := func(i int, state, place uint64) { le.PutUint64(child[tableAt+8*i:], place<<20|state) }
	bitmapAt := len(child)
	child = append(child, make([]byte, 1<<20)...)
	child[bitmapAt+256] = 0b0101 // sectors 0 and 2 of block 1
	entry(0, 0, 0)
	entry(1, 7, firstBlock>>20+1)
	entry(3, 2, 0)
	child = append(child, make([]byte, 1<<20)...) // room for a table with bitmaps
	entry(4096, 6, uint64(bitmapAt>>20))
	child[metadataAt+65536+4] |= 2
	linkage := parentImage[128<<10+32 : 128<<10+48]
	putLocator(child[metadataAt:], linkage)
	want := slicesOf(base[:1<<20], over[1<<20:1<<20+512], base[1<<20+512:1<<20+1024], over[1<<20+1024:1<<20+1536], base[1<<20+1536:2<<20], over[2<<20:3<<20], make([]byte, 1<<20))

	parents := func(image []byte) disk.Parents {
		return func(names []string, f disk.Format) (disk.Image, error) {
			if len(names) != 1 || names[0] != `.\base.vhdx` || f != disk.VHDX {
				t.Errorf("asked for %q as %s", names, f)
			}
			return vhdx.Open(bytes.NewReader(image), int64(len(image)), "base.vhdx")
		}
	}
	img, err := vhdx.OpenOver(bytes.NewReader(child), int64(len(child)), "child.vhdx", parents(parentImage))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("reads other content (%v)", err)
	}
	disktest.Extents(t, img, want)
	if _, err := read(child); !errors.Is(err, disk.ErrUnsupported) {
		t.Errorf("without its parent: %v", err)
	}
	if _, err := vhdx.OpenOver(bytes.NewReader(child), int64(len(child)), "child.vhdx", parents(written(t, base))); !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("over another parent: %v", err)
	}
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// putLocator adds a parent locator to the metadata region.
func putLocator(region, linkage []byte) {
	n := int(le.Uint16(region[10:]))
	le.PutUint16(region[10:], uint16(n+1))
	utf16 := func(s string) (b []byte) {
		for _, c := range s {
			b = le.AppendUint16(b, uint16(c))
		}
		return b
	}
	g := linkage
	guid := ""
	for _, i := range []int{3, 2, 1, 0, -1, 5, 4, -1, 7, 6, -1, 8, 9, -1, 10, 11, 12, 13, 14, 15} {
		if i < 0 {
			guid += "-"
			continue
		}
		guid += string("0123456789abcdef"[g[i]>>4]) + string("0123456789abcdef"[g[i]&15])
	}
	item := make([]byte, 20+2*12)
	le.PutUint16(item[18:], 2)
	for i, kv := range [][2]string{{"relative_path", `.\base.vhdx`}, {"parent_linkage", "{" + guid + "}"}} {
		key, value := utf16(kv[0]), utf16(kv[1])
		e := item[20+12*i:]
		le.PutUint32(e, uint32(len(item)))
		le.PutUint32(e[4:], uint32(len(item)+len(key)))
		le.PutUint16(e[8:], uint16(len(key)))
		le.PutUint16(e[10:], uint16(len(value)))
		item = append(append(item, key...), value...)
	}
	e := region[32+32*n:]
	copy(e, []byte{0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c})
	le.PutUint32(e[16:], 128<<10)
	le.PutUint32(e[20:], uint32(len(item)))
	le.PutUint32(e[24:], 4)
	copy(region[128<<10:], item)
}

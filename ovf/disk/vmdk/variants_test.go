package vmdk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// front is header, directory and one grain table for n grains of which grain i
// lies at sector at(i), up to the grains at sector 128.
func front(flags uint32, compression uint16, n int, at func(i int) int) []byte {
	le := binary.LittleEndian
	b := make([]byte, 128*512)
	copy(b, "KDMV")
	le.PutUint32(b[4:], 1)
	le.PutUint32(b[8:], flags)
	le.PutUint64(b[12:], uint64(n)*128) // capacity
	le.PutUint64(b[20:], 128)           // grain
	le.PutUint32(b[44:], 512)           // entries of a table
	le.PutUint64(b[56:], 1)             // directory
	le.PutUint64(b[64:], 128)           // overhead
	copy(b[73:], "\n \r\n")
	le.PutUint16(b[77:], compression)
	le.PutUint32(b[512:], 2) // the table
	for i := range n {
		le.PutUint32(b[1024+4*i:], uint32(at(i)))
	}
	return b
}

// sparseImage is a monolithicSparse image with its grains last to first.
func sparseImage(content []byte) []byte {
	n := len(content) / disktest.Grain
	b := front(3, 0, n, func(i int) int { return 128 + (n-1-i)*128 })
	for i := n - 1; i >= 0; i-- {
		b = append(b, content[i*disktest.Grain:(i+1)*disktest.Grain]...)
	}
	return b
}

// frontTables is a streamOptimized image as qemu-img lays it out, with its
// grains last to first.
func frontTables(content []byte) []byte {
	n := len(content) / disktest.Grain
	places := make([]int, n)
	var grains []byte
	for i := n - 1; i >= 0; i-- {
		z := zlibOf(content[i*disktest.Grain : (i+1)*disktest.Grain])
		places[i] = 128 + len(grains)/512
		grains = binary.LittleEndian.AppendUint64(grains, uint64(i)*128)
		grains = binary.LittleEndian.AppendUint32(grains, uint32(len(z)))
		grains = append(grains, z...)
		grains = append(grains, make([]byte, -len(grains)&511)...)
	}
	return append(front(0x30003, 1, n, func(i int) int { return places[i] }), grains...)
}

// TestGrainsInAnyOrder: content that comes out of order is right, and its
// digest, which cannot be had in one pass, is not claimed.
func TestGrainsInAnyOrder(t *testing.T) {
	content := disktest.Text(rand.New(rand.NewPCG(13, 14)), 20*disktest.Grain)
	for name, image := range map[string][]byte{"monolithicSparse": sparseImage(content), "streamOptimized": frontTables(content)} {
		img, err := vmdk.Open(bytes.NewReader(image), int64(len(image)), name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
		if err != nil || !bytes.Equal(b, content) {
			t.Errorf("%s reads other content (%v)", name, err)
		}
		var got disktest.Memory
		res, err := vmdk.Decode(context.Background(), bytes.NewReader(image), &got, disk.DecodeOptions{})
		if err != nil || !bytes.Equal(got.Data, content) {
			t.Errorf("%s decodes to other content (%v)", name, err)
		}
		if res.HasDigest || res.Info.Variant != name {
			t.Errorf("%s: %+v", name, res)
		}
		for n := 0; n < len(image); n += 512 {
			if n == 128*512 {
				n = len(image) - 100*512 // of the grains only the last hundred sectors
			}
			if err := decode(image[:n]); !errors.Is(err, disk.ErrCorrupt) {
				t.Errorf("%s: decoding the first %d bytes of %d gives %v", name, n, len(image), err)
			}
			if err := read(image[:n]); !errors.Is(err, disk.ErrCorrupt) {
				t.Errorf("%s: reading the first %d bytes of %d gives %v", name, n, len(image), err)
			}
		}
	}
}

// TestUnmappedGrainInStream: a grain that the tables in front do not map is not
// content for one reader and zeros for the other.
func TestUnmappedGrainInStream(t *testing.T) {
	image := frontTables(disktest.Patterns()["full of text"])
	clear(image[1024+4*5 : 1024+4*6])
	if err := decode(image); !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

// TestGrainsThatOverlap are damage for who reads anywhere as for who reads a
// stream.
func TestGrainsThatOverlap(t *testing.T) {
	sound := sparseImage(disktest.Patterns()["full of text"])
	le := binary.LittleEndian
	for _, by := range []uint32{0, 1, 127} {
		image := bytes.Clone(sound)
		le.PutUint32(image[1024+4*5:], le.Uint32(image[1024+4*6:])+by)
		for how, f := range map[string]func([]byte) error{"decoding": decode, "reading": read} {
			if err := f(image); !errors.Is(err, disk.ErrCorrupt) {
				t.Errorf("%s a grain %d sectors behind another: %v", how, by, err)
			}
		}
	}
}

// TestGrainsOfTwoTablesThatOverlap: nor do they where one is of another table.
func TestGrainsOfTwoTablesThatOverlap(t *testing.T) {
	content := make([]byte, 34<<20)
	content[0], content[disktest.Grain], content[33<<20] = 1, 2, 3
	sound := disktest.Made(t, content, "vmdk")
	le := binary.LittleEndian
	directory := 512 * le.Uint64(sound[56:])
	first, second := 512*le.Uint32(sound[directory:]), 512*le.Uint32(sound[directory+4:])
	if err := read(sound); err != nil {
		t.Fatal(err)
	}
	const entry = 4 * (1 << 20 / disktest.Grain) // of what lies at 33 MiB
	le.PutUint32(sound[second+entry:], le.Uint32(sound[first:]))
	for how, f := range map[string]func([]byte) error{"decoding": decode, "reading": read} {
		if err := f(sound); !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// TestTablesInDescriptor: no table lies where the descriptor is, which would be
// read as one that maps nothing, and what the descriptor says is compressed is.
func TestTablesInDescriptor(t *testing.T) {
	sound := disktest.Made(t, disktest.Text(rand.New(rand.NewPCG(13, 15)), 5*disktest.Grain), "vmdk", "-o", "subformat=streamOptimized")
	le := binary.LittleEndian
	directory := 512 * le.Uint64(sound[56:])
	for name, damage := range map[string]func(b []byte){
		"directory":    func(b []byte) { le.PutUint64(b[56:], 2) },
		"table":        func(b []byte) { le.PutUint32(b[directory:], 3) },
		"uncompressed": func(b []byte) { le.PutUint32(b[8:], 3) },
	} {
		image := bytes.Clone(sound)
		damage(image)
		for how, f := range map[string]func([]byte) error{"decoding": decode, "reading": read} {
			if err := f(image); !errors.Is(err, disk.ErrCorrupt) {
				t.Errorf("%s: %s gives %v", name, how, err)
			}
		}
	}
}

package vhd_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/vhd"
)

// seal sets the checksum at byte at of b.
func seal(b []byte, at int) {
	var sum uint32
	for i, c := range b {
		if i < at || i >= at+4 {
			sum += uint32(c)
		}
	}
	binary.BigEndian.PutUint32(b[at:], ^sum)
}

// TestDifferencing: a child's own sectors and blocks over its parent's.
func TestDifferencing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	base, over := disktest.Noise(rng, 6<<20), disktest.Noise(rng, 6<<20)
	parent := made(t, base, "dynamic")
	child := made(t, over, "dynamic")
	be := binary.BigEndian
	foot := child[len(child)-512:]
	be.PutUint32(foot[60:], 4)
	seal(foot, 64)
	header := child[512 : 512+1024]
	copy(header[40:], parent[len(parent)-512+68:][:16])
	for i, c := range "base.vhd" {
		be.PutUint16(header[64+2*i:], uint16(c))
	}
	table := int(be.Uint64(header[16:]))
	be.PutUint32(child[table:], 0xffffffff) // block 0 is the parent's
	bitmap := child[be.Uint32(child[table+4:])*512:][:512]
	clear(bitmap)
	bitmap[0] = 0b10100000 // sectors 0 and 2 of block 1 are the child's
	seal(header, 36)
	const block = 2 << 20
	want := bytes.Clone(base)
	copy(want[block:], over[block:block+512])
	copy(want[block+1024:], over[block+1024:block+1536])
	copy(want[2*block:], over[2*block:])

	open := func(parent []byte) (disk.Image, error) {
		return vhd.OpenOver(bytes.NewReader(child), int64(len(child)), "child.vhd", func(names []string, _ disk.Format) (disk.Image, error) {
			if len(names) != 1 || names[0] != "base.vhd" {
				t.Errorf("asked for %q", names)
			}
			return vhd.Open(bytes.NewReader(parent), int64(len(parent)), "base.vhd")
		})
	}
	img, err := open(parent)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("reads other content (%v)", err)
	}
	disktest.Extents(t, img, want)
	if _, err := open(made(t, base, "dynamic")); !errors.Is(err, disk.ErrCorrupt) {
		t.Errorf("over another parent: %v", err)
	}
	if _, err := read(child); !errors.Is(err, disk.ErrUnsupported) {
		t.Errorf("without its parent: %v", err)
	}
}

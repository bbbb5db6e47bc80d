package vhdx_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
)

// TestOverlap: no block lies where another is, nor where log, metadata or table
// are.
func TestOverlap(t *testing.T) {
	image := written(t, disktest.Noise(rand.New(rand.NewPCG(2, 3)), 3<<20))
	const table = 3 << 20
	const block = 6 | 4<<20 // wholly there, at 4 MiB
	if le.Uint64(image[table:]) != block {
		t.Fatalf("the first block is %#x", le.Uint64(image[table:]))
	}
	for name, at := range map[string]uint64{"log": 1, "metadata": 2, "table": 3, "the block before": 4} {
		bad := bytes.Clone(image)
		le.PutUint64(bad[table+8:], 6|at<<20)
		if _, err := read(bad); !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("a block at %s: %v", name, err)
		}
	}
}

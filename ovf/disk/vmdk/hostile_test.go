package vmdk_test

import (
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func TestHostileHeaders(t *testing.T) {
	ovftest.Slow(t)
	content := disktest.Text(rand.New(rand.NewPCG(11, 12)), 2*disktest.Grain)
	stream, _ := encode(t, content[:disktest.Grain], vmdk.EncodeOptions{})
	for name, image := range map[string][]byte{"streamOptimized": stream, "monolithicSparse": sparseImage(content), "front tables": frontTables(content)} {
		t.Run(name, func(t *testing.T) {
			// The header, and of a stream the footer that counts in its place.
			zones := [][2]int{{4, 96}, {len(image) - 1024 + 4, len(image) - 1024 + 96}}
			disktest.Hostile(t, image, zones, nil, func(r io.ReaderAt, size int64) (disk.Image, error) {
				return vmdk.Open(r, size, "hostile")
			})
		})
	}
}

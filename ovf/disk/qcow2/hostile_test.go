package qcow2_test

import (
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
)

func TestHostileHeaders(t *testing.T) {
	image := made(t, disktest.Text(rand.New(rand.NewPCG(1, 6)), 9000), "-c", "-o", "cluster_size=512")
	disktest.Hostile(t, image[:min(len(image), 64<<10)], [][2]int{{4, 128}}, nil, func(r io.ReaderAt, size int64) (disk.Image, error) {
		return qcow2.Open(r, size, "hostile")
	})
}

package vdi_test

import (
	"io"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/vdi"
)

func TestHostileHeaders(t *testing.T) {
	image := written(t, []byte("little"))
	disktest.Hostile(t, image, [][2]int{{64, 480}}, nil, func(r io.ReaderAt, size int64) (disk.Image, error) {
		return vdi.Open(r, size, "hostile")
	})
}

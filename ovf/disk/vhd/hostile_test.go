package vhd_test

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/vhd"
)

func TestHostileHeaders(t *testing.T) {
	sum := func(b []byte, at int) {
		copy(b[at:], make([]byte, 4))
		n := uint32(0)
		for _, c := range b {
			n += uint32(c)
		}
		binary.BigEndian.PutUint32(b[at:], ^n)
	}
	for subformat, content := range map[string][]byte{"dynamic": make([]byte, 4096), "fixed": []byte("fixed")} {
		t.Run(subformat, func(t *testing.T) {
			image := made(t, content, subformat)
			foot := len(image) - 512
			zones := [][2]int{{foot + 8, foot + 96}}
			if subformat == "dynamic" {
				zones = append(zones, [2]int{512 + 8, 512 + 48})
			}
			seal := func(b []byte) {
				sum(b[foot:], 64)
				if subformat == "dynamic" {
					sum(b[512:1536], 36)
				}
			}
			disktest.Hostile(t, image, zones, seal, func(r io.ReaderAt, size int64) (disk.Image, error) {
				return vhd.Open(r, size, "hostile")
			})
		})
	}
}

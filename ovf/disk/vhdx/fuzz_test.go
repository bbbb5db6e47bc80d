package vhdx_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/vhdx"
)

// over is an image of which a part is replaced: fuzzing need not carry the
// megabytes of zeros that a VHDX is made of.
type over struct {
	image, part []byte
	at          int64
}

func (o over) ReadAt(p []byte, off int64) (int, error) {
	n, err := bytes.NewReader(o.image).ReadAt(p, off)
	for i := range o.part {
		if k := o.at + int64(i) - off; k >= 0 && k < int64(n) {
			p[k] = o.part[i]
		}
	}
	return n, err
}

// FuzzOpen: whatever lies in the places that matter, checksums put right,
// opening and reading ends without panic, with or without a log.
func FuzzOpen(f *testing.F) {
	plain := written(f, bytes.Repeat([]byte{1}, 5<<19))
	dirty := logged(plain, 0, 5, 4<<20, 4<<20+4096, make([]byte, 4096))
	// Header, region table, metadata table, items, block allocation table, log.
	places := []int64{128 << 10, 192 << 10, 2 << 20, 2<<20 + 64<<10, 3 << 20, 1 << 20}
	sealed := []int{4096, 64 << 10, 0, 0, 0, 8192}
	for i, at := range places {
		f.Add(byte(i), bytes.Clone(dirty[at:at+256]))
	}
	f.Fuzz(func(t *testing.T, place byte, b []byte) {
		i := int(place) % len(places)
		if len(b) > 4096 {
			return
		}
		for _, image := range [][]byte{plain, dirty} {
			part := b
			if n := sealed[i]; n > 0 {
				part = bytes.Clone(image[places[i] : places[i]+int64(n)])
				copy(part, b)
				seal(part)
			}
			var img *vhdx.Image
			var err error
			disktest.Bounded(t, disktest.Bound, func() { img, err = vhdx.Open(over{image, part, places[i]}, int64(len(image)), "fuzz") })
			if err != nil {
				continue
			}
			_, _ = io.Copy(io.Discard, io.NewSectionReader(img, 0, min(img.Size(), disk.BlockSize)))
			_, _ = img.ReadAt(make([]byte, 700), img.Size()-600)
		}
	})
}

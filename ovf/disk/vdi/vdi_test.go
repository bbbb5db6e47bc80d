package vdi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vdi"
)

func written(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := vdi.Encode(context.Background(), raw.New(bytes.NewReader(content), int64(len(content))), &out, disk.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(b []byte) error {
	img, err := vdi.Open(bytes.NewReader(b), int64(len(b)), "disk.vdi")
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.NewSectionReader(img, 0, img.Size()))
	return err
}

func TestRefuses(t *testing.T) {
	image := written(t, bytes.Repeat([]byte{1}, 3<<20))
	const blockMap = 1 << 20
	for name, c := range map[string]struct {
		at    int
		bytes []byte
		is    error
	}{
		"sound, to compare":  {0, nil, nil},
		"no signature":       {64, []byte{0}, disk.ErrWrongFormat},
		"version 0":          {70, []byte{0}, disk.ErrUnsupported},
		"version 2":          {70, []byte{2}, disk.ErrUnsupported},
		"differencing":       {76, []byte{4}, disk.ErrUnsupported},
		"undo":               {76, []byte{3}, disk.ErrUnsupported},
		"a parent's id":      {424, []byte{1}, disk.ErrUnsupported},
		"unknown type":       {76, []byte{9}, disk.ErrUnsupported},
		"sectors of 4 KiB":   {361, []byte{16}, disk.ErrUnsupported},
		"size above 64 TiB":  {374, []byte{1}, disk.ErrUnsupported},
		"odd block size":     {376, []byte{1}, disk.ErrCorrupt},
		"too few blocks":     {384, []byte{2}, disk.ErrCorrupt},
		"a map of 1 GiB":     {387, []byte{16}, disk.ErrUnsupported},
		"map outside":        {343, []byte{127}, disk.ErrCorrupt},
		"blocks in the map":  {344, []byte{0, 0, 16, 0}, disk.ErrCorrupt},
		"block outside":      {blockMap, []byte{7}, disk.ErrCorrupt},
		"block twice":        {blockMap, []byte{1}, disk.ErrCorrupt},
		"block written zero": {blockMap, []byte{0xfe, 0xff, 0xff, 0xff}, nil},
	} {
		bad := bytes.Clone(image)
		copy(bad[c.at:], c.bytes)
		if err := read(bad); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzOpen: whatever the bytes, opening and reading ends without panic.
func FuzzOpen(f *testing.F) {
	small := written(f, []byte("little"))
	f.Add(small[:4096])
	// A map at 512 and blocks of 4 KiB behind it, as small as can be.
	tiny := bytes.Clone(small[:8192])
	copy(tiny[340:], []byte{0, 2, 0, 0, 0, 4, 0, 0})
	copy(tiny[376:], []byte{0, 16, 0, 0})
	f.Add(tiny)
	f.Fuzz(func(t *testing.T, b []byte) {
		disktest.Bounded(t, disktest.Bound, func() { _, _ = vdi.Open(bytes.NewReader(b), int64(len(b)), "fuzz") })
		_ = read(b)
	})
}

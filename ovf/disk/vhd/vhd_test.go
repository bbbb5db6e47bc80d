package vhd_test

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
	"github.com/cimimove/cimimove/ovf/disk/vhd"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// made is content as qemu-img's VHD; force_size keeps the size from being
// rounded to a geometry.
func made(t testing.TB, content []byte, subformat string) []byte {
	t.Helper()
	return disktest.Made(t, content, "vpc", "-o", "force_size=on,subformat="+subformat)
}

func read(image []byte) ([]byte, error) {
	img, err := vhd.Open(bytes.NewReader(image), int64(len(image)), "disk.vhd")
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
}

func TestReadsWhatOracleWrites(t *testing.T) {
	ovftest.Slow(t)
	for name, content := range disktest.Telling() {
		if len(content) == 0 {
			continue
		}
		for _, subformat := range []string{"dynamic", "fixed"} {
			image := made(t, content, subformat)
			k, err := disk.Detect(bytes.NewReader(image), int64(len(image)))
			if err != nil || k != (disk.Kind{Format: disk.VHD, Variant: subformat}) {
				t.Errorf("%s %s: detected %v (%v)", subformat, name, k, err)
			}
			if got, err := read(image); err != nil || !bytes.Equal(got, disktest.Padded(content)) {
				t.Errorf("%s %s: reads other content (%v)", subformat, name, err)
			}
			img, err := vhd.Open(bytes.NewReader(image), int64(len(image)), name)
			if err != nil || img.Info().Variant != subformat {
				t.Fatalf("%s %s: %v (%v)", subformat, name, img.Info(), err)
			}
			at := int64(0)
			for e, err := range img.Extents(context.Background(), 0, img.Size()) {
				if err != nil || e.Offset != at || e.Length <= 0 {
					t.Fatalf("extent %+v at %d (%v)", e, at, err)
				}
				if at += e.Length; e.Zero && !disk.IsZero(disktest.Padded(content)[e.Offset:at]) {
					t.Errorf("extent %+v holds data", e)
				}
			}
			if at != img.Size() {
				t.Errorf("extents end at %d of %d", at, img.Size())
			}
		}
	}
}

func TestTruncatedAnywhere(t *testing.T) {
	content := disktest.Text(rand.New(rand.NewPCG(1, 8)), 300000)
	for _, subformat := range []string{"dynamic", "fixed"} {
		image := made(t, content, subformat)
		for n := 0; n < len(image); n += 512 {
			if _, err := read(image[:n]); !errors.Is(err, disk.ErrCorrupt) {
				t.Fatalf("%s: the first %d bytes of %d: %v", subformat, n, len(image), err)
			}
		}
	}
}

// TestOldFooter: before Virtual PC 2004 footers had 511 bytes.
func TestOldFooter(t *testing.T) {
	content := disktest.Text(rand.New(rand.NewPCG(1, 8)), 300032)
	for _, subformat := range []string{"dynamic", "fixed"} {
		image := made(t, content, subformat)
		image = image[:len(image)-1]
		if got, err := read(image); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: reads other content (%v)", subformat, err)
		}
		image[len(image)-500]++
		if _, err := read(image); !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("%s, damaged: %v", subformat, err)
		}
	}
}

// TestOverlap: no block lies where another is, nor where a table is.
func TestOverlap(t *testing.T) {
	image := made(t, disktest.Noise(rand.New(rand.NewPCG(1, 8)), 5<<20), "dynamic")
	be := binary.BigEndian
	table := int(be.Uint64(image[512+16:]))
	first := be.Uint32(image[table:])
	for name, at := range map[string]uint32{
		"another block": be.Uint32(image[table+4:]), "part of another block": first + 17,
		"the header": 1, "the table": uint32(table / 512), "before the table": uint32(table/512) - 1,
	} {
		bad := bytes.Clone(image)
		be.PutUint32(bad[table+8:], at)
		if _, err := read(bad); !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("a block at %s: %v", name, err)
		}
	}
	// Swapped they are in another order, which is nobody's business.
	be.PutUint32(image[table:], be.Uint32(image[table+4:]))
	be.PutUint32(image[table+4:], first)
	if _, err := read(image); err != nil {
		t.Error(err)
	}
}

// TestNotFixed: of a dynamic disk whose footer says that it is fixed the header
// would be content.
func TestNotFixed(t *testing.T) {
	image := made(t, disktest.Noise(rand.New(rand.NewPCG(1, 8)), 2<<20), "dynamic")
	foot := image[len(image)-512:]
	foot[63] = 2
	seal(foot, 64)
	if _, err := read(image); !errors.Is(err, disk.ErrCorrupt) {
		t.Error(err)
	}
}

func TestRefuses(t *testing.T) {
	image := made(t, make([]byte, 4<<20), "dynamic")
	at := func(off int, b ...byte) []byte {
		bad := bytes.Clone(image)
		copy(bad[off:], b)
		return bad
	}
	foot := len(image) - 512
	for name, c := range map[string]struct {
		image []byte
		is    error
	}{
		"footer checksum":   {at(foot+100, 1), disk.ErrCorrupt},
		"header checksum":   {at(512+100, 1), disk.ErrCorrupt},
		"no footer":         {at(foot, 'X'), disk.ErrCorrupt},
		"block outside":     {at(1536, 0x7f, 0, 0, 0), disk.ErrCorrupt},
		"block at 0":        {at(1536, 0, 0, 0, 0), disk.ErrCorrupt},
		"nothing":           {nil, disk.ErrCorrupt},
		"differencing":      {differencing(image), disk.ErrUnsupported},
		"sound, to compare": {image, nil},
	} {
		if _, err := read(c.image); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// differencing is the image with its footer's type changed and checksum right.
func differencing(image []byte) []byte {
	b := bytes.Clone(image)
	foot := b[len(b)-512:]
	foot[63]++ // 3 to 4
	foot[67]-- // the ones' complement of a sum one more
	return b
}

// FuzzOpen: whatever the bytes, opening and reading ends without panic.
func FuzzOpen(f *testing.F) {
	f.Add(made(f, make([]byte, 4096), "dynamic"))
	f.Add(made(f, []byte("fixed"), "fixed"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var img *vhd.Image
		var err error
		disktest.Bounded(t, disktest.Bound, func() { img, err = vhd.Open(bytes.NewReader(b), int64(len(b)), "fuzz") })
		if err != nil {
			return
		}
		at := int64(0)
		for e := range img.Extents(context.Background(), 0, img.Size()) {
			at += e.Length
		}
		if at != img.Size() {
			t.Fatalf("extents end at %d of %d", at, img.Size())
		}
		_, _ = io.Copy(io.Discard, io.NewSectionReader(img, 0, min(img.Size(), 8<<20)))
	})
}

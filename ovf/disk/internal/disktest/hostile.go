package disktest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Bound is what opening an image of 64 KiB and reading its map may allocate in
// all, in bytes, whatever the image says.
const Bound = 16 << 20

// Bounded fails the test where f allocates more than limit bytes in all.
func Bounded(t testing.TB, limit uint64, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > limit {
		t.Errorf("%d bytes are allocated, more than %d", n, limit)
	}
}

// hostileValues are what a field of four or eight bytes may be set to.
var hostileValues = []uint64{0, 1, 0x1f, 0x40, 1 << 16, 1 << 20, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 40, 1 << 47, 1 << 55, 1<<62 + 1, 1<<63 - 1, 1<<64 - 512, 1<<64 - 1}

// Hostile puts extreme values, of four and eight bytes, in either order of
// bytes, into each place of the zones of image, has seal put checksums right,
// and tells whether what disk info does of it ends, soon, without allocating
// more than Bound.
func Hostile(t *testing.T, image []byte, zones [][2]int, seal func(image []byte), open func(r io.ReaderAt, size int64) (disk.Image, error)) {
	t.Helper()
	bad := bytes.Clone(image)
	opened := 0
	for _, zone := range zones {
		for at := zone[0]; at+8 <= min(zone[1], len(image)); at += 4 {
			for _, v := range hostileValues {
				for _, put := range []func([]byte){
					func(b []byte) { binary.LittleEndian.PutUint32(b, uint32(v)) }, func(b []byte) { binary.BigEndian.PutUint32(b, uint32(v)) },
					func(b []byte) { binary.LittleEndian.PutUint64(b, v) }, func(b []byte) { binary.BigEndian.PutUint64(b, v) },
				} {
					put(bad[at:])
					if seal != nil {
						seal(bad)
					}
					if hostile(t, bad, at, v, open) {
						opened++
					}
					for _, z := range zones {
						copy(bad[z[0]:min(z[1], len(bad))], image[z[0]:])
					}
				}
			}
		}
	}
	if opened == 0 {
		t.Error("none of these images opens, so that nothing is shown")
	}
}

func hostile(t *testing.T, image []byte, at int, v uint64, open func(r io.ReaderAt, size int64) (disk.Image, error)) (opened bool) {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	Bounded(t, Bound, func() {
		img, err := open(bytes.NewReader(image), int64(len(image)))
		if err != nil {
			return
		}
		defer img.Close()
		opened = true
		if _, err := disk.Allocated(ctx, img); err == context.DeadlineExceeded {
			t.Errorf("its map takes %v to read", time.Since(start))
		}
		_, _ = img.ReadAt(make([]byte, 1000), max(0, img.Size()-600))
	})
	if t.Failed() {
		t.Fatalf("with %#x at byte %d", v, at)
	}
	return opened
}

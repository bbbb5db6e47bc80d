package disk_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
)

func TestIsZero(t *testing.T) {
	for n := range 200 {
		b := make([]byte, n)
		if !disk.IsZero(b) {
			t.Fatalf("%d zeros", n)
		}
		for i := range b {
			b[i] = 1
			if disk.IsZero(b) {
				t.Fatalf("%d bytes with one at %d", n, i)
			}
			b[i] = 0
		}
	}
}

func TestNonZeroTellsAllData(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 500 {
		off, b := rng.Int64N(20000), make([]byte, rng.IntN(60000))
		for range rng.IntN(6) {
			if len(b) > 0 {
				b[rng.IntN(len(b))] = 1
			}
		}
		got, last := make([]byte, len(b)), off
		err := disk.NonZero(off, b, func(at int64, p []byte) error {
			if at < last || len(p) == 0 || disk.IsZero(p) {
				t.Errorf("a run of %d at %d after %d", len(p), at, last)
			}
			last = at + int64(len(p))
			copy(got[at-off:], p)
			return nil
		})
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%d bytes at %d come out otherwise (%v)", len(b), off, err)
		}
	}
}

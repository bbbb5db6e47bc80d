package grain

import (
	"bytes"
	stdadler "hash/adler32"
	"testing"
)

func TestInflateGrains(t *testing.T) {
	grains := append(madeGrains(), realGrains()...)
	for i, s := range packed(grains) {
		dst := make([]byte, len(grains[i]))
		n, consumed, err := Inflate(dst, s)
		if err != nil || n != len(dst) || consumed != len(s) || !bytes.Equal(dst, grains[i]) {
			t.Fatalf("grain %d: %d of %d bytes, consumed %d of %d, error %v", i, n, len(dst), consumed, len(s), err)
		}
	}
}

func TestChecksum(t *testing.T) {
	ones := bytes.Repeat([]byte{0xff}, 200000)
	for _, data := range append(madeGrains()[:8], nil, ones, ones[:65536], ones[:65537]) {
		for _, n := range []int{0, 1, 127, 128, 129, 255, 256, len(data)} {
			if d := data[:min(n, len(data))]; checksum(d) != stdadler.Checksum(d) {
				t.Fatalf("of %d bytes: %#x, want %#x", len(d), checksum(d), stdadler.Checksum(d))
			}
		}
	}
}

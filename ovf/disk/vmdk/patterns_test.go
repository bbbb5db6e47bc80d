package vmdk_test

import (
	"math/rand/v2"
)

const grainSize = 64 << 10

// patterns are disks that differ in what is easily got wrong.
func patterns() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	text := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = "the quick brown fox jumps over the lazy dog\n"[rng.IntN(5)+i%39]
		}
		return b
	}
	place := func(size int, at ...int) []byte {
		b := make([]byte, size)
		for _, off := range at {
			copy(b[off:], noise(min(512, size-off)))
		}
		return b
	}
	alternating := make([]byte, 40*grainSize)
	for g := 0; g < 40; g += 2 {
		copy(alternating[g*grainSize:], text(grainSize))
	}
	return map[string][]byte{
		"nothing":         {},
		"one sector":      noise(512),
		"empty":           make([]byte, 3<<20),
		"full of noise":   noise(3 << 20),
		"full of text":    text(3 << 20),
		"alternating":     alternating,
		"last partial":    text(5*grainSize + 4096),
		"odd size":        text(1<<20 + 777),
		"odd noise":       noise(2*grainSize + 1),
		"first sector":    place(2<<20, 0),
		"last sector":     place(2<<20+512, 2<<20),
		"first and last":  place(40<<20, 0, 40<<20-512),
		"several tables":  place(100<<20, 0, 33<<20, 34<<20, 99<<20),
		"table boundary":  place(64<<20+512, 32<<20-512, 32<<20, 64<<20),
		"grain boundary":  place(1<<20, grainSize-256, 5*grainSize-1),
		"one byte at end": append(make([]byte, 70000), 1),
	}
}

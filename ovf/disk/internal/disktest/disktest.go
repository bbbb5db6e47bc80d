// Package disktest is what the tests of disk formats share: contents that
// differ in what is easily got wrong, sinks and images in memory, the
// outside oracle and the corpus.
package disktest

import (
	"context"
	"encoding/binary"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Grain is the piece in which Holes are told from data, in bytes.
const Grain = 64 << 10

// Patterns are disk contents by name; SeveralTables, which is as much as all others
// together, is one where CIMIMOVE_SLOW is 1. They are shared: nobody writes to them.
var Patterns = sync.OnceValue(patterns)

// Telling are the patterns that find most, for tests in which each costs a run
// of an outside program; all of them where CIMIMOVE_SLOW is 1.
func Telling() map[string][]byte {
	all := Patterns()
	if os.Getenv("CIMIMOVE_SLOW") == "1" {
		return all
	}
	out := map[string][]byte{}
	for _, name := range []string{"empty", "full of text", "alternating", "last partial", "odd size", "first and last", "last sector", "table boundary"} {
		out[name] = all[name]
	}
	return out
}

func patterns() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	place := func(size int, at ...int) []byte { return placed(rng, size, at...) }
	alternating := make([]byte, 40*Grain)
	for g := 0; g < 40; g += 2 {
		copy(alternating[g*Grain:], Text(rng, Grain))
	}
	out := map[string][]byte{
		"nothing":         {},
		"one sector":      Noise(rng, 512),
		"empty":           make([]byte, 3<<20),
		"full of noise":   Noise(rng, 3<<20),
		"full of text":    Text(rng, 3<<20),
		"alternating":     alternating,
		"last partial":    Text(rng, 5*Grain+4096),
		"odd size":        Text(rng, 1<<20+777),
		"odd noise":       Noise(rng, 2*Grain+1),
		"first sector":    place(2<<20, 0),
		"last sector":     place(2<<20+512, 2<<20),
		"first and last":  place(9<<20, 0, 9<<20-512),
		"table boundary":  place(32<<20+512, 32<<20-512, 32<<20),
		"grain boundary":  place(1<<20, Grain-256, 5*Grain-1),
		"one byte at end": append(make([]byte, 70000), 1),
	}
	if os.Getenv("CIMIMOVE_SLOW") == "1" {
		out["several tables"] = SeveralTables()
	}
	return out
}

// SeveralTables is a disk for which formats need more than one table.
func SeveralTables() []byte {
	return placed(rand.New(rand.NewPCG(3, 4)), 72<<20, 0, 33<<20, 34<<20, 71<<20)
}

// placed is a disk with a sector of noise at each place.
func placed(rng *rand.Rand, size int, at ...int) []byte {
	b := make([]byte, size)
	for _, off := range at {
		copy(b[off:], Noise(rng, min(512, size-off)))
	}
	return b
}

// Noise does not compress.
func Noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rng.Uint64())
	}
	return b[:n:n]
}

// Text compresses to about a third.
func Text(rng *rand.Rand, n int) []byte {
	const source = "the quick brown fox jumps over the lazy dog\n"
	b := make([]byte, n)
	for i := range b {
		b[i] = source[int(rng.Uint32()>>16)*5>>16+i%(len(source)-5)]
	}
	return b
}

// Padded is content as formats that count sectors give it back.
func Padded(content []byte) []byte {
	return append(content[:len(content):len(content)], make([]byte, -len(content)&511)...)
}

// Memory is a sink that keeps the disk. Limit, when set, bounds the size it
// takes.
type Memory struct {
	Limit int64

	mu   sync.Mutex
	Info disk.Info
	Data []byte
}

type tooLarge struct{}

func (tooLarge) Error() string { return "disk too large for memory" }

func (m *Memory) Begin(info disk.Info) error {
	if m.Limit > 0 && info.Size > m.Limit {
		return tooLarge{}
	}
	m.Info, m.Data = info, make([]byte, info.Size)
	return nil
}

func (m *Memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if off < 0 || off > int64(len(m.Data)-len(p)) {
		return 0, io.ErrShortWrite
	}
	return copy(m.Data[off:], p), nil
}

// Discard is a sink that keeps nothing.
type Discard struct{}

func (Discard) Begin(disk.Info) error                    { return nil }
func (Discard) WriteAt(p []byte, off int64) (int, error) { return len(p), nil }

// Holes is Image with those grains of Content that are zero as zero extents,
// but for the ones that Keep names.
type Holes struct {
	disk.Image
	Content []byte
	Keep    func(g int64) bool
}

func (h *Holes) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		for end := off + n; off < end; {
			g := off / Grain
			next := min((g+1)*Grain, end)
			zero := disk.IsZero(h.Content[off:next]) && (h.Keep == nil || !h.Keep(g))
			if !yield(disk.Extent{Offset: off, Length: next - off, Zero: zero}, nil) {
				return
			}
			off = next
		}
	}
}

// Extents fails the test unless img's extents, of all of it and of a part, lie
// one after the other, cover it and are zero only where content is.
func Extents(t testing.TB, img disk.Image, content []byte) {
	t.Helper()
	size := img.Size()
	for _, part := range [][2]int64{{0, size}, {size / 3, size / 2}} {
		at, end := part[0], part[0]+part[1]
		for e, err := range img.Extents(context.Background(), part[0], part[1]) {
			if err != nil || e.Offset != at || e.Length <= 0 || e.Length > end-at {
				t.Fatalf("extent %+v at %d of %d (%v)", e, at, end, err)
			}
			if at += e.Length; e.Zero && !disk.IsZero(content[e.Offset:at]) {
				t.Errorf("extent %+v holds data", e)
			}
		}
		if at != end {
			t.Errorf("extents of %v end at %d", part, at)
		}
	}
}

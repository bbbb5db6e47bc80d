package grain

import (
	"bytes"
	"errors"
	stdadler "hash/adler32"
	"math/rand"
	"testing"
)

func TestInflateGrains(t *testing.T) {
	grains := madeGrains()[:16]
	for i, s := range packed(grains) {
		dst := make([]byte, len(grains[i]))
		n, consumed, err := Inflate(dst, s)
		if err != nil || n != len(dst) || consumed != len(s) || !bytes.Equal(dst, grains[i]) {
			t.Fatalf("grain %d: %d of %d bytes, consumed %d of %d, error %v", i, n, len(dst), consumed, len(s), err)
		}
	}
}

// Streams that break the rules of RFC 1951 one at a time.
func TestInflateErrors(t *testing.T) {
	for _, test := range []struct {
		name string
		src  []byte
		size int
		want error
	}{
		{"nothing", nil, 0, ErrTruncated},
		{"block type 3", []byte{0x07}, 0, ErrCorrupt},
		{"stored, no length", []byte{0x01}, 0, ErrTruncated},
		{"stored, half a length", []byte{0x01, 1, 0, 0xfe}, 1, ErrTruncated},
		{"stored, wrong complement", []byte{0x01, 1, 0, 1, 0, 'x'}, 1, ErrCorrupt},
		{"stored, no data", []byte{0x01, 1, 0, 0xfe, 0xff}, 1, ErrTruncated},
		{"stored, too large", []byte{0x01, 1, 0, 0xfe, 0xff, 'x'}, 0, ErrTooLarge},
		{"stored, not the last", []byte{0x00, 1, 0, 0xfe, 0xff, 'x'}, 1, ErrTruncated},
		{"stored", []byte{0x01, 1, 0, 0xfe, 0xff, 'x'}, 1, nil},
		{"fixed, empty", []byte{0x03, 0}, 0, nil},
		{"fixed, cut", []byte{0x03}, 0, ErrTruncated},
		{"fixed, a literal too many", []byte{0x4b, 0x04, 0x00}, 0, ErrTooLarge},
		{"fixed, a literal", []byte{0x4b, 0x04, 0x00}, 1, nil},
		{"fixed, distance before the start", []byte{0x03, 0x02, 0x00, 0, 0}, 100, ErrCorrupt},
		{"dynamic, too many distances", []byte{0x05, 0x1f, 0, 0}, 0, ErrCorrupt},
		{"dynamic, too many lengths", []byte{0xf5, 0x00, 0, 0}, 0, ErrCorrupt},
		{"dynamic, cut", []byte{0x05, 0x00}, 0, ErrTruncated},
		{"dynamic, no code", make([]byte, 100), 0, ErrCorrupt},
	} {
		if test.name == "dynamic, no code" {
			test.src[0] = 0x05
		}
		_, consumed, err := Inflate(make([]byte, test.size), test.src)
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Offset < 0 || e.Offset > len(test.src)) || consumed > len(test.src) {
			t.Errorf("%s: error %#v, consumed %d of %d", test.name, err, consumed, len(test.src))
		}
	}
}

// A stream cut anywhere is truncated; it never inflates whole.
func TestInflateTruncated(t *testing.T) {
	for _, level := range []int{LevelStored, 1, LevelBest} {
		g := madeGrain(9, 9000)
		stream := NewEncoder(level).AppendZlib(nil, g)
		dst := make([]byte, len(g))
		for cut := range len(stream) {
			if _, consumed, err := InflateZlib(dst, stream[:cut:cut]); !errors.Is(err, ErrTruncated) || consumed > cut {
				t.Fatalf("level %d, %d of %d bytes: consumed %d, error %v", level, cut, len(stream), consumed, err)
			}
		}
		for size := range len(g) {
			if size%97 > 2 && size < len(g)-400 {
				continue
			}
			if n, _, err := InflateZlib(dst[:size], stream); !errors.Is(err, ErrTooLarge) || n > size {
				t.Fatalf("level %d, into %d of %d bytes: wrote %d, error %v", level, size, len(g), n, err)
			}
		}
	}
}

// Damage anywhere is found, by the checksum at the latest, and stays within
// bounds.
func TestInflateDamaged(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	g := madeGrain(10, 20000)
	stream := NewEncoder(LevelDefault).AppendZlib(nil, g)
	guarded := make([]byte, len(g)+64)
	for range 4000 {
		bad := bytes.Clone(stream)
		for range 1 + r.Intn(3) {
			bad[r.Intn(len(bad))] ^= 1 << r.Intn(8)
		}
		if bytes.Equal(bad, stream) {
			continue
		}
		clear(guarded)
		n, consumed, err := InflateZlib(guarded[:len(g)], bad)
		if !bytes.Equal(guarded[len(g):], make([]byte, 64)) || n > len(g) || consumed > len(bad) {
			t.Fatalf("wrote %d of %d, consumed %d of %d", n, len(g), consumed, len(bad))
		}
		if err == nil && !bytes.Equal(guarded[:n], g) {
			t.Fatal("damage was not found")
		}
	}
}

func TestInflateZlibErrors(t *testing.T) {
	good := NewEncoder(1).AppendZlib(nil, []byte("content"))
	for name, test := range map[string]struct {
		change func([]byte)
		want   error
	}{
		"method":     {func(b []byte) { b[0], b[1] = 0x77, 0x1f-0x7700%0x1f }, ErrCorrupt},
		"window":     {func(b []byte) { b[0], b[1] = 0x88, 0x1f-0x8800%0x1f }, ErrCorrupt},
		"check":      {func(b []byte) { b[1]++ }, ErrCorrupt},
		"dictionary": {func(b []byte) { b[1] = 0x20 + 0x1f - 0x7820%0x1f }, ErrCorrupt},
		"checksum":   {func(b []byte) { b[len(b)-1]++ }, ErrCorrupt},
		"nothing":    {func(b []byte) {}, nil},
	} {
		bad := bytes.Clone(good)
		test.change(bad)
		if _, _, err := InflateZlib(make([]byte, 7), bad); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
	}
}

// TestAdler32: whatever the length and the place in memory, with vectors and
// without, the checksum is the standard library's.
func TestAdler32(t *testing.T) {
	if !adlerVector {
		t.Log("no instructions for vectors: only whole words are tested")
	}
	ones := bytes.Repeat([]byte{0xff}, 200000)
	for _, data := range append(madeGrains()[:8:8], nil, ones, ones[:65536], ones[:65537]) {
		lengths := []int{adlerRun - 1, adlerRun, adlerRun + 1, len(data)}
		for n := range 300 {
			lengths = append(lengths, n)
		}
		for _, n := range lengths {
			for _, from := range []int{0, 1, 31} {
				d := data[min(from, len(data)):]
				d = d[:min(n, len(d))]
				want := stdadler.Checksum(d)
				if got := adler32(d, false); got != want {
					t.Fatalf("of %d bytes: %#x, want %#x", len(d), got, want)
				}
				if got := Adler32(d); got != want {
					t.Fatalf("of %d bytes, the fastest way: %#x, want %#x", len(d), got, want)
				}
			}
		}
	}
}

package grain

import (
	"bytes"
	stdflate "compress/flate"
	stdzlib "compress/zlib"
	"fmt"
	"io"
	"math/rand"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

// checkStream checks that three inflaters make src of stream.
func checkStream(t *testing.T, what string, src, stream []byte) {
	t.Helper()
	got, err := io.ReadAll(stdflate.NewReader(bytes.NewReader(stream)))
	if err != nil || !bytes.Equal(got, src) {
		t.Fatalf("%s: compress/flate inflates %d bytes to %d of %d, error %v", what, len(stream), len(got), len(src), err)
	}
	got, err = io.ReadAll(flate.NewReader(bytes.NewReader(stream)))
	if err != nil || !bytes.Equal(got, src) {
		t.Fatalf("%s: klauspost's inflates %d bytes to %d of %d, error %v", what, len(stream), len(got), len(src), err)
	}
	dst := make([]byte, len(src))
	n, consumed, err := Inflate(dst, stream)
	if err != nil || n != len(src) || consumed != len(stream) || !bytes.Equal(dst, src) {
		t.Fatalf("%s: %d bytes inflate to %d of %d, consumed %d, error %v", what, len(stream), n, len(src), consumed, err)
	}
	if len(stream) > StoredSize(len(src)) {
		t.Fatalf("%s: %d bytes for %d, stored takes %d", what, len(stream), len(src), StoredSize(len(src)))
	}
}

// patterns are inputs with something about them.
func patterns() map[string][]byte {
	p := map[string][]byte{}
	noise := make([]byte, 150000)
	rand.New(rand.NewSource(1)).Read(noise)
	for _, n := range []int{0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 255, 256, 257, 258, 259, 4095, 65535, 65536, 65537, 131072, 150000} {
		p[fmt.Sprintf("noise %d", n)] = noise[:n]
		p[fmt.Sprintf("zeros %d", n)] = make([]byte, n)
		p[fmt.Sprintf("text %d", n)] = madeGrain(8, n)
		p[fmt.Sprintf("code %d", n)] = madeGrain(11, n)
	}
	for _, period := range []int{2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 31, 33, 100, 258, 259, 4096, 32767, 32768, 32769} {
		p[fmt.Sprintf("period %d", period)] = bytes.Repeat(noise[:period], 140000/period+1)[:140000]
	}
	all := make([]byte, 0, 65536)
	for i := range 65536 {
		all = append(all, byte(i>>8), byte(i))
	}
	p["counter"] = all
	// Fibonacci frequencies want codewords longer than there are.
	var skewed []byte
	for i, a, b := 0, 1, 1; i < 22; i, a, b = i+1, b, a+b {
		skewed = append(skewed, bytes.Repeat([]byte{byte(i)}, a)...)
	}
	rand.New(rand.NewSource(2)).Shuffle(len(skewed), func(i, j int) { skewed[i], skewed[j] = skewed[j], skewed[i] })
	p["fibonacci"] = skewed
	p["cluster"] = bytes.Repeat(madeGrain(3, 300000), 7)[:2<<20]
	return p
}

func TestDeflate(t *testing.T) {
	grains := madeGrains()[:16]
	inputs := patterns()
	for level := LevelStored; level <= LevelBest; level++ {
		e := NewEncoder(level)
		for i, g := range grains {
			checkStream(t, fmt.Sprintf("level %d, grain %d", level, i), g, e.Deflate(nil, g))
		}
		for name, src := range inputs {
			if len(src) > 1<<20 && level > LevelDefault {
				continue
			}
			checkStream(t, fmt.Sprintf("level %d, %s", level, name), src, e.Deflate(nil, src))
		}
	}
}

// Every match length at every kind of distance, found by the search or not.
func TestDeflateMatches(t *testing.T) {
	ovftest.Slow(t)
	noise := make([]byte, 40000)
	rand.New(rand.NewSource(3)).Read(noise)
	for _, level := range []int{1, LevelDefault, LevelBest} {
		e := NewEncoder(level)
		for length := minMatch; length <= maxMatch+1; length++ {
			for _, distance := range []int{258, 259, 1024, 4095, 4096, 4097, 24577, 32767, 32768, 32769} {
				if (length+distance)%7 != 0 && length != maxMatch && distance < maxDistance-1 {
					continue
				}
				src := append(noise[:distance:distance], noise[:length]...)
				src = append(src, noise[35000:35020]...)
				checkStream(t, fmt.Sprintf("level %d, length %d, distance %d", level, length, distance), src, e.Deflate(nil, src))
			}
		}
	}
}

// Random mixtures of literals and repeats, and dst that is appended to.
func TestDeflateProperty(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	var encoders []*Encoder
	for level := LevelStored; level <= LevelBest; level++ {
		encoders = append(encoders, NewEncoder(level))
	}
	for i := range 150 {
		alphabet, most := 1+r.Intn(256), 1+r.Intn(300)
		var src []byte
		for size := r.Intn(100000); len(src) < size; {
			if len(src) == 0 || r.Intn(3) == 0 {
				for range 1 + r.Intn(most) {
					src = append(src, byte(r.Intn(alphabet)))
				}
				continue
			}
			from := len(src) - 1 - r.Intn(min(len(src), 1+r.Intn(70000)))
			for j := range 1 + r.Intn(most) {
				src = append(src, src[from+j])
			}
		}
		level := i % len(encoders)
		prefix := []byte("before")
		stream := encoders[level].Deflate(prefix, src)
		if !bytes.HasPrefix(stream, prefix) {
			t.Fatalf("input %d, level %d: what was in dst is gone", i, level)
		}
		checkStream(t, fmt.Sprintf("input %d, level %d", i, level), src, stream[len(prefix):])
	}
}

func TestZlib(t *testing.T) {
	for level := LevelStored; level <= LevelBest; level++ {
		e := NewEncoder(level)
		for _, src := range [][]byte{nil, []byte("x"), madeGrain(1, grainSize), make([]byte, grainSize)} {
			stream := e.AppendZlib(nil, src)
			r, err := stdzlib.NewReader(bytes.NewReader(stream))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, src) {
				t.Fatalf("level %d: compress/zlib inflates %d bytes of %d, error %v", level, len(got), len(src), err)
			}
			dst := make([]byte, len(src))
			padded := append(stream, 0, 0, 0)
			if n, consumed, err := InflateZlib(dst, padded); err != nil || n != len(src) || consumed != len(stream) || !bytes.Equal(dst, src) {
				t.Fatalf("level %d: %d bytes of %d, consumed %d of %d, error %v", level, n, len(src), consumed, len(stream), err)
			}
			if len(stream) > StoredZlibSize(len(src)) || level == LevelStored && len(stream) != StoredZlibSize(len(src)) {
				t.Fatalf("level %d: %d bytes for %d", level, len(stream), len(src))
			}
		}
	}
}

func TestStoredSizes(t *testing.T) {
	for n, want := range map[int]int{0: 5, 1: 6, 65535: 65540, 65536: 65546, 131070: 131080, 131071: 131086} {
		if got := len(Stored(nil, make([]byte, n))); got != want || StoredSize(n) != want {
			t.Errorf("%d bytes stored take %d, StoredSize says %d, want %d", n, got, StoredSize(n), want)
		}
	}
	if got := StoredZlibSize(grainSize); got != 65552 {
		t.Errorf("a stored grain takes %d bytes in zlib format, want 65552", got)
	}
}

// What an encoder compressed before must not show.
func TestDeflateReproducible(t *testing.T) {
	for level := LevelStored; level <= LevelBest; level++ {
		used := NewEncoder(level)
		for _, g := range madeGrains()[:8] {
			if !bytes.Equal(used.Deflate(nil, g), NewEncoder(level).Deflate(nil, g)) {
				t.Fatalf("level %d: a used encoder and a new one differ", level)
			}
		}
	}
}

// The levels are in order of size, and the default within 5 % of what
// compress/flate, which does as zlib does, makes at level 6.
func TestLevels(t *testing.T) {
	grains := madeGrains()[:24]
	zlib := sizeOf(packed(grains))
	previous := 1 << 30
	for level := LevelStored; level <= LevelBest; level++ {
		e, size := NewEncoder(level), 0
		for _, g := range grains {
			size += len(e.Deflate(nil, g))
		}
		if float64(size) > 1.005*float64(previous) {
			t.Errorf("level %d takes %d bytes, level %d %d", level, size, level-1, previous)
		}
		if level == LevelDefault && float64(size) > 1.05*float64(zlib) {
			t.Errorf("default level takes %d bytes, zlib %d", size, zlib)
		}
		previous = size
	}
}

func TestDeflateAllocates(t *testing.T) {
	g := madeGrains()[0]
	e := NewEncoder(LevelDefault)
	dst := e.Deflate(nil, g)
	out := make([]byte, len(g))
	if n := testing.AllocsPerRun(10, func() {
		dst = e.Deflate(dst[:0], g)
		Inflate(out, dst)
	}); n != 0 {
		t.Errorf("%v allocations a grain", n)
	}
}

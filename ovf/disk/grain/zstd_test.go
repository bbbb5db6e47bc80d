package grain

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand"
	"os/exec"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func newZstdReader(t testing.TB) *zstd.Decoder {
	t.Helper()
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// checkFrame checks that klauspost's decoder makes src of frame, which says
// how much it is and is not longer than promised.
func checkFrame(t *testing.T, d *zstd.Decoder, what string, src, frame []byte) {
	t.Helper()
	var h zstd.Header
	if err := h.Decode(frame); err != nil || !h.HasFCS || h.FrameContentSize != uint64(len(src)) {
		t.Fatalf("%s: the header says %d bytes of %d, error %v", what, h.FrameContentSize, len(src), err)
	}
	got, err := d.DecodeAll(frame, nil)
	if err != nil || !bytes.Equal(got, src) {
		t.Fatalf("%s: klauspost's decodes %d bytes to %d of %d, error %v", what, len(frame), len(got), len(src), err)
	}
	if len(frame) > ZstdSize(len(src)) {
		t.Fatalf("%s: %d bytes for %d, raw takes %d", what, len(frame), len(src), ZstdSize(len(src)))
	}
}

// zstdInputs are patterns, every small size of some, and random mixtures.
func zstdInputs() map[string][]byte {
	inputs := patterns()
	for n := range 300 {
		inputs[fmt.Sprintf("text of %d", n)] = madeGrain(8, n)
		inputs[fmt.Sprintf("two symbols of %d", n)] = bytes.Repeat([]byte{0, 0, 1}, n)[:n]
	}
	r := rand.New(rand.NewSource(5))
	for i := range 200 {
		inputs[fmt.Sprintf("mixture %d", i)] = mixture(r, r.Intn(130000))
	}
	return inputs
}

// mixture is about size bytes of literals from an alphabet and repeats of what
// came before.
func mixture(r *rand.Rand, size int) []byte {
	alphabet, most, back := 1+r.Intn(256), 1+r.Intn(300), 1+r.Intn(70000)
	src := make([]byte, 0, size+most)
	for len(src) < size {
		if len(src) == 0 || r.Intn(3) == 0 {
			for range 1 + r.Intn(most) {
				src = append(src, byte(r.Intn(alphabet)))
			}
			continue
		}
		from := len(src) - 1 - r.Intn(min(len(src), back))
		for j := range 1 + r.Intn(most) {
			src = append(src, src[from+j])
		}
	}
	return src
}

func TestZstd(t *testing.T) {
	d, e := newZstdReader(t), NewZstdEncoder()
	for i, g := range madeGrains() {
		checkFrame(t, d, fmt.Sprintf("grain %d", i), g, e.Append(nil, g))
	}
	for name, src := range zstdInputs() {
		checkFrame(t, d, name, src, e.Append(nil, src))
	}
}

// What the encoder compressed before changes nothing, and what is in dst stays.
func TestZstdAppends(t *testing.T) {
	e := NewZstdEncoder()
	for name, src := range patterns() {
		want := NewZstdEncoder().Append(nil, src)
		got := e.Append([]byte("before"), src)
		if !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("%s: another frame", name)
		}
	}
}

// Every match length at every kind of distance, after as many literals.
func TestZstdMatches(t *testing.T) {
	d, e := newZstdReader(t), NewZstdEncoder()
	noise := make([]byte, 140000)
	rand.New(rand.NewSource(3)).Read(noise)
	lengths := []int{4, 5, 7, 8, 9, 15, 16, 17, 34, 35, 36, 37, 66, 67, 98, 99, 130, 131, 132, 258, 259, 1026, 1027, 4099, 30000, 32770, 32771, 65000}
	for _, length := range lengths {
		for _, distance := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 1021, 4093, 32765, 32768, 65534, 65535, 65536, 65537} {
			for _, literals := range []int{0, 1, 15, 16, 17, 18, 24, 47, 48, 63, 64, 65, 127, 128, 1000} {
				if (length+distance+literals)%7 != 0 && length < 65000 && literals > 0 {
					continue
				}
				src := append([]byte{}, noise[:distance+literals]...)
				for range length {
					src = append(src, src[len(src)-distance])
				}
				for range 2 { // the same distance again, with and without literals before
					src = append(src, noise[100000:100000+literals]...)
					for range min(length, 300) {
						src = append(src, src[len(src)-distance])
					}
				}
				checkFrame(t, d, fmt.Sprintf("length %d, distance %d, literals %d", length, distance, literals), src, e.Append(nil, src))
			}
		}
	}
}

// zstdForm is how a frame's first block is written.
type zstdForm struct {
	block, literals, sizes int // types, size format
	sequences              int
	litLen, offset, match  int // table modes, 0 without sequences
}

func formOf(t *testing.T, frame []byte) (f zstdForm) {
	t.Helper()
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		t.Fatal(err)
	}
	b := frame[h.HeaderSize:]
	f.block = int(b[0] >> 1 & 3)
	if f.block != zstdCompressed {
		return f
	}
	b = b[zstdBlockHeader:]
	f.literals, f.sizes = int(b[0]&3), int(b[0]>>2&3)
	var head [8]byte
	copy(head[:], b)
	v := binary.LittleEndian.Uint64(head[:])
	switch {
	case f.literals == literalsCompressed:
		n := []int{10, 10, 14, 18}[f.sizes]
		b = b[[]int{3, 3, 4, 5}[f.sizes]+int(v>>(4+n)&(1<<n-1)):]
	default:
		n, size := 1, int(v>>3&31)
		if f.sizes == 1 {
			n, size = 2, int(v>>4&(1<<12-1))
		} else if f.sizes == 3 {
			n, size = 3, int(v>>4&(1<<20-1))
		}
		if f.literals == literalsRLE {
			size = 1
		}
		b = b[n+size:]
	}
	f.sequences = int(b[0])
	b = b[1:]
	if f.sequences >= 128 {
		f.sequences = (f.sequences-128)<<8 | int(b[0])
		b = b[1:]
	}
	if f.sequences > 0 {
		f.litLen, f.offset, f.match = int(b[0]>>6), int(b[0]>>4&3), int(b[0]>>2&3)
	}
	return f
}

// Each form of a block is written where it is meant to be.
func TestZstdForms(t *testing.T) {
	noise := make([]byte, grainSize)
	r := rand.New(rand.NewSource(6))
	r.Read(noise)
	skewed := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.ExpFloat64() * 6)
		}
		return b
	}
	// Something new before the same each time: matches of one length.
	var regular []byte
	for i := range 100 {
		regular = append(regular, byte(i), byte(i+100), byte(255-i), byte(3*i))
		regular = append(regular, "regularly"...)
	}
	d, e := newZstdReader(t), NewZstdEncoder()
	for name, c := range map[string]struct {
		src  []byte
		want func(f zstdForm) bool
	}{
		"noise":                {noise, func(f zstdForm) bool { return f.block == zstdRaw }},
		"nothing":              {nil, func(f zstdForm) bool { return f.block == zstdRaw }},
		"zeros":                {make([]byte, grainSize), func(f zstdForm) bool { return f.literals == literalsRLE && f.sequences == 1 && f.litLen == 0 }},
		"no sequences":         {skewed(2000), func(f zstdForm) bool { return f.literals == literalsCompressed && f.sizes == 2 && f.sequences < 8 }},
		"one stream":           {skewed(200), func(f zstdForm) bool { return f.literals == literalsCompressed && f.sizes == 0 && f.sequences == 0 }},
		"four streams":         {skewed(600), func(f zstdForm) bool { return f.literals == literalsCompressed && f.sizes == 1 }},
		"many literals":        {skewed(50000), func(f zstdForm) bool { return f.literals == literalsCompressed && f.sizes == 3 }},
		"raw literals":         {append(noise[:20000:20000], noise[:20000]...), func(f zstdForm) bool { return f.literals == literalsRaw && f.sizes == 3 && f.sequences == 1 }},
		"raw literals, middle": {append(noise[:3000:3000], noise[:3000]...), func(f zstdForm) bool { return f.literals == literalsRaw && f.sizes == 1 && f.sequences == 1 }},
		"raw literals, few":    {append(noise[:24:24], bytes.Repeat(noise[:24], 9)...), func(f zstdForm) bool { return f.literals == literalsRaw && f.sizes == 0 && f.sequences == 1 }},
		"repeated table": {regular, func(f zstdForm) bool {
			return f.sequences > 90 && f.sequences < 128 && f.match == tableRLE
		}},
		"described tables": {madeGrain(8, grainSize), func(f zstdForm) bool { return f.sequences > 127 && f.litLen == 2 && f.offset == 2 && f.match == 2 }},
	} {
		frame := e.Append(nil, c.src)
		checkFrame(t, d, name, c.src, frame)
		if f := formOf(t, frame); !c.want(f) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestZstdProgram has the reference implementation decode all inputs, one
// frame after the other.
func TestZstdProgram(t *testing.T) {
	ovftest.Slow(t)
	program := disktest.Tool(t, "zstd")
	e := NewZstdEncoder()
	var frames, want []byte
	for _, src := range zstdInputs() {
		frames = e.Append(frames, src)
		want = append(want, src...)
	}
	for _, src := range madeGrains() {
		frames = e.Append(frames, src)
		want = append(want, src...)
	}
	cmd := exec.Command(program, "-dcq")
	cmd.Stdin = bytes.NewReader(frames)
	got, err := cmd.Output()
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("zstd decodes to %d bytes of %d, error %v", len(got), len(want), err)
	}
}

// Frames are smaller than those of klauspost's fastest level.
func TestZstdSize(t *testing.T) {
	k, err := zstd.NewWriter(io.Discard, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	e := NewZstdEncoder()
	ours, theirs := 0, 0
	for _, g := range madeGrains() {
		ours += len(e.Append(nil, g))
		theirs += len(k.EncodeAll(g, nil))
	}
	if ours > theirs {
		t.Errorf("%d bytes, klauspost's fastest has %d", ours, theirs)
	}
}

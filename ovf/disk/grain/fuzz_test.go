package grain

import (
	"bytes"
	stdflate "compress/flate"
	"encoding/binary"
	"errors"
	stdadler "hash/adler32"
	"io"
	"testing"
)

// FuzzInflate compares with compress/flate: the same streams are accepted,
// and what fits inflates to the same bytes.
func FuzzInflate(f *testing.F) {
	for level := LevelStored; level <= LevelBest; level++ {
		for _, g := range [][]byte{nil, []byte("a"), []byte("banana banana banana"), madeGrain(int64(level), 3000)} {
			f.Add(NewEncoder(level).Deflate(nil, g), uint16(len(g)))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, size uint16) {
		source := bytes.NewReader(src)
		want, wantErr := io.ReadAll(io.LimitReader(stdflate.NewReader(source), 1<<16+1))
		dst := bytes.Repeat([]byte{0xa5}, int(size)+32)
		n, consumed, err := Inflate(dst[:size:size], src)
		if !bytes.Equal(dst[size:], bytes.Repeat([]byte{0xa5}, 32)) {
			t.Fatal("wrote past the destination")
		}
		if n > int(size) || consumed > len(src) {
			t.Fatalf("wrote %d of %d, consumed %d of %d", n, size, consumed, len(src))
		}
		switch {
		case err == nil:
			if wantErr != nil || !bytes.Equal(dst[:n], want) {
				t.Fatalf("inflated %d bytes, compress/flate %d and error %v", n, len(want), wantErr)
			}
			if got := len(src) - source.Len(); got != consumed {
				t.Fatalf("consumed %d, compress/flate %d", consumed, got)
			}
		case errors.Is(err, ErrTooLarge):
			if len(want) <= int(size) && wantErr == nil {
				t.Fatalf("too large for %d, compress/flate has %d bytes", size, len(want))
			}
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrTruncated):
			if wantErr == nil && len(want) <= int(size) {
				t.Fatalf("%v, compress/flate has %d bytes", err, len(want))
			}
			if !bytes.HasPrefix(dst[:n], want[:min(n, len(want))]) {
				t.Fatalf("%v, and bytes before it differ", err)
			}
		default:
			t.Fatalf("error of no kind: %v", err)
		}
	})
}

// FuzzRoundTrip compresses at a level, and inflates with both inflaters. One
// encoder is used throughout, and must give what a new one gives.
func FuzzRoundTrip(f *testing.F) {
	for level := range byte(LevelBest + 1) {
		f.Add(madeGrain(int64(level), 5000), level, uint16(0))
		f.Add([]byte("abcabcabcd"), level, uint16(9000))
	}
	encoders := make([]*Encoder, LevelBest+1)
	f.Fuzz(func(t *testing.T, src []byte, level byte, repeat uint16) {
		// Repeats make long inputs, and far matches, of short ones.
		for n := int(repeat); n > 0 && len(src) > 0 && len(src) < 200000; n -= len(src) {
			src = append(src, src[:min(n, len(src))]...)
		}
		level %= LevelBest + 1
		if encoders[level] == nil {
			encoders[level] = NewEncoder(int(level))
		}
		stream := encoders[level].Deflate(nil, src)
		checkStream(t, "", src, stream)
		if !bytes.Equal(stream, NewEncoder(int(level)).Deflate(nil, src)) {
			t.Fatal("output depends on what was compressed before")
		}
	})
}

// FuzzZstd compresses into a frame, and decodes it with klauspost's decoder.
// One encoder is used throughout, and must give what a new one gives.
func FuzzZstd(f *testing.F) {
	for seed := range int64(8) {
		f.Add(madeGrain(seed, 5000), uint32(0))
	}
	f.Add([]byte("abcabcabcd"), uint32(9000))
	f.Add([]byte{0}, uint32(65536))
	d, e := newZstdReader(f), NewZstdEncoder()
	f.Fuzz(func(t *testing.T, src []byte, repeat uint32) {
		for n := int(repeat % 200000); n > 0 && len(src) > 0 && len(src) < 200000; n -= len(src) {
			src = append(src, src[:min(n, len(src))]...)
		}
		frame := e.Append(nil, src)
		checkFrame(t, d, "", src, frame)
		if !bytes.Equal(frame, NewZstdEncoder().Append(nil, src)) {
			t.Fatal("output depends on what was compressed before")
		}
	})
}

// FuzzAdler32 compares with hash/adler32.
func FuzzAdler32(f *testing.F) {
	for _, n := range []int{0, 1, 31, 32, 33, 127, 128, 129, 5552} {
		f.Add(bytes.Repeat([]byte{0xff}, n), uint8(n))
	}
	f.Fuzz(func(t *testing.T, data []byte, times uint8) {
		data = bytes.Repeat(data, 1+int(times))
		want := stdadler.Checksum(data)
		if a, b := Adler32(data), adler32(data, false); a != want || b != want {
			t.Fatalf("of %d bytes: %#x and, by words, %#x, want %#x", len(data), a, b, want)
		}
	})
}

// FuzzInflateStored compares with InflateZlib: what it takes inflates to the
// same, and it takes whatever is stored blocks alone.
func FuzzInflateStored(f *testing.F) {
	for _, n := range []int{0, 1, 3000, 65535, 65536, 70000} {
		f.Add(NewEncoder(LevelStored).AppendZlib(nil, madeGrain(1, n)), uint32(n))
	}
	f.Add(NewEncoder(LevelDefault).AppendZlib(nil, []byte("banana banana")), uint32(13))
	half := func(final byte, b string) []byte {
		return append([]byte{final, byte(len(b)), 0, ^byte(len(b)), 0xff}, b...)
	}
	two := append(append([]byte{0x78, 0x01}, half(0, "ban")...), half(1, "ana")...)
	f.Add(binary.BigEndian.AppendUint32(two, stdadler.Checksum([]byte("banana"))), uint32(6))
	f.Fuzz(func(t *testing.T, src []byte, size uint32) {
		size %= 1 << 17
		a, b := bytes.Repeat([]byte{0xa5}, int(size)+32), make([]byte, size)
		n, ok := InflateStored(a[:size], src)
		if !bytes.Equal(a[size:], bytes.Repeat([]byte{0xa5}, 32)) {
			t.Fatal("wrote past the destination")
		}
		want, _, err := InflateZlib(b, src)
		switch {
		case ok && (err != nil || n != want || !bytes.Equal(a[:n], b[:n])):
			t.Fatalf("inflated %d bytes, InflateZlib %d and error %v", n, want, err)
		case ok != (err == nil) && IsStored(src):
			at, final := zlibHeader, false
			for !final {
				length, last, stored := storedBlock(src[at:])
				if !stored {
					return // not stored blocks alone
				}
				at, final = at+storedHeader+length, last
			}
			t.Fatalf("stored blocks alone are not taken: InflateZlib has %d bytes", want)
		case ok && !IsStored(src):
			t.Fatal("taken, and it does not look stored")
		}
	})
}

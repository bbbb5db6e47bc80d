package grain

import (
	"bytes"
	stdflate "compress/flate"
	"fmt"
	stdadler "hash/adler32"
	"io"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// onGrains runs bench over real grains, where /usr is there to take them from,
// and over generated ones.
func onGrains(b *testing.B, bench func(b *testing.B, grains [][]byte)) {
	b.Run("real", func(b *testing.B) {
		grains := realGrains()
		if grains == nil {
			b.Skip("no /usr large enough to take grains from")
		}
		bench(b, grains)
	})
	b.Run("made", func(b *testing.B) { bench(b, madeGrains()) })
}

func sizeOf(grains [][]byte) (n int) {
	for _, g := range grains {
		n += len(g)
	}
	return n
}

// packed is each grain as zlib level 6 packs it, without header and trailer.
func packed(grains [][]byte) (out [][]byte) {
	for _, g := range grains {
		var b bytes.Buffer
		w, _ := stdflate.NewWriter(&b, 6)
		w.Write(g)
		w.Close()
		out = append(out, b.Bytes())
	}
	return out
}

func BenchmarkInflate(b *testing.B) {
	onGrains(b, func(b *testing.B, grains [][]byte) {
		streams := packed(grains)
		dst := make([]byte, grainSize)
		each := func(b *testing.B, inflate func(src []byte) error) {
			b.SetBytes(int64(sizeOf(grains)))
			for b.Loop() {
				for _, s := range streams {
					if err := inflate(s); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		b.Run("grain", func(b *testing.B) {
			each(b, func(src []byte) error {
				_, _, err := Inflate(dst, src)
				return err
			})
		})
		b.Run("klauspost", func(b *testing.B) {
			r := flate.NewReader(nil)
			each(b, func(src []byte) error {
				r.(flate.Resetter).Reset(bytes.NewReader(src), nil)
				_, err := io.ReadFull(r, dst)
				return err
			})
		})
		b.Run("std", func(b *testing.B) {
			r := stdflate.NewReader(nil)
			each(b, func(src []byte) error {
				r.(stdflate.Resetter).Reset(bytes.NewReader(src), nil)
				_, err := io.ReadFull(r, dst)
				return err
			})
		})
	})
}

func BenchmarkAdler32(b *testing.B) {
	g := madeGrains()[0]
	b.Run("grain", func(b *testing.B) {
		b.SetBytes(int64(len(g)))
		for b.Loop() {
			Adler32(g)
		}
	})
	b.Run("words", func(b *testing.B) {
		b.SetBytes(int64(len(g)))
		for b.Loop() {
			adler32(g, false)
		}
	})
	b.Run("std", func(b *testing.B) {
		b.SetBytes(int64(len(g)))
		for b.Loop() {
			stdadler.Checksum(g)
		}
	})
}

// ratio reports the size of what compress appends for each grain, in percent.
func ratio(b *testing.B, grains [][]byte, compress func(dst, src []byte) []byte) {
	b.SetBytes(int64(sizeOf(grains)))
	var dst []byte
	size := 0
	for b.Loop() {
		size = 0
		for _, g := range grains {
			dst = compress(dst[:0], g)
			size += len(dst)
		}
	}
	b.ReportMetric(100*float64(size)/float64(sizeOf(grains)), "%size")
}

type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

func BenchmarkDeflate(b *testing.B) {
	onGrains(b, func(b *testing.B, grains [][]byte) {
		for level := LevelFastest; level <= LevelBest; level++ {
			b.Run(fmt.Sprintf("grain-%d", level), func(b *testing.B) {
				ratio(b, grains, NewEncoder(level).Deflate)
			})
		}
		streaming := func(w resetWriter) func(dst, src []byte) []byte {
			var buf bytes.Buffer
			return func(dst, src []byte) []byte {
				buf.Reset()
				w.Reset(&buf)
				w.Write(src)
				w.Close()
				return append(dst, buf.Bytes()...)
			}
		}
		for _, level := range []int{1, 2, 3, 5, 6} {
			b.Run(fmt.Sprintf("klauspost-%d", level), func(b *testing.B) {
				w, _ := flate.NewWriter(nil, level)
				ratio(b, grains, streaming(w))
			})
		}
		for _, level := range []int{1, 6} {
			b.Run(fmt.Sprintf("std-%d", level), func(b *testing.B) {
				w, _ := stdflate.NewWriter(nil, level)
				ratio(b, grains, streaming(w))
			})
		}
	})
}

func BenchmarkZstd(b *testing.B) {
	onGrains(b, func(b *testing.B, grains [][]byte) {
		b.Run("grain", func(b *testing.B) { ratio(b, grains, NewZstdEncoder().Append) })
		for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault} {
			b.Run("klauspost-"+level.String(), func(b *testing.B) {
				w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
				if err != nil {
					b.Fatal(err)
				}
				ratio(b, grains, func(dst, src []byte) []byte { return w.EncodeAll(src, dst) })
			})
		}
	})
}

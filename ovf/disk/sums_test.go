package disk

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// scrambled is an image whose blocks take their time, of which some are zero
// and one, where it is not negative, cannot be read.
type scrambled struct {
	blocks, broken int64
}

var errBroken = errors.New("broken")

func (s scrambled) content(i int64, p []byte) {
	clear(p)
	if i%3 != 1 {
		p[i%BlockSize] = byte(i) + 1
	}
}

func (s scrambled) ReadAt(p []byte, off int64) (int, error) {
	i := off / BlockSize
	if rand.IntN(8) == 0 {
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	}
	if i == s.broken {
		return 0, errBroken
	}
	if int64(len(p)) > s.Size()-off {
		return 0, io.ErrUnexpectedEOF
	}
	s.content(i, p)
	return len(p), nil
}

func (s scrambled) Close() error { return nil }
func (s scrambled) Size() int64  { return s.blocks*BlockSize - 100 }
func (s scrambled) Info() Info   { return Info{Size: s.Size()} }
func (s scrambled) Extents(_ context.Context, off, n int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) { yield(Extent{Offset: off, Length: n}, nil) }
}

type nowhereAt struct{}

func (nowhereAt) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// TestSumsEnd: whatever the order in which blocks are done, however few there
// are, and when one fails or the work is cancelled, digesting ends, with the
// digest or the error.
func TestSumsEnd(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4)) // as many workers
	for blocks := int64(1); blocks < 90; blocks += 1 + blocks/4 {
		s := scrambled{blocks: blocks, broken: -1}
		d := NewDigester(s.Size(), nil)
		for i := range blocks {
			p := make([]byte, min(BlockSize, s.Size()-i*BlockSize))
			s.content(i, p)
			if err := d.WriteRange(i*BlockSize, p); err != nil {
				t.Fatal(err)
			}
		}
		want := d.Sum()
		place := func(off int64) (int64, error) { return off, nil }
		if got, err := ContentDigest(t.Context(), s, s.Size(), nil); err != nil || got != want {
			t.Errorf("%d blocks: %v, want %v (%v)", blocks, got, want, err)
		}
		if res, err := Scatter(t.Context(), s, nowhereAt{}, 64<<10, place, EncodeOptions{}); err != nil || res.Digest != want {
			t.Errorf("%d blocks scattered: %v, want %v (%v)", blocks, res.Digest, want, err)
		}
		s.broken = rand.Int64N(blocks)
		if _, err := ContentDigest(t.Context(), s, s.Size(), nil); !errors.Is(err, errBroken) {
			t.Errorf("%d blocks, %d broken: %v", blocks, s.broken, err)
		}
		if _, err := Scatter(t.Context(), s, nowhereAt{}, 64<<10, place, EncodeOptions{}); !errors.Is(err, errBroken) {
			t.Errorf("%d blocks scattered, %d broken: %v", blocks, s.broken, err)
		}
		s.broken = -1
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(rand.IntN(20))*time.Millisecond, cancel)
		if _, err := Scatter(ctx, s, nowhereAt{}, 64<<10, place, EncodeOptions{}); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%d blocks, cancelled: %v", blocks, err)
		}
		cancel()
	}
}

package manifest

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestKeyed: the same bytes have the same hash however they come, and others,
// by a single bit, by their order or by zeros at the end, another one.
func TestKeyed(t *testing.T) {
	of := func(like *keyed, p []byte, most int) uint64 {
		var k keyed
		k.like(like)
		for len(p) > 0 {
			n := min(len(p), 1+rand.IntN(most))
			if m, err := k.Write(p[:n]); m != n || err != nil {
				t.Fatalf("%d of %d bytes: %v", m, n, err)
			}
			p = p[n:]
		}
		return k.sum()
	}
	for _, size := range []int{0, 1, 63, keyedPiece - 1, keyedPiece, keyedPiece + 1, 3*keyedPiece + 17} {
		p := make([]byte, size)
		for i := range p {
			p[i] = byte(rand.Uint32())
		}
		var first keyed
		first.Write(p)
		want := first.sum()
		for _, most := range []int{1, 100, keyedPiece, 3 * keyedPiece} {
			if of(&first, p, most) != want {
				t.Errorf("%d bytes in writes of up to %d are not known again", size, most)
			}
		}
		if of(&first, append(bytes.Clone(p), 0), 100) == want {
			t.Errorf("%d bytes and a zero are taken for those without", size)
		}
		for i := range p {
			p[i] ^= 1 << (i % 8)
			if of(&first, p, keyedPiece) == want {
				t.Errorf("of %d bytes, another one at %d goes unseen", size, i)
			}
			p[i] ^= 1 << (i % 8)
		}
		if n := keyedPiece; size >= 2*n && of(&first, append(append(bytes.Clone(p[n:2*n]), p[:n]...), p[2*n:]...), 100) == want {
			t.Error("pieces that changed places go unseen")
		}
	}
}

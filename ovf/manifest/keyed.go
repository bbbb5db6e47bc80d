package manifest

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// keyed is a hash by which bytes are known again, however they are divided into
// writes. Of each piece it takes NH, the sum of products that UMAC and VMAC
// begin with: of two pieces that differ, one key in 2^64 gives the same. maphash
// is taken of those sums alone, as it needs twice as long for a byte.
type keyed struct {
	sums maphash.Hash
	part [keyedPiece]byte
	n    int // bytes of the piece that is not complete
}

// keyedPiece is few bytes, as what is left of a write is copied.
const keyedPiece = 1 << 10

// keyedKey is drawn anew by each process, so that nobody can choose bytes by it.
var keyedKey = func() (key [keyedPiece / 8]uint64) {
	for i := range key {
		key[i] = rand.Uint64()
	}
	return key
}()

// like makes k comparable with other.
func (k *keyed) like(other *keyed) { k.sums.SetSeed(other.sums.Seed()) }

func (k *keyed) Write(p []byte) (int, error) {
	total := len(p)
	if k.n > 0 {
		m := copy(k.part[k.n:], p)
		k.n += m
		p = p[m:]
		if k.n < keyedPiece {
			return total, nil
		}
		k.piece(&k.part)
	}
	for len(p) >= keyedPiece {
		k.piece((*[keyedPiece]byte)(p))
		p = p[keyedPiece:]
	}
	k.n = copy(k.part[:], p)
	return total, nil
}

func (k *keyed) piece(p *[keyedPiece]byte) {
	var high, low uint64
	for i := 0; i < keyedPiece; i += keyedStep {
		b, key := (*[keyedStep]byte)(p[i:]), (*[keyedStep / 8]uint64)(keyedKey[i/8:])
		high, low = product(high, low, load(b, 0)+key[0], load(b, 8)+key[1])
		high, low = product(high, low, load(b, 16)+key[2], load(b, 24)+key[3])
		high, low = product(high, low, load(b, 32)+key[4], load(b, 40)+key[5])
		high, low = product(high, low, load(b, 48)+key[6], load(b, 56)+key[7])
	}
	var sum [16]byte
	binary.LittleEndian.PutUint64(sum[:], low)
	binary.LittleEndian.PutUint64(sum[8:], high)
	k.sums.Write(sum[:])
}

// keyedStep is how many bytes one round takes.
const keyedStep = 64

func load(b *[keyedStep]byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// product adds that of a and b to high and low.
func product(high, low, a, b uint64) (uint64, uint64) {
	h, l := bits.Mul64(a, b)
	low, carry := bits.Add64(low, l, 0)
	high, _ = bits.Add64(high, h, carry)
	return high, low
}

// sum is of what was written; it ends the hash.
func (k *keyed) sum() uint64 {
	clear(k.part[k.n:])
	k.piece(&k.part)
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(k.n))
	k.sums.Write(n[:])
	return k.sums.Sum64()
}

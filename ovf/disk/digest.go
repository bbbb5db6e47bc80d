package disk

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
)

// BlockSize is the length of the blocks a content digest is made of, in bytes.
const BlockSize = 1 << 20

// BlockSum is the SHA-256 of one zero-padded block.
type BlockSum = [sha256.Size]byte

// zeroBlockSum is the SHA-256 of BlockSize zero bytes.
var zeroBlockSum = BlockSum{
	0x30, 0xe1, 0x49, 0x55, 0xeb, 0xf1, 0x35, 0x22, 0x66, 0xdc, 0x2f, 0xf8, 0x06, 0x7e, 0x68, 0x10,
	0x46, 0x07, 0xe7, 0x50, 0xab, 0xb9, 0xd3, 0xb3, 0x65, 0x82, 0xb8, 0xaf, 0x90, 0x9f, 0xcb, 0x58,
}

// Digest is the content digest of a disk: SHA-256 over the SHA-256s of the
// 1 MiB blocks of the first Size bytes of its content, the last block padded
// with zeros. It is the same in every format and sparse layout.
type Digest struct {
	Sum  [sha256.Size]byte
	Size int64 // bytes of content the digest covers
}

// String is the hash in hexadecimal, without prefix or size.
func (d Digest) String() string { return hex.EncodeToString(d.Sum[:]) }

// IsZero reports whether d is unset.
func (d Digest) IsZero() bool { return d == Digest{} }

// ParseDigest is the inverse of String, for a digest over size bytes.
func ParseDigest(s string, size int64) (Digest, error) {
	d := Digest{Size: size}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d.Sum) {
		return Digest{}, fmt.Errorf("content digest %q: expected %d hexadecimal digits", s, 2*len(d.Sum))
	}
	copy(d.Sum[:], b)
	return d, nil
}

// SumBlock is the digest of one block, which may be short: it counts as padded
// with zeros. Blocks of zeros are recognised, which is cheaper than hashing.
func SumBlock(p []byte) BlockSum {
	if IsZero(p) {
		return zeroBlockSum
	}
	if len(p) == BlockSize {
		return sha256.Sum256(p)
	}
	h := sha256.New()
	h.Write(p)
	writeZeros(h, BlockSize-int64(len(p)))
	var sum BlockSum
	h.Sum(sum[:0])
	return sum
}

// Digester computes a content digest from content that arrives in ascending
// order with gaps, which are zeros. It is not safe for concurrent use.
type Digester struct {
	size    int64
	next    int64     // index of the block in progress; those before are done
	fill    int64     // bytes of it in block
	outer   hash.Hash // of the block digests
	block   hash.Hash // of the block in progress
	onBlock func(index int64, sum BlockSum)
}

// NewDigester starts a digest over size bytes. onBlock, which may be nil, is
// told the digest of each block that was written, in ascending order; blocks
// it is not told of are zero.
func NewDigester(size int64, onBlock func(index int64, sum BlockSum)) *Digester {
	return &Digester{size: size, outer: sha256.New(), block: sha256.New(), onBlock: onBlock}
}

// WriteRange takes content at off. It is ErrNotAscending when off lies before
// the end of what was taken already, and an error beyond the size.
func (d *Digester) WriteRange(off int64, p []byte) error {
	if err := d.advance(off, int64(len(p))); err != nil {
		return err
	}
	for len(p) > 0 {
		n := min(int64(len(p)), BlockSize-d.fill)
		d.block.Write(p[:n])
		p = p[n:]
		if d.fill += n; d.fill == BlockSize {
			d.endBlock()
		}
	}
	return nil
}

// WriteBlock takes the digest of block index, computed elsewhere by SumBlock.
func (d *Digester) WriteBlock(index int64, sum BlockSum) error {
	off := index * BlockSize
	if err := d.advance(off, max(1, min(BlockSize, d.size-off))); err != nil {
		return err
	}
	d.endWith(sum)
	return nil
}

// Sum ends the digest; what was not written is zero. The Digester is spent.
func (d *Digester) Sum() Digest {
	d.zeros((d.size+BlockSize-1)/BlockSize, 0)
	out := Digest{Size: d.size}
	d.outer.Sum(out.Sum[:0])
	return out
}

// advance fills zeros up to off, where n bytes are about to be written.
func (d *Digester) advance(off, n int64) error {
	if pos := d.next*BlockSize + d.fill; off < pos {
		return fmt.Errorf("content digest: bytes at %d after those before %d: %w", off, pos, ErrNotAscending)
	}
	if n < 0 || off > d.size-n {
		return fmt.Errorf("content digest: %d bytes at %d exceed the size %d", n, off, d.size)
	}
	d.zeros(off/BlockSize, off%BlockSize)
	return nil
}

// zeros advances to byte fill of block index.
func (d *Digester) zeros(index, fill int64) {
	if d.fill > 0 && index > d.next {
		writeZeros(d.block, BlockSize-d.fill)
		d.endBlock()
	}
	for d.next < index {
		d.outer.Write(zeroBlockSum[:])
		d.next++
	}
	writeZeros(d.block, fill-d.fill)
	d.fill = fill
}

func (d *Digester) endBlock() {
	var sum BlockSum
	d.block.Sum(sum[:0])
	d.endWith(sum)
}

func (d *Digester) endWith(sum BlockSum) {
	d.block.Reset()
	d.fill = 0
	d.outer.Write(sum[:])
	if d.onBlock != nil {
		d.onBlock(d.next, sum)
	}
	d.next++
}

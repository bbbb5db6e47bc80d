package cimi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// DeltaBlock is a run of a disk's content that replaces what is there.
type DeltaBlock struct {
	Offset int64  // bytes; a multiple of PageUnit
	Length int64  // bytes; at most BlockUnit
	Data   []byte // Length bytes; nil where they are zeros
}

// deltaRecord is the fixed part of a block: offset, length, SHA-256.
const (
	deltaRecord = 8 + 4 + sha256.Size
	deltaHead   = 8 // size of the disk
	deltaZeros  = 1 << 31
)

// ErrDelta: what was sent is no delta.
var ErrDelta = errors.New("not a delta")

// EncodeDelta is the value of the attribute delta: in base64 the size of the
// disk's content at the source (8 bytes, big-endian), then for each block its
// offset (8), its length (4, the highest bit set where it is zeros and no bytes
// follow), the SHA-256 of its bytes, and the bytes.
func EncodeDelta(size int64, blocks []DeltaBlock) string {
	n := deltaHead
	for _, b := range blocks {
		n += deltaRecord + len(b.Data)
	}
	out := binary.BigEndian.AppendUint64(make([]byte, 0, n), uint64(size))
	for _, b := range blocks {
		length := uint32(b.Length)
		sum := sha256.Sum256(b.Data)
		if b.Data == nil {
			length, sum = length|deltaZeros, sumOfZeros(b.Length)
		}
		out = binary.BigEndian.AppendUint64(out, uint64(b.Offset))
		out = binary.BigEndian.AppendUint32(out, length)
		out = append(append(out, sum[:]...), b.Data...)
	}
	return base64.StdEncoding.EncodeToString(out)
}

func sumOfZeros(n int64) [sha256.Size]byte { return sha256.Sum256(make([]byte, n)) }

// DecodeDelta is the inverse. What is cut short, lies outside of the disk,
// overlaps, or has another digest than it says, wraps ErrDelta; most bounds the
// bytes of content.
func DecodeDelta(s string, most int64) (size int64, blocks []DeltaBlock, err error) {
	bad := func(format string, args ...any) (int64, []DeltaBlock, error) {
		return 0, nil, fmt.Errorf("%w: "+format, append([]any{ErrDelta}, args...)...)
	}
	in, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return bad("%v", err)
	}
	if len(in) < deltaHead {
		return bad("%d bytes, expected the size of the disk at least", len(in))
	}
	head := binary.BigEndian.Uint64(in)
	if head == 0 || head > math.MaxInt64 {
		return bad("a disk of %d bytes", head)
	}
	size, in = int64(head), in[deltaHead:]
	var end, sum int64
	for len(in) > 0 {
		if len(in) < deltaRecord {
			return bad("%d bytes are left, a block has %d at least", len(in), deltaRecord)
		}
		offset, length := binary.BigEndian.Uint64(in), binary.BigEndian.Uint32(in[8:])
		zeros := length&deltaZeros != 0
		b := DeltaBlock{Length: int64(length &^ deltaZeros)}
		want := [sha256.Size]byte(in[12:])
		in = in[deltaRecord:]
		if b.Length == 0 || b.Length > BlockUnit {
			return bad("a block of %d bytes, expected 1 to %d", b.Length, BlockUnit)
		}
		if offset > uint64(size) || int64(offset) > size-b.Length {
			return bad("%d bytes at %d exceed the disk's %d", b.Length, offset, size)
		}
		b.Offset = int64(offset)
		if b.Offset%PageUnit != 0 || b.Length%PageUnit != 0 && b.Offset+b.Length != size {
			return bad("%d bytes at %d are no whole pages of %d", b.Length, b.Offset, PageUnit)
		}
		if b.Offset < end {
			return bad("the block at %d comes after bytes up to %d", b.Offset, end)
		}
		end = b.Offset + b.Length
		if sum += b.Length; sum > most {
			return bad("more than %d bytes of content", most)
		}
		got := [sha256.Size]byte{}
		if zeros {
			got = sumOfZeros(b.Length)
		} else {
			if int64(len(in)) < b.Length {
				return bad("the block at %d ends after %d of %d bytes", b.Offset, len(in), b.Length)
			}
			b.Data, in = in[:b.Length:b.Length], in[b.Length:]
			got = sha256.Sum256(b.Data)
		}
		if got != want {
			return bad("the SHA-256 of the block at %d is %x, it says %x", b.Offset, got, want)
		}
		blocks = append(blocks, b)
	}
	return size, blocks, nil
}

// PageRun is a run of pages of a disk.
type PageRun struct{ First, Count int64 }

// ErrPages: what was asked for is no list of pages.
var ErrPages = errors.New("not a list of pages")

// EncodePages names runs of pages, ascending, for a URL: in base64url without
// padding, for each run how many pages lie between it and the one before, and
// how many it has, as unsigned varints.
func EncodePages(runs []PageRun) string {
	var out []byte
	next := int64(0)
	for _, r := range runs {
		out = binary.AppendUvarint(out, uint64(r.First-next))
		out = binary.AppendUvarint(out, uint64(r.Count))
		next = r.First + r.Count
	}
	return base64.RawURLEncoding.EncodeToString(out)
}

// DecodePages is the inverse, for a disk of so many pages; most bounds the
// pages that are named. What is wrong wraps ErrPages.
func DecodePages(s string, pages, most int64) ([]PageRun, error) {
	in, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrPages, err)
	}
	var out []PageRun
	var next, sum int64
	for len(in) > 0 {
		var v [2]uint64
		for i := range v {
			k, n := binary.Uvarint(in)
			if n <= 0 {
				return nil, fmt.Errorf("%w: a number is cut short", ErrPages)
			}
			v[i], in = k, in[n:]
		}
		if v[0] > uint64(pages-next) || v[1] == 0 || v[1] > uint64(pages-next)-v[0] {
			return nil, fmt.Errorf("%w: %d pages after %d more than %d, the disk has %d", ErrPages, v[1], v[0], next, pages)
		}
		r := PageRun{next + int64(v[0]), int64(v[1])}
		if sum += r.Count; sum > most {
			return nil, fmt.Errorf("%w: more than %d pages", ErrPages, most)
		}
		next = r.First + r.Count
		out = append(out, r)
	}
	return out, nil
}

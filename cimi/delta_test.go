package cimi

import (
	"bytes"
	"encoding/base64"
	"errors"
	"reflect"
	"testing"
)

func TestDelta(t *testing.T) {
	const size = 3*BlockUnit + 512
	blocks := []DeltaBlock{{Offset: 0, Length: PageUnit, Data: bytes.Repeat([]byte{1}, PageUnit)}, {Offset: BlockUnit, Length: BlockUnit},
		{Offset: 3 * BlockUnit, Length: 512, Data: bytes.Repeat([]byte{2}, 512)}}
	s := EncodeDelta(size, blocks)
	got, back, err := DecodeDelta(s, 4<<20)
	if err != nil || got != size || !reflect.DeepEqual(back, blocks) {
		t.Fatalf("%d %v: %v", got, back, err)
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(b []byte) []byte) string {
		return base64.StdEncoding.EncodeToString(f(bytes.Clone(raw)))
	}
	page := func(off, n int64) DeltaBlock { return DeltaBlock{Offset: off, Length: n} }
	for name, bad := range map[string]string{
		"no base64":            "%%%",
		"nothing":              "",
		"a disk of no bytes":   change(func(b []byte) []byte { clear(b[:8]); return b }),
		"a negative disk":      change(func(b []byte) []byte { b[0] = 0x80; return b }),
		"cut in a head":        change(func(b []byte) []byte { return b[:20] }),
		"cut in a block":       change(func(b []byte) []byte { return b[:len(b)-1] }),
		"one byte more":        change(func(b []byte) []byte { return append(b, 0) }),
		"a flipped bit":        change(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		"a flipped bit of sum": change(func(b []byte) []byte { b[25] ^= 1; return b }),
		"an offset of 2^63":    change(func(b []byte) []byte { b[8] = 0x80; return b }),
		"half a page":          EncodeDelta(size, []DeltaBlock{page(0, 512)}),
		"within a page":        EncodeDelta(size, []DeltaBlock{page(512, PageUnit)}),
		"behind the end":       EncodeDelta(size, []DeltaBlock{page(4*BlockUnit, PageUnit)}),
		"over the end":         EncodeDelta(size, []DeltaBlock{page(3*BlockUnit, PageUnit)}),
		"twice the same":       EncodeDelta(size, []DeltaBlock{page(0, PageUnit), page(0, PageUnit)}),
		"descending":           EncodeDelta(size, []DeltaBlock{page(BlockUnit, PageUnit), page(0, PageUnit)}),
		"no length":            EncodeDelta(size, []DeltaBlock{page(0, 0)}),
		"too long":             EncodeDelta(size, []DeltaBlock{page(0, 2*BlockUnit)}),
		"too much":             EncodeDelta(1<<30, []DeltaBlock{page(0, BlockUnit), page(BlockUnit, BlockUnit), page(2*BlockUnit, BlockUnit), page(3*BlockUnit, BlockUnit), page(4*BlockUnit, BlockUnit)}),
	} {
		if _, _, err := DecodeDelta(bad, 4<<20); !errors.Is(err, ErrDelta) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPages(t *testing.T) {
	runs := []PageRun{{0, 1}, {7, 300}, {100_000, 2}}
	s := EncodePages(runs)
	got, err := DecodePages(s, 100_002, 303)
	if err != nil || !reflect.DeepEqual(got, runs) {
		t.Fatalf("%v: %v", got, err)
	}
	for name, bad := range map[string]string{"no base64": "*", "cut": s[:len(s)-2], "an empty run": EncodePages([]PageRun{{1, 0}}),
		"too far": EncodePages([]PageRun{{100_002, 1}}), "too long": EncodePages([]PageRun{{100_000, 3}}), "too many": EncodePages([]PageRun{{0, 304}}),
		"an overflow": EncodePages([]PageRun{{-1, 1}}), "a count that overflows": EncodePages([]PageRun{{1, -1}})} {
		if _, err := DecodePages(bad, 100_002, 303); !errors.Is(err, ErrPages) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDelta: whatever comes is refused or taken, and what is taken lies within the disk.
func FuzzDelta(f *testing.F) {
	f.Add(EncodeDelta(8192, []DeltaBlock{{Offset: 4096, Length: 4096, Data: make([]byte, 4096)}}), EncodePages([]PageRun{{1, 2}}))
	f.Fuzz(func(t *testing.T, delta, pages string) {
		size, blocks, err := DecodeDelta(delta, 1<<20)
		for _, b := range blocks {
			if err == nil && (b.Offset < 0 || b.Offset+b.Length > size || b.Data != nil && int64(len(b.Data)) != b.Length) {
				t.Fatalf("%d bytes at %d of %d", b.Length, b.Offset, size)
			}
		}
		runs, err := DecodePages(pages, 100, 50)
		for _, r := range runs {
			if err == nil && (r.First < 0 || r.Count < 1 || r.First+r.Count > 100) {
				t.Fatalf("%+v", r)
			}
		}
	})
}

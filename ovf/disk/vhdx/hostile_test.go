package vhdx_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/vhdx"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func TestHostileHeaders(t *testing.T) {
	ovftest.Slow(t)
	plain := written(t, bytes.Repeat([]byte{1}, 5<<19))
	// The current header, the region table, the metadata table and its items.
	const head, regions, metadata, items = 128 << 10, 192 << 10, 2 << 20, 2<<20 + 64<<10
	zones := [][2]int{{head + 8, head + 80}, {regions + 8, regions + 80}, {metadata + 8, metadata + 192}, {items, items + 48}}
	seals := func(b []byte) {
		seal(b[head : head+4096])
		seal(b[regions : regions+64<<10])
	}
	open := func(r io.ReaderAt, size int64) (disk.Image, error) { return vhdx.Open(r, size, "hostile") }
	disktest.Hostile(t, plain, zones, seals, open)
	// The header of the log's entry, whose log must be replayed.
	dirty := logged(plain, 0, 5, 4<<20, 4<<20+4096, make([]byte, 4096))
	const log = 1 << 20
	disktest.Hostile(t, dirty, [][2]int{{log + 8, log + 128}}, func(b []byte) { seal(b[log : log+8192]) }, open)
}

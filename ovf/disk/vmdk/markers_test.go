package vmdk_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// A stream has every marker, each where the one before leads, the footer's
// header says where the directory is, and nothing stands behind the end.
func TestAC29MarkersComplete(t *testing.T) {
	content := make([]byte, 40<<20+512)
	rnd := rand.New(rand.NewPCG(2, 9))
	for _, at := range []int{0, 9 << 20, 39 << 20} {
		for i := range content[at : at+200_000] {
			content[at+i] = byte(rnd.Uint32())
		}
	}
	var out bytes.Buffer
	if _, err := vmdk.Encode(t.Context(), raw.New(bytes.NewReader(content), int64(len(content))), &out, vmdk.EncodeOptions{EncodeOptions: disk.EncodeOptions{}}); err != nil {
		t.Fatal(err)
	}
	b := out.Bytes()
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	const sector = 512
	seen := map[uint32]int{}
	var footer []byte
	directory := uint64(0)
	pos := int(u64(b[64:])) * sector
	for ended := false; !ended; {
		if pos+sector > len(b) {
			t.Fatalf("the stream ends at byte %d without a mark of its end", pos)
		}
		m := b[pos:]
		value, size, kind := u64(m), u32(m[8:]), u32(m[12:])
		if size > 0 {
			pos += (12 + int(size) + sector - 1) / sector * sector
			seen[99]++
			continue
		}
		seen[kind]++
		pos += sector
		switch kind {
		case 0:
			ended = true
		case 2:
			directory = uint64(pos / sector)
		case 3:
			footer = b[pos : pos+sector]
		}
		pos += int(value) * sector
	}
	switch {
	case pos != len(b):
		t.Errorf("%d bytes stand behind the end of the stream", len(b)-pos)
	case seen[99] == 0 || seen[1] == 0 || seen[2] != 1 || seen[3] != 1 || seen[0] != 1:
		t.Errorf("grains %d, tables %d, directories %d, footers %d, ends %d", seen[99], seen[1], seen[2], seen[3], seen[0])
	case !bytes.Equal(footer[:4], b[:4]) || u64(b[56:]) != ^uint64(0) || u64(footer[56:]) != directory:
		t.Errorf("the directory is at sector %d, the footer says %d, the header %#x", directory, u64(footer[56:]), u64(b[56:]))
	}
}

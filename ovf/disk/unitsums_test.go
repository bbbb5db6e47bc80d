package disk_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"testing"
	"testing/iotest"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// TestUnitSums: read in any pieces they are the sums of the content, and those
// of blocks make the content digest.
func TestUnitSums(t *testing.T) {
	content := make([]byte, 3*disk.BlockSize+1000)
	for i := disk.BlockSize; i < len(content); i++ {
		content[i] = byte(i * i >> 8)
	}
	img := raw.New(bytes.NewReader(content), int64(len(content)))
	for _, unit := range []int{4096, 64 << 10, disk.BlockSize} {
		for _, length := range []int{16, 32} {
			s, err := disk.NewUnitSums(t.Context(), img, int64(unit), length)
			if err != nil {
				t.Fatal(err)
			}
			var want []byte
			for off := 0; off < len(content); off += unit {
				padded := make([]byte, unit)
				copy(padded, content[off:])
				sum := sha256.Sum256(padded)
				want = append(want, sum[:length]...)
			}
			if s.Size() != int64(len(want)) {
				t.Fatalf("size %d, want %d", s.Size(), len(want))
			}
			for name, r := range map[string]io.Reader{"whole": io.NewSectionReader(s, 0, s.Size()), "half": iotest.HalfReader(io.NewSectionReader(s, 0, s.Size()))} {
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
					t.Errorf("unit %d, length %d, %s: other sums: %v", unit, length, name, err)
				}
			}
			part := make([]byte, 7)
			if n, err := s.ReadAt(part, s.Size()-20); n != 7 || err != nil || !bytes.Equal(part, want[len(want)-20:][:7]) {
				t.Errorf("unit %d: %d bytes of a part: %v", unit, n, err)
			}
			if n, err := s.ReadAt(part, s.Size()-3); n != 3 || err != io.EOF {
				t.Errorf("unit %d: %d bytes at the end: %v", unit, n, err)
			}
			if unit == disk.BlockSize && length == sha256.Size {
				digest, err := disk.ContentDigest(t.Context(), img, img.Size(), nil)
				if err != nil || digest.Sum != sha256.Sum256(want) {
					t.Errorf("the sums make another content digest: %v", err)
				}
			}
		}
	}
	if _, err := disk.NewUnitSums(t.Context(), img, 3000, 16); err == nil {
		t.Error("units that blocks are not made of")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := disk.NewUnitSums(ctx, img, disk.BlockSize, 32)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAt(make([]byte, 32), 64); err == nil {
		t.Error("read after the context ended")
	}
}

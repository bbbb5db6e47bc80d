package disk_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// TestContentDigestWith: whatever of the blocks is known, the digest is that of
// the content, of which only the others are read; what is known falsely shows.
func TestContentDigestWith(t *testing.T) {
	const blocks = 67
	content := make([]byte, blocks*disk.BlockSize-777)
	for i := range content {
		content[i] = byte(i>>20 + i>>3)
	}
	in := &reads{Reader: bytes.NewReader(content), blocks: map[int64]bool{}}
	img := raw.New(in, int64(len(content)))
	for _, size := range []int64{int64(len(content)), 40*disk.BlockSize + 5, 0} {
		want, err := disk.ContentDigest(t.Context(), img, size, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, knows := range map[string]func(int64) bool{
			"none": func(int64) bool { return false }, "all": func(int64) bool { return true },
			"some": func(i int64) bool { return i%5 != 0 }, "few": func(i int64) bool { return i == 40 },
		} {
			in.blocks = map[int64]bool{}
			known := func(i int64) (disk.BlockSum, bool, error) {
				if !knows(i) {
					return disk.BlockSum{}, false, nil
				}
				return disk.SumBlock(content[i*disk.BlockSize : min((i+1)*disk.BlockSize, size)]), true, nil
			}
			last := int64(-1)
			got, err := disk.ContentDigestWith(t.Context(), img, size, known, func(done, total int64) {
				if done < last || total != size {
					t.Errorf("%s: %d of %d after %d", name, done, total, last)
				}
				last = done
			})
			if err != nil || got != want || last != size {
				t.Errorf("%d bytes, %s known: %v: %v", size, name, got, err)
			}
			for i := range (size + disk.BlockSize - 1) / disk.BlockSize {
				if in.blocks[i] == knows(i) {
					t.Errorf("%d bytes, %s known: block %d was read: %v", size, name, i, in.blocks[i])
				}
			}
		}
	}
	wrong := func(i int64) (disk.BlockSum, bool, error) { return disk.BlockSum{1}, i == 7, nil }
	want, _ := disk.ContentDigest(t.Context(), img, img.Size(), nil)
	if got, err := disk.ContentDigestWith(t.Context(), img, img.Size(), wrong, nil); err != nil || got == want {
		t.Errorf("known falsely: %v: %v", got, err)
	}
	broken := func(int64) (disk.BlockSum, bool, error) { return disk.BlockSum{}, false, io.ErrClosedPipe }
	if _, err := disk.ContentDigestWith(t.Context(), img, img.Size(), broken, nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
	if _, err := disk.ContentDigestWith(t.Context(), img, img.Size()+1, wrong, nil); err == nil {
		t.Error("more than there is")
	}
}

// reads notes what is read.
type reads struct {
	*bytes.Reader
	mu     sync.Mutex
	blocks map[int64]bool
}

func (r *reads) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	for at := off / disk.BlockSize; at <= (off+int64(len(p))-1)/disk.BlockSize; at++ {
		r.blocks[at] = true
	}
	r.mu.Unlock()
	return r.Reader.ReadAt(p, off)
}

package disk_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// byDefinition is the content digest, said as plainly as possible.
func byDefinition(content []byte) [32]byte {
	var sums []byte
	for len(content) > 0 {
		block := make([]byte, 1<<20)
		content = content[copy(block, content):]
		sum := sha256.Sum256(block)
		sums = append(sums, sum[:]...)
	}
	return sha256.Sum256(sums)
}

func image(content []byte) disk.Image {
	return raw.New(bytes.NewReader(content), int64(len(content)))
}

func holed(content []byte) disk.Image {
	return &disktest.Holes{Image: image(content), Content: content}
}

func TestContentDigest(t *testing.T) {
	ctx := context.Background()
	for name, content := range disktest.Patterns() {
		want := disk.Digest{Sum: byDefinition(content), Size: int64(len(content))}
		for how, img := range map[string]disk.Image{"as data": image(content), "with holes": holed(content)} {
			var done []int64
			got, err := disk.ContentDigest(ctx, img, img.Size(), func(n, total int64) { done = append(done, n) })
			if err != nil || got != want {
				t.Errorf("%s %s: %v (%v), want %v", name, how, got, err, want)
			}
			if !slices.IsSorted(done) || len(done) == 0 || done[len(done)-1] != img.Size() {
				t.Errorf("%s %s: progress is %v", name, how, done)
			}
			plain, err := disk.PlainDigest(ctx, img, img.Size(), 0, nil)
			if err != nil || plain != sha256.Sum256(content) {
				t.Errorf("%s %s: sha256 is %x (%v)", name, how, plain, err)
			}
		}
		// A larger disk of the same content has the same digest over its size.
		larger := append(bytes.Clone(content), make([]byte, 3<<20)...)
		if got, err := disk.ContentDigest(ctx, image(larger), int64(len(content)), nil); err != nil || got != want {
			t.Errorf("%s, larger: %v (%v), want %v", name, got, err, want)
		}
		if _, err := disk.ContentDigest(ctx, image(content), int64(len(content))+1, nil); err == nil {
			t.Errorf("%s: a digest over more than there is", name)
		}
	}
}

func TestDigesterTakesRanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for name, content := range disktest.Patterns() {
		type told struct {
			i   int64
			sum disk.BlockSum
		}
		var blocks []told
		d := disk.NewDigester(int64(len(content)), func(i int64, sum disk.BlockSum) { blocks = append(blocks, told{i, sum}) })
		for off := 0; off < len(content); {
			n := min(1+rng.IntN(300000), len(content)-off)
			if p := content[off : off+n]; !disk.IsZero(p) {
				if err := d.WriteRange(int64(off), p); err != nil {
					t.Fatal(err)
				}
			}
			off += n
		}
		if got := d.Sum(); got.Sum != byDefinition(content) {
			t.Errorf("%s: %v", name, got)
		}
		for _, b := range blocks {
			block := make([]byte, disk.BlockSize)
			copy(block, content[b.i*disk.BlockSize:])
			if b.sum != sha256.Sum256(block) {
				t.Errorf("%s: block %d is %x", name, b.i, b.sum)
			}
		}
	}
}

func TestDigesterRefuses(t *testing.T) {
	d := disk.NewDigester(3<<20, nil)
	if err := d.WriteRange(2<<20, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{0, 2<<20 + 9} {
		if err := d.WriteRange(off, []byte{1}); !errors.Is(err, disk.ErrNotAscending) {
			t.Errorf("writing at %d: %v", off, err)
		}
	}
	if err := d.WriteBlock(2, disk.BlockSum{}); !errors.Is(err, disk.ErrNotAscending) {
		t.Errorf("a block begun otherwise: %v", err)
	}
	if err := d.WriteRange(3<<20-1, []byte{1, 2}); err == nil || errors.Is(err, disk.ErrNotAscending) {
		t.Errorf("writing beyond the size: %v", err)
	}
	if err := d.WriteBlock(3, disk.BlockSum{}); err == nil {
		t.Error("a block beyond the size")
	}
}

func TestDigestString(t *testing.T) {
	d := disk.Digest{Sum: byDefinition([]byte("x")), Size: 1}
	got, err := disk.ParseDigest(d.String(), 1)
	if err != nil || got != d {
		t.Errorf("%v parses to %v (%v)", d, got, err)
	}
	for _, bad := range []string{"", "12", d.String() + "00", "sha256:" + d.String()} {
		if _, err := disk.ParseDigest(bad, 1); err == nil {
			t.Errorf("%q parses", bad)
		}
	}
}

func TestCompare(t *testing.T) {
	ctx := context.Background()
	content := make([]byte, 12<<20)
	for _, off := range []int{0, 5 << 20, 6 << 20, len(content) - 512} {
		copy(content[off:], disktest.Noise(rand.New(rand.NewPCG(1, uint64(off))), 512))
	}
	changed := func(at int) []byte {
		b := bytes.Clone(content)
		b[at] ^= 1
		return b
	}
	longer := func(rest ...byte) []byte { return append(bytes.Clone(content), rest...) }
	n := int64(len(content))
	for _, c := range []struct {
		name string
		b    []byte
		diff int64
	}{
		{"same", content, -1},
		{"first byte", changed(0), 0},
		{"in a hole", changed(8 << 20), 8 << 20},
		{"last byte", changed(len(content) - 1), n - 1},
		{"two", func() []byte { b := changed(10 << 20); b[3<<20] ^= 1; return b }(), 3 << 20},
		{"longer by zeros", longer(make([]byte, 5<<20)...), -1},
		{"longer by more", longer(0, 0, 1), n + 2},
		{"longer by more, later", longer(append(make([]byte, 5<<20), 1)...), n + 5<<20},
		{"shorter", content[:n-1], n - 1},
		{"shorter and different", changed(12)[:n-1], 12},
		{"empty", nil, 0},
	} {
		for how, b := range map[string]disk.Image{"data": image(c.b), "holes": holed(c.b)} {
			for _, a := range []disk.Image{image(content), holed(content)} {
				diff, equal, err := disk.Compare(ctx, a, b)
				if err != nil || diff != c.diff || equal != (c.diff < 0) {
					t.Errorf("%s (%s): differs at %d, equal %v (%v), want %d", c.name, how, diff, equal, err, c.diff)
				}
			}
		}
	}
}

type broken struct{ disk.Image }

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off >= 2<<20 {
		return 0, errBroken
	}
	return b.Image.ReadAt(p, off)
}

var errBroken = errors.New("medium error")

func TestReadErrorsAreReturned(t *testing.T) {
	ctx := context.Background()
	img := broken{image(bytes.Repeat([]byte{1}, 9<<20))}
	_, digest := disk.ContentDigest(ctx, img, img.Size(), nil)
	_, plain := disk.PlainDigest(ctx, img, img.Size(), 0, nil)
	_, _, compare := disk.Compare(ctx, img, img)
	_, copied := disk.Copy(ctx, img, &disktest.Memory{}, disk.EncodeOptions{})
	for i, err := range []error{digest, plain, compare, copied} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestCopy(t *testing.T) {
	for name, content := range disktest.Patterns() {
		var m disktest.Memory
		res, err := disk.Copy(context.Background(), holed(content), &m, disk.EncodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Data, content) || !res.HasDigest || res.Digest.Sum != byDefinition(content) {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

func ExampleDigest() {
	d := disk.NewDigester(10<<20, nil)
	_ = d.WriteRange(4<<20, []byte("the rest is zero"))
	fmt.Println(d.Sum())
	// Output: 764c9cd04661a6bc177b9916c688024c83704aa86e1c6ed56e40e706ae17e51b
}

package vmdk_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// holed is a raw disk whose grains of zeros are holes, except those kept.
func holed(content []byte, keep func(g int64) bool) disk.Image {
	return &disktest.Holes{Image: raw.New(bytes.NewReader(content), int64(len(content))), Content: content, Keep: keep}
}

func layout(t testing.TB, img disk.Image) *vmdk.StoredImage {
	t.Helper()
	s, err := vmdk.Stored(context.Background(), img, vmdk.StoredOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStored(t *testing.T) {
	for name, content := range disktest.Patterns() {
		t.Run(name, func(t *testing.T) {
			img := holed(content, func(g int64) bool { return g%7 == 3 })
			s := layout(t, img)
			all, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()+1))
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(all)) != s.Size() {
				t.Fatalf("%d bytes, Size says %d", len(all), s.Size())
			}

			mapped := int64(0)
			for e := range img.Extents(context.Background(), 0, img.Size()) {
				if !e.Zero {
					mapped += e.Length
				}
			}
			if s.DataBytes() != mapped {
				t.Errorf("DataBytes is %d, mapped are %d", s.DataBytes(), mapped)
			}

			var got disktest.Memory
			res, err := vmdk.Decode(context.Background(), bytes.NewReader(all), &got, disk.DecodeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Data, disktest.Padded(content)) || !res.HasDigest {
				t.Errorf("decodes to other content: %+v", res)
			}

			rng := rand.New(rand.NewPCG(3, 4))
			for range 60 {
				off := rng.Int64N(s.Size())
				p := make([]byte, 1+rng.IntN(1<<(1+rng.IntN(18))))
				n, err := s.ReadAt(p, off)
				want := all[off:min(s.Size(), off+int64(len(p)))]
				if !bytes.Equal(p[:n], want) {
					t.Fatalf("%d bytes at %d differ from the sequential ones", len(p), off)
				}
				if (err == io.EOF) != (n < len(p)) || err != nil && err != io.EOF {
					t.Fatalf("%d bytes of %d at %d: %v", n, len(p), off, err)
				}
			}

			kept, err := s.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			var again vmdk.Layout
			if err := again.UnmarshalBinary(kept); err != nil {
				t.Fatal(err)
			}
			reopened, err := again.Open(raw.New(bytes.NewReader(content), int64(len(content))))
			if err != nil {
				t.Fatal(err)
			}
			same, err := io.ReadAll(io.NewSectionReader(reopened, 0, reopened.Size()))
			if err != nil || !bytes.Equal(same, all) {
				t.Errorf("the kept layout gives other bytes (%v)", err)
			}
		})
	}
}

func TestStoredGrainTakes66048Bytes(t *testing.T) {
	length := func(grains int) int64 {
		content := bytes.Repeat([]byte{1}, grains*disktest.Grain)
		return layout(t, raw.New(bytes.NewReader(content), int64(len(content)))).Size()
	}
	if got := length(9) - length(8); got != 66048 {
		t.Errorf("one more grain takes %d bytes", got)
	}
}

func TestLayoutRefusesDamage(t *testing.T) {
	content := bytes.Repeat([]byte{1}, 100*disktest.Grain)
	kept, err := layout(t, holed(content, nil)).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for i := range kept {
		bad := bytes.Clone(kept)
		bad[i] ^= 0x10
		if err := new(vmdk.Layout).UnmarshalBinary(bad); err == nil {
			t.Errorf("a changed byte %d goes unnoticed", i)
		}
		if err := new(vmdk.Layout).UnmarshalBinary(kept[:i]); err == nil {
			t.Errorf("%d bytes of %d are taken", i, len(kept))
		}
	}
	l := new(vmdk.Layout)
	if err := l.UnmarshalBinary(kept); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Open(raw.New(bytes.NewReader(content), 99*disktest.Grain)); err == nil {
		t.Error("a layout opens over a disk of another size")
	}
}

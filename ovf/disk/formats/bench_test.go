package formats_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// benchDisk is 64 MiB: a third text, a third noise, a third zeros.
func benchDisk() []byte {
	rng := rand.New(rand.NewPCG(1, 7))
	b := make([]byte, 64<<20)
	for at := 0; at < len(b); at += 3 << 20 {
		copy(b[at:], disktest.Text(rng, 1<<20))
		if at+1<<20 < len(b) {
			copy(b[at+1<<20:], disktest.Noise(rng, 1<<20))
		}
	}
	return b
}

func BenchmarkConvert(b *testing.B) {
	ctx := context.Background()
	content := benchDisk()
	size := int64(len(content))
	img := raw.New(bytes.NewReader(content), size)
	encoded := func(to disk.Format, opts disk.EncodeOptions) []byte {
		var out bytes.Buffer
		if _, err := formats.Encode(ctx, img, &out, to, opts); err != nil {
			b.Fatal(err)
		}
		return out.Bytes()
	}
	encode := func(to disk.Format, opts disk.EncodeOptions) func() error {
		return func() error {
			_, err := formats.Encode(ctx, img, io.Discard, to, opts)
			return err
		}
	}
	decode := func(image []byte, opts disk.DecodeOptions) func() error {
		return func() error {
			_, err := formats.Decode(ctx, bytes.NewReader(image), formats.Source{}, -1, disktest.Discard{}, opts)
			return err
		}
	}
	stream := encoded(disk.VMDK, disk.EncodeOptions{})
	qcow2 := encoded(disk.QCOW2, disk.EncodeOptions{})
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"raw to vmdk", encode(disk.VMDK, disk.EncodeOptions{})},
		{"raw to vmdk, no digest", encode(disk.VMDK, disk.EncodeOptions{NoDigest: true})},
		{"raw to vmdk, fastest", encode(disk.VMDK, disk.EncodeOptions{Level: 1})},
		{"raw to vmdk, stored form", func() error {
			s, err := vmdk.Stored(ctx, img, vmdk.StoredOptions{})
			if err != nil {
				return err
			}
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.NewSectionReader(s, 0, s.Size()), make([]byte, 1<<20))
			return err
		}},
		{"raw to qcow2", encode(disk.QCOW2, disk.EncodeOptions{})},
		{"vmdk to raw", decode(stream, disk.DecodeOptions{})},
		{"vmdk to raw, no digest", decode(stream, disk.DecodeOptions{NoDigest: true})},
		{"qcow2 to raw", func() error {
			img, err := formats.Open(bytes.NewReader(qcow2), int64(len(qcow2)), formats.Source{})
			if err != nil {
				return err
			}
			_, err = disk.Copy(ctx, img, disktest.Discard{}, disk.EncodeOptions{})
			return err
		}},
		{"content digest", func() error {
			_, err := disk.ContentDigest(ctx, img, size, nil)
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if err := c.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPair converts between files, from each format to each, the digest
// taken too.
func BenchmarkPair(b *testing.B) {
	ctx := context.Background()
	content := benchDisk()
	plain := raw.New(bytes.NewReader(content), int64(len(content)))
	dir := b.TempDir()
	for from, source := range ways() {
		if source.opts.Variant == "fixed" {
			continue
		}
		path := filepath.Join(dir, from)
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := formats.Convert(ctx, plain, f, source.to, source.opts); err != nil {
			b.Fatal(err)
		}
		f.Close()
		img := open(b, path, source.to)
		for to, target := range ways() {
			if target.opts.Variant == "fixed" {
				continue
			}
			b.Run(from+" to "+to, func(b *testing.B) {
				b.SetBytes(img.Size())
				for b.Loop() {
					out, err := os.Create(filepath.Join(dir, "out"))
					if err != nil {
						b.Fatal(err)
					}
					if _, err := formats.Convert(ctx, img, out, target.to, target.opts); err != nil {
						b.Fatal(err)
					}
					out.Close()
				}
			})
		}
	}
}

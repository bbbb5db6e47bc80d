package formats_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// kept is a way to write a disk, and what qemu-img calls its format.
type kept struct {
	to     disk.Format
	opts   disk.EncodeOptions
	oracle string
	// stream says that the format can be written to what cannot seek.
	stream bool
}

func ways() map[string]kept {
	return map[string]kept{
		"raw":         {disk.Raw, disk.EncodeOptions{}, "raw", true},
		"vmdk":        {disk.VMDK, disk.EncodeOptions{Level: 1}, "vmdk", true},
		"vmdk-sparse": {disk.VMDKSparse, disk.EncodeOptions{}, "vmdk", false},
		"qcow2":       {disk.QCOW2, disk.EncodeOptions{}, "qcow2", true},
		"qcow2, zlib": {disk.QCOW2, disk.EncodeOptions{Level: 1}, "qcow2", false},
		"qcow2, best": {disk.QCOW2, disk.EncodeOptions{Level: 9}, "qcow2", false},
		"qcow2, zstd": {disk.QCOW2, disk.EncodeOptions{Variant: "zstd"}, "qcow2", false},
		"zstd, best":  {disk.QCOW2, disk.EncodeOptions{Variant: "zstd", Level: 9}, "qcow2", false},
		"vhd":         {disk.VHD, disk.EncodeOptions{}, "vpc", true},
		"vhd, fixed":  {disk.VHD, disk.EncodeOptions{Variant: "fixed"}, "vpc", true},
		"vhdx":        {disk.VHDX, disk.EncodeOptions{}, "vhdx", true},
		"vhdx, fixed": {disk.VHDX, disk.EncodeOptions{Variant: "fixed"}, "vhdx", true},
		"vdi":         {disk.VDI, disk.EncodeOptions{}, "vdi", true},
		"vdi, fixed":  {disk.VDI, disk.EncodeOptions{Variant: "fixed"}, "vdi", true},
	}
}

// TestWrittenAsFileAndStream: what we write holds the content, as qemu-img and
// we read it, in a file with zeros found and as a stream with the map known.
func TestWrittenAsFileAndStream(t *testing.T) {
	ovftest.Slow(t)
	ctx := context.Background()
	for way, k := range ways() {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, content := range disktest.Telling() {
				plain := raw.New(bytes.NewReader(content), int64(len(content)))
				want, err := disk.ContentDigest(ctx, plain, plain.Size(), nil)
				if err != nil {
					t.Fatal(err)
				}
				check := func(how, path string, res disk.Result) {
					t.Helper()
					if !res.HasDigest || res.Digest != want || res.Info.Size != plain.Size() {
						t.Errorf("%s, %s: %+v, digest is %v", name, how, res, want)
					}
					if st, err := os.Stat(path); err != nil || k.to != disk.Raw && st.Size() != res.StreamBytes {
						t.Errorf("%s, %s: %d bytes, %d said (%v)", name, how, st.Size(), res.StreamBytes, err)
					}
					disktest.Judge(t, path, k.oracle, content)
					img := open(t, path, k.to)
					if img.Size() != int64(len(disktest.Padded(content))) && img.Size() != plain.Size() {
						t.Errorf("%s, %s: size %d", name, how, img.Size())
					}
					if at, equal, err := disk.Compare(ctx, plain, img); err != nil || !equal {
						t.Errorf("%s, %s: we read otherwise at %d (%v)", name, how, at, err)
					}
				}
				path := filepath.Join(dir, name+".file")
				f, err := os.Create(path)
				if err != nil {
					t.Fatal(err)
				}
				res, err := formats.Convert(ctx, plain, f, k.to, k.opts)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				f.Close()
				check("file", path, res)
				if k.opts.Variant != "fixed" {
					if n := allocated(t, path); n > int64(len(content))/2 && (name == "empty" || name == "first and last") {
						t.Errorf("%s: %d bytes of file are allocated", name, n)
					}
				}

				if !k.stream {
					continue
				}
				var out bytes.Buffer
				holes := &disktest.Holes{Image: plain, Content: content, Keep: func(g int64) bool { return g%5 == 3 }}
				res, err = formats.Encode(ctx, holes, &out, k.to, k.opts)
				if err != nil {
					t.Fatal(err)
				}
				path = filepath.Join(dir, name+".stream")
				write(t, path, out.Bytes())
				check("stream", path, res)
			}
		})
	}
}

func allocated(t *testing.T, path string) int64 {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := raw.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	n, err := disk.Allocated(context.Background(), img)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestEveryPair: from every format to every other and back to raw the content
// stays the same.
func TestEveryPair(t *testing.T) {
	ctx := context.Background()
	content := disktest.Patterns()["last partial"]
	plain := raw.New(bytes.NewReader(content), int64(len(content)))
	want, err := disk.ContentDigest(ctx, plain, plain.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	convert := func(img disk.Image, name string, k kept) disk.Image {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		res, err := formats.Convert(ctx, img, f, k.to, k.opts)
		if err != nil || res.Digest != want {
			t.Fatalf("%s: %+v (%v)", name, res, err)
		}
		return open(t, f.Name(), k.to)
	}
	for from, a := range ways() {
		first := convert(plain, from, a)
		for to, b := range ways() {
			second := convert(first, from+" to "+to, b)
			if at, equal, err := disk.Compare(ctx, plain, second); err != nil || !equal {
				t.Errorf("%s to %s: differs at %d (%v)", from, to, at, err)
			}
		}
	}
}

// TestFileDigest: the SHA-256 of what is written, in every format.
func TestFileDigest(t *testing.T) {
	ctx := context.Background()
	content := disktest.Patterns()["first and last"]
	plain := raw.New(bytes.NewReader(content), int64(len(content)))
	for way, k := range ways() {
		opts := k.opts
		opts.FileDigest = true
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		res, err := formats.Convert(ctx, plain, f, k.to, opts)
		if err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		b, err := os.ReadFile(f.Name())
		if err != nil || res.FileDigest != sha256.Sum256(b) {
			t.Errorf("%s: another digest (%v)", way, err)
		}
		if !k.stream {
			continue
		}
		var out bytes.Buffer
		if res, err = formats.Encode(ctx, plain, &out, k.to, opts); err != nil || res.FileDigest != sha256.Sum256(out.Bytes()) {
			t.Errorf("%s, as a stream: another digest (%v)", way, err)
		}
	}
}

// TestFromStream: a stream goes to a file of every format.
func TestFromStream(t *testing.T) {
	ctx := context.Background()
	content := disktest.Patterns()["first and last"]
	plain := raw.New(bytes.NewReader(content), int64(len(content)))
	var stream bytes.Buffer
	want, err := formats.Encode(ctx, plain, &stream, disk.VMDK, disk.EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for way, k := range ways() {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		res, err := formats.Transcode(ctx, bytes.NewReader(stream.Bytes()), formats.Source{}, -1, f, k.to, k.opts)
		if err != nil || res.Digest != want.Digest {
			t.Errorf("%s: %+v (%v)", way, res, err)
			continue
		}
		disktest.Judge(t, f.Name(), k.oracle, content)
	}
	_, err = formats.Transcode(ctx, bytes.NewReader(stream.Bytes()), formats.Source{}, -1, io.Discard, disk.VHD, disk.EncodeOptions{})
	if !errors.Is(err, disk.ErrUnsupported) {
		t.Errorf("VHD from a stream to a stream: %v", err)
	}
}

// TestReadsWhatOracleWrites: every format and variant that qemu-img writes.
func TestReadsWhatOracleWrites(t *testing.T) {
	ovftest.Slow(t)
	for name, c := range map[string]struct {
		format, oracle, options string
	}{
		"vdi":              {"vdi", "vdi", ""},
		"vdi, fixed":       {"vdi", "vdi", "static=on"},
		"vhdx":             {"vhdx", "vhdx", ""},
		"vhdx, fixed":      {"vhdx", "vhdx", "subformat=fixed"},
		"vhdx, one MiB":    {"vhdx", "vhdx", "block_size=1048576"},
		"vhdx, zero state": {"vhdx", "vhdx", "block_state_zero=off"},
		"vhd":              {"vhd", "vpc", "force_size=on"},
		"vhd, fixed":       {"vhd", "vpc", "force_size=on,subformat=fixed"},
		"vhd, by geometry": {"vhd", "vpc", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for pattern, content := range disktest.Telling() {
				if name == "vhd, fixed" && len(content) == 0 {
					continue // qemu-img cannot end it: it opens no such disk
				}
				var args []string
				if c.options != "" {
					args = []string{"-o", c.options}
				}
				image := disktest.Made(t, content, c.oracle, args...)
				img, err := formats.Open(bytes.NewReader(image), int64(len(image)), formats.Source{Declared: disk.Format(c.format)})
				if err != nil {
					t.Fatalf("%s: %v", pattern, err)
				}
				got, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
				want := disktest.Padded(content)
				if err != nil || len(got) < len(want) || !bytes.Equal(got[:len(want)], want) || !disk.IsZero(got[len(want):]) {
					t.Errorf("%s: we read other content (%v)", pattern, err)
				}
				disktest.Extents(t, img, got)
			}
		})
	}
}

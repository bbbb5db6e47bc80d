package formats_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func content(t testing.TB, img disk.Image) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, path string, declared disk.Format) disk.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	img, err := formats.Open(f, st.Size(), formats.Source{Name: path, Declared: declared})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	disktest.Write(t, path, b)
}

// written are the ways in which we write VMDK.
func written(t *testing.T, b []byte) map[string][]byte {
	ctx := context.Background()
	img := raw.New(bytes.NewReader(b), int64(len(b)))
	out := map[string][]byte{}
	for name, level := range map[string]int{"default": 0, "fastest": 1, "smallest": 9, "stored level": disk.LevelStored} {
		var buf bytes.Buffer
		if _, err := formats.Encode(ctx, img, &buf, disk.VMDK, disk.EncodeOptions{Level: level}); err != nil {
			t.Fatal(err)
		}
		out[name] = buf.Bytes()
	}
	stored, err := vmdk.Stored(ctx, &disktest.Holes{Image: img, Content: b}, vmdk.StoredOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if out["stored form"], err = io.ReadAll(io.NewSectionReader(stored, 0, stored.Size())); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOracleReadsWhatWeWrite: qemu-img finds no fault in our images and reads
// the content we put in.
func TestOracleReadsWhatWeWrite(t *testing.T) {
	ovftest.Slow(t)
	for name, b := range disktest.Telling() {
		if len(b) == 0 {
			continue // qemu-img takes no disk of 0 bytes
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for how, image := range written(t, b) {
				in := filepath.Join(dir, how+".vmdk")
				write(t, in, image)
				disktest.Judge(t, in, "vmdk", b)
			}
		})
	}
}

// TestWeReadWhatOracleWrites, anywhere and as a stream.
func TestWeReadWhatOracleWrites(t *testing.T) {
	ovftest.Slow(t)
	for name, b := range disktest.Telling() {
		if len(b) == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "out.vmdk")
			for _, subformat := range []string{"streamOptimized", "monolithicSparse"} {
				write(t, out, disktest.Made(t, b, "vmdk", "-o", "subformat="+subformat))
				img := open(t, out, disk.VMDK)
				if !bytes.Equal(content(t, img), disktest.Padded(b)) {
					t.Errorf("%s: we read other content", subformat)
				}
				if img.Info().Variant != subformat {
					t.Errorf("%s: taken for %s", subformat, img.Info().Variant)
				}
				image, err := os.ReadFile(out)
				if err != nil {
					t.Fatal(err)
				}
				var got disktest.Memory
				res, err := formats.Decode(context.Background(), bytes.NewReader(image), formats.Source{Name: out}, -1, &got, disk.DecodeOptions{})
				if err != nil {
					t.Fatalf("%s: as a stream: %v", subformat, err)
				}
				if !bytes.Equal(got.Data, disktest.Padded(b)) {
					t.Errorf("%s: as a stream: we read other content", subformat)
				}
				if want, err := disk.ContentDigest(context.Background(), img, img.Size(), nil); err != nil || res.HasDigest && res.Digest != want {
					t.Errorf("%s: digest %v in one pass, %v (%v) of the image", subformat, res.Digest, want, err)
				}
			}
		})
	}
}

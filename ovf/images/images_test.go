package images_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/images"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

const size = 2<<20 + 512

// content is a disk with noise here and there.
func content() []byte {
	b := make([]byte, size)
	for _, at := range []int{0, 100_000, 1 << 20, size - 512} {
		copy(b[at:], ovftest.Noise(uint64(at), 512))
	}
	return b
}

// stored is the disk as a file in a format.
func stored(t *testing.T, f disk.Format) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := formats.Convert(context.Background(), raw.New(bytes.NewReader(content()), size), out, f, disk.EncodeOptions{}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packages are one package as a file and as a stream.
func packages(t *testing.T, s ovftest.Spec) map[string]ovf.Package {
	t.Helper()
	archive := s.OVA(t)
	file, err := ova.Open(context.Background(), bytes.NewReader(archive), int64(len(archive)), "app.ova", ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := ova.Read(context.Background(), bytes.NewReader(archive), "-", ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close(); stream.Close() })
	return map[string]ovf.Package{"file": file, "stream": stream}
}

// each calls do for the first file of a package, and reads the rest of it.
func each(t *testing.T, pkg ovf.Package, do func(*files.Content) error) error {
	t.Helper()
	var first error
	done := false
	for c, err := range files.Contents(context.Background(), pkg, files.Options{}) {
		if err != nil {
			return errors.Join(first, err)
		}
		if !done {
			done, first = true, do(c)
		}
	}
	return first
}

var all = []disk.Format{disk.Raw, disk.QCOW2, disk.VMDK, disk.VMDKSparse, disk.VHD, disk.VHDX, disk.VDI}

// TestDecodeEncodeOpen: a disk of any format, plain, compressed or in chunks, of
// a file or a stream, is decoded, re-encoded and opened as what it holds, and
// leaves nothing behind. Those that are packed only where CIMIMOVE_SLOW is 1.
func TestDecodeEncodeOpen(t *testing.T) {
	for _, from := range all {
		image := stored(t, from)
		for way, change := range map[string]func(*ovftest.File){
			"plain": func(*ovftest.File) {}, "compressed": func(f *ovftest.File) { f.Compression = "gzip" },
			"chunks": func(f *ovftest.File) { f.ChunkSize = int64(len(image)/3 + 1) },
		} {
			if way != "plain" && from != disk.VMDK && os.Getenv("CIMIMOVE_SLOW") != "1" {
				continue
			}
			spec := ovftest.Spec{Files: []ovftest.File{{Href: "disk", Content: image, Disk: true, Capacity: size}}}
			change(&spec.Files[0])
			for _, source := range []string{"file", "stream"} {
				spool := t.TempDir()
				src := formats.Source{Name: "disk", Declared: from}
				// Formats round sizes up; what is more is zero.
				same := func(got []byte) bool {
					return len(got) >= size && bytes.Equal(got[:size], content()) && len(bytes.Trim(got[size:], "\x00")) == 0
				}
				for what, do := range map[string]func(images.Reader, *files.Content) ([]byte, error){
					"decoded": func(r images.Reader, c *files.Content) ([]byte, error) {
						m := &memory{}
						_, err := r.Decode(context.Background(), c, src, c.ImageSize(size), m, disk.DecodeOptions{})
						return m.b, err
					},
					"encoded": func(r images.Reader, c *files.Content) ([]byte, error) {
						var out bytes.Buffer
						if _, err := r.Encode(context.Background(), c, src, c.ImageSize(size), &out, disk.QCOW2, disk.EncodeOptions{}); err != nil {
							return nil, err
						}
						img, err := formats.Open(bytes.NewReader(out.Bytes()), int64(out.Len()), formats.Source{Declared: disk.QCOW2})
						if err != nil {
							return nil, err
						}
						return io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
					},
					"opened": func(r images.Reader, c *files.Content) ([]byte, error) {
						img, err := r.Open(context.Background(), c, src)
						if err != nil {
							return nil, err
						}
						defer img.Close()
						return io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
					},
				} {
					pkg := packages(t, spec)[source]
					var got []byte
					if err := each(t, pkg, func(c *files.Content) (err error) {
						got, err = do(images.Reader{Package: pkg, Spool: spool}, c)
						return err
					}); err != nil || !same(got) {
						t.Errorf("%s, %s, %s, %s: %d bytes, %v", from, way, source, what, len(got), err)
					}
				}
				if left, _ := os.ReadDir(spool); len(left) > 0 {
					t.Errorf("%s, %s, %s: %v is left", from, way, source, left)
				}
			}
		}
	}
}

// TestIntegrity: a disk whose digest is wrong is not taken, whatever its format
// makes of the bytes.
func TestIntegrity(t *testing.T) {
	for _, from := range all {
		spec := ovftest.Spec{Flip: "disk", Files: []ovftest.File{{Href: "disk", Content: stored(t, from), Disk: true, Capacity: size}}}
		for name, pkg := range packages(t, spec) {
			var integrity *ovf.IntegrityError
			err := each(t, pkg, func(c *files.Content) error {
				_, err := images.Reader{Package: pkg, Spool: t.TempDir()}.Decode(context.Background(), c, formats.Source{Name: "disk", Declared: from}, size, &memory{}, disk.DecodeOptions{})
				return err
			})
			if !errors.As(err, &integrity) {
				t.Errorf("%s, %s: %v, want an integrity error", from, name, err)
			}
		}
	}
}

// TestOracle: a disk goes from each format to each other as qemu-img sees it.
func TestOracle(t *testing.T) {
	ovftest.Slow(t)
	qemu, err := exec.LookPath("qemu-img")
	if err != nil {
		ovftest.Missing(t, "qemu-img")
	}
	plain := filepath.Join(t.TempDir(), "plain.raw")
	if err := os.WriteFile(plain, content(), 0o600); err != nil {
		t.Fatal(err)
	}
	names := map[disk.Format]string{disk.Raw: "raw", disk.QCOW2: "qcow2", disk.VMDK: "vmdk", disk.VMDKSparse: "vmdk", disk.VHD: "vpc", disk.VHDX: "vhdx", disk.VDI: "vdi"}
	for _, from := range []disk.Format{disk.QCOW2, disk.VMDK, disk.VHDX} {
		spec := ovftest.Spec{Files: []ovftest.File{{Href: "disk", Content: stored(t, from), Disk: true, Capacity: size, Compression: "gzip"}}}
		for _, to := range all {
			pkg := packages(t, spec)["stream"]
			out := filepath.Join(t.TempDir(), "out")
			if err := each(t, pkg, func(c *files.Content) error {
				f, err := os.Create(out)
				if err != nil {
					return err
				}
				defer f.Close()
				_, err = images.Reader{Package: pkg}.Encode(context.Background(), c, formats.Source{Name: "disk", Declared: from}, size, struct{ io.Writer }{f}, to, disk.EncodeOptions{})
				return err
			}); err != nil {
				t.Errorf("%s to %s: %v", from, to, err)
				continue
			}
			if said, err := exec.Command(qemu, "compare", "-f", "raw", "-F", names[to], plain, out).CombinedOutput(); err != nil {
				t.Errorf("%s to %s: %v: %s", from, to, err, said)
			}
		}
	}
}

// memory is a sink that keeps the disk.
type memory struct{ b []byte }

func (m *memory) Begin(info disk.Info) error { m.b = make([]byte, info.Size); return nil }

func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy(m.b[off:], p), nil }

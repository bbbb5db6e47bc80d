package formats_test

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestCorpusVMDK: the corpus's images that other tools made, alone and in
// OVAs, read as qemu-img reads them, anywhere and as a stream.
func TestCorpusVMDK(t *testing.T) {
	ovftest.Slow(t)
	found := 0
	for name, image := range corpusImages(t) {
		if !bytes.HasPrefix(image, []byte("KDMV")) {
			continue
		}
		found++
		t.Run(name, func(t *testing.T) { sameAsOracle(t, image) })
	}
	if found < 10 {
		t.Errorf("only %d VMDK images in the corpus", found)
	}
}

func sameAsOracle(t *testing.T, image []byte) {
	qemu := disktest.Tool(t, "qemu-img")
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "image.vmdk")
	write(t, path, image)
	disktest.Run(t, qemu, "convert", "-f", "vmdk", "-O", "raw", path, filepath.Join(dir, "oracle.raw"))
	oracle := open(t, filepath.Join(dir, "oracle.raw"), disk.Raw)
	img := open(t, path, "")
	if at, equal, err := disk.Compare(ctx, oracle, img); err != nil || !equal || img.Size() != oracle.Size() {
		t.Errorf("differs at %d, size %d and %d (%v)", at, oracle.Size(), img.Size(), err)
	}
	out := create(t, dir, "stream.raw")
	res, err := formats.ConvertStream(ctx, bytes.NewReader(image), formats.Source{Name: "image.vmdk"}, -1, out, disk.Raw, disk.EncodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	copied, err := raw.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	if at, equal, err := disk.Compare(ctx, oracle, copied); err != nil || !equal || copied.Size() != oracle.Size() {
		t.Errorf("as a stream: differs at %d (%v)", at, err)
	}
	if want, err := disk.ContentDigest(ctx, oracle, oracle.Size(), nil); err != nil || !res.HasDigest || res.Digest != want {
		t.Errorf("as a stream: digest %v (%v), of the oracle's %v (%v)", res.Digest, res.HasDigest, want, err)
	}
}

// TestCorpusHyperV: Hyper-V's images, by content and size. Of the VHD the size
// is the footer's, not the geometry's.
func TestCorpusHyperV(t *testing.T) {
	ovftest.Slow(t)
	qemu := disktest.Tool(t, "qemu-img")
	for suffix, oracle := range map[string]string{"hyperv2012r2-dynamic.vhd": "vpc", "iotest-dynamic-1G.vhdx": "vhdx"} {
		found := false
		for name, image := range corpusImages(t) {
			if !strings.HasSuffix(name, suffix) {
				continue
			}
			found = true
			path := filepath.Join(t.TempDir(), suffix)
			write(t, path, image)
			img := open(t, path, "")
			plain := path + ".raw"
			disktest.Run(t, qemu, "convert", "-t", "unsafe", "-f", oracle, "-O", "raw", path, plain)
			want := open(t, plain, disk.Raw)
			if at, equal, err := disk.Compare(context.Background(), want, img); err != nil || !equal || img.Size() != want.Size() {
				t.Errorf("%s: differs at %d, size %d and %d (%v)", name, at, want.Size(), img.Size(), err)
			}
		}
		if !found {
			t.Errorf("%s is not in the corpus", suffix)
		}
	}
}

// TestCorpusOthers: what is no VMDK is recognised and refused by name, never
// taken for raw.
func TestCorpusOthers(t *testing.T) {
	ovftest.Slow(t)
	want := map[string]struct {
		kind string
		err  error
	}{
		"parallels-v1":              {"parallels", disk.ErrUnsupported},
		"rawdisk.raw":               {"of no known format", nil},
		"input.iso":                 {"of no known format", disk.ErrWrongFormat},
		"test.tar":                  {"of no known format", disk.ErrWrongFormat},
		"Ubuntu1.vmdk":              {"vmdk (monolithicFlat)", disk.ErrUnsupported},
		"compr_disk.vmdk.gz (bare)": {"gzip", disk.ErrWrongFormat},
	}
	images := corpusImages(t)
	if gz, err := os.ReadFile(filepath.Join(disktest.Corpus(t, "disks"), "ganeti-ganeti__compr_disk.vmdk.gz")); err == nil {
		images["compr_disk.vmdk.gz (bare)"] = gz
	}
	for suffix, w := range want {
		for name, image := range images {
			if !strings.HasSuffix(name, suffix) {
				continue
			}
			delete(want, suffix)
			r, size := bytes.NewReader(image), int64(len(image))
			k, err := disk.Detect(r, size)
			if err != nil || k.String() != w.kind {
				t.Errorf("%s: detected %v (%v), want %s", name, k, err, w.kind)
			}
			src := formats.Source{Name: name}
			if strings.HasSuffix(name, "(bare)") {
				src.Declared = disk.VMDK
			}
			if _, err := formats.Open(r, size, src); !errors.Is(err, w.err) {
				t.Errorf("%s: opening gives %v, want %v", name, err, w.err)
			}
			if _, err := formats.Decode(context.Background(), r, src, size, disktest.Discard{}, disk.DecodeOptions{}); !errors.Is(err, w.err) {
				t.Errorf("%s: decoding gives %v, want %v", name, err, w.err)
			}
		}
	}
	for name := range want {
		t.Errorf("%s is not in the corpus", name)
	}
}

// corpusImages are the files of the corpus's disks and OVAs, decompressed.
func corpusImages(t *testing.T) map[string][]byte {
	corpusOnce.Do(func() { corpus = readCorpus(t) })
	if corpus == nil {
		t.Skip("no corpus")
	}
	return maps.Clone(corpus)
}

var (
	corpusOnce sync.Once
	corpus     map[string][]byte
)

func readCorpus(t *testing.T) map[string][]byte {
	out := map[string][]byte{}
	disks := disktest.Corpus(t, "disks")
	for _, path := range glob(t, disks) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		add(t, out, filepath.Base(path), b)
	}
	for _, path := range glob(t, disktest.Corpus(t, "ova")) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(b, []byte("\x1f\x8b")) {
			b = gunzip(t, b)
		}
		for tr := tar.NewReader(bytes.NewReader(b)); ; {
			hd, err := tr.Next()
			if err != nil {
				break // what is not sound is another test's
			}
			member, err := io.ReadAll(tr)
			if err != nil {
				break
			}
			if strings.Contains(hd.Name, ".vmdk") {
				add(t, out, filepath.Base(path)+"/"+hd.Name, member)
			}
		}
	}
	return out
}

func add(t *testing.T, out map[string][]byte, name string, b []byte) {
	switch {
	case strings.HasSuffix(name, ".gz"):
		name, b = strings.TrimSuffix(name, ".gz"), gunzip(t, b)
	case strings.HasSuffix(name, ".bz2"):
		var err error
		if b, err = io.ReadAll(bzip2.NewReader(bytes.NewReader(b))); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		name = strings.TrimSuffix(name, ".bz2")
	}
	out[name] = b
}

func gunzip(t *testing.T, b []byte) []byte {
	zr, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func glob(t *testing.T, dir string) []string {
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

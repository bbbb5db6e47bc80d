package qcow2_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// variants are the arguments of qemu-img convert that make them.
var variants = map[string][]string{
	"version 2":              {"-o", "compat=0.10"},
	"version 3":              {"-o", "compat=1.1"},
	"smallest clusters":      {"-o", "cluster_size=512"},
	"largest clusters":       {"-o", "cluster_size=2M"},
	"zlib":                   {"-c"},
	"zlib, version 2":        {"-c", "-o", "compat=0.10"},
	"zlib, 4 KiB clusters":   {"-c", "-o", "cluster_size=4k"},
	"zlib, largest clusters": {"-c", "-o", "cluster_size=2M"},
	"zstd":                   {"-c", "-o", "compression_type=zstd"},
	"zstd, largest clusters": {"-c", "-o", "compression_type=zstd,cluster_size=2M"},
	"preallocated":           {"-o", "preallocation=metadata"},
	"lazy refcounts":         {"-o", "lazy_refcounts=on,refcount_bits=1"},
	"wide refcounts":         {"-o", "refcount_bits=64,cluster_size=1k"},
	"all preallocated":       {"-o", "preallocation=falloc,cluster_size=8k"},
	"extended L2":            {"-o", "extended_l2=on"},
	"extended L2, smallest":  {"-o", "extended_l2=on,cluster_size=16k"},
	"extended L2, largest":   {"-o", "extended_l2=on,cluster_size=2M"},
	"extended L2, zlib":      {"-c", "-o", "extended_l2=on,cluster_size=128k"},
	"extended L2, zstd":      {"-c", "-o", "extended_l2=on,compression_type=zstd"},
}

// made is content as qemu-img's qcow2 with args.
func made(t testing.TB, content []byte, args ...string) []byte {
	t.Helper()
	return disktest.Made(t, content, "qcow2", args...)
}

func open(t testing.TB, image []byte) *qcow2.Image {
	t.Helper()
	img, err := qcow2.Open(bytes.NewReader(image), int64(len(image)), "disk.qcow2")
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// read opens the image and reads all of it.
func read(image []byte) error {
	img, err := qcow2.Open(bytes.NewReader(image), int64(len(image)), "disk.qcow2")
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.NewSectionReader(img, 0, img.Size()))
	return err
}

// TestReadsWhatOracleWrites in every variant.
func TestReadsWhatOracleWrites(t *testing.T) {
	ovftest.Slow(t)
	rng := rand.New(rand.NewPCG(1, 3))
	mixed := make([]byte, 5<<20+512)
	copy(mixed, disktest.Noise(rng, 200000))
	copy(mixed[3<<20+100:], disktest.Text(rng, 400000))
	copy(mixed[len(mixed)-512:], disktest.Noise(rng, 512))
	for name, args := range variants {
		t.Run(name, func(t *testing.T) { same(t, mixed, args...) })
	}
	for name, content := range disktest.Telling() {
		if len(content) > 0 && len(content) < 8<<20 { // qemu-img makes nothing of nothing
			t.Run("version 3, "+name, func(t *testing.T) { same(t, content) })
			t.Run("zlib, "+name, func(t *testing.T) { same(t, content, "-c") })
		}
	}
}

func same(t *testing.T, content []byte, args ...string) {
	img := open(t, made(t, content, args...))
	want := disktest.Padded(content)
	got, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("reads other content (%v)", err)
	}
	rng := rand.New(rand.NewPCG(1, 4))
	for range 20 {
		off := rng.IntN(len(want))
		p := make([]byte, 1+rng.IntN(200000))
		n, err := img.ReadAt(p, int64(off))
		if err != nil && err != io.EOF || !bytes.Equal(p[:n], want[off:min(len(want), off+len(p))]) {
			t.Fatalf("%d bytes at %d differ (%v)", len(p), off, err)
		}
	}
	at := int64(0)
	for e, err := range img.Extents(context.Background(), 0, img.Size()) {
		if err != nil || e.Offset != at || e.Length <= 0 {
			t.Fatalf("extent %+v at %d (%v)", e, at, err)
		}
		if at += e.Length; e.Zero && !disk.IsZero(want[e.Offset:at]) {
			t.Errorf("extent %+v holds data", e)
		}
	}
	if at != img.Size() {
		t.Errorf("extents end at %d of %d", at, img.Size())
	}
}

// TestRefusesByName what would need more than the file, or a feature.
func TestRefusesByName(t *testing.T) {
	qemu := disktest.Tool(t, "qemu-img")
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	disktest.Run(t, qemu, "create", "-f", "qcow2", path("base"), "1M")
	disktest.Run(t, qemu, "create", "-f", "qcow2", "-b", path("base"), "-F", "qcow2", path("a backing file"))
	disktest.Run(t, qemu, "create", "-f", "qcow2", "-o", "data_file="+path("data"), path("an external data file"), "1M")
	encrypted := made(t, make([]byte, 1<<20))
	encrypted[35] = 2 // LUKS; making one for real is slow and wants a steady clock
	if err := os.WriteFile(path("encryption"), encrypted, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, feature := range []string{"a backing file", "an external data file", "encryption"} {
		b, err := os.ReadFile(path(feature))
		if err != nil {
			t.Fatal(err)
		}
		if err := read(b); !errors.Is(err, disk.ErrUnsupported) || !strings.Contains(err.Error(), feature) {
			t.Errorf("%s: %v", feature, err)
		}
	}
	if err := read([]byte("KDMV and so on")); !errors.Is(err, disk.ErrWrongFormat) {
		t.Errorf("a VMDK: %v", err)
	}
}

// TestPartsOfClusters: with extended L2 entries, parts of a cluster are data,
// zeros or the backing file's.
func TestPartsOfClusters(t *testing.T) {
	qemu, qemuIO := disktest.Tool(t, "qemu-img"), disktest.Tool(t, "qemu-io")
	dir := t.TempDir()
	base, top := filepath.Join(dir, "base"), filepath.Join(dir, "top")
	disktest.Run(t, qemu, "create", "-f", "raw", base, "1M")
	disktest.Run(t, qemuIO, "-f", "raw", "-c", "write -P 1 0 700k", base)
	disktest.Run(t, qemu, "create", "-f", "qcow2", "-b", base, "-F", "raw", "-o", "extended_l2=on", top)
	disktest.Run(t, qemuIO, "-c", "write -P 2 66k 2k", "-c", "write -P 3 127k 3k", "-c", "write -z 192k 6k", "-c", "write -z 256k 64k", "-c", "write -P 4 1022k 2k", top)
	want := make([]byte, 1<<20)
	fill := func(b byte, at, n int) { copy(want[at<<10:], bytes.Repeat([]byte{b}, n<<10)) }
	fill(1, 0, 700)
	fill(2, 66, 2)
	fill(3, 127, 3)
	fill(0, 192, 6)
	fill(0, 256, 64)
	fill(4, 1022, 2)
	image, err := os.ReadFile(top)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(base)
	if err != nil {
		t.Fatal(err)
	}
	img, err := qcow2.OpenOver(bytes.NewReader(image), int64(len(image)), "top", func([]string, disk.Format) (disk.Image, error) {
		return raw.New(bytes.NewReader(content), int64(len(content))), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("reads other content (%v)", err)
	}
	disktest.Extents(t, img, want)
}

// TestSnapshotsAreKeptApart: the current state is read, not an earlier one.
func TestSnapshotsAreKeptApart(t *testing.T) {
	qemu, qemuIO := disktest.Tool(t, "qemu-img"), disktest.Tool(t, "qemu-io")
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	disktest.Run(t, qemu, "create", "-f", "qcow2", path, "1M")
	disktest.Run(t, qemuIO, "-c", "write -P 1 0 256k", path)
	disktest.Run(t, qemu, "snapshot", "-c", "one", path)
	disktest.Run(t, qemuIO, "-c", "write -P 2 64k 64k", path)
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte{1}, 1<<20)
	copy(want[64<<10:], bytes.Repeat([]byte{2}, 64<<10))
	clear(want[256<<10:])
	if !bytes.Equal(all(image), want) {
		t.Error("reads another state")
	}
	if n := open(t, image).Info().Snapshots; n != 1 {
		t.Errorf("says %d snapshots", n)
	}
}

// all is the content of the image, nil where it cannot be read.
func all(image []byte) []byte {
	img, err := qcow2.Open(bytes.NewReader(image), int64(len(image)), "")
	if err != nil {
		return nil
	}
	b, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
	if err != nil {
		return nil
	}
	return b
}

// TestOverTables: neither a table nor content lies where the table of tables or
// that of reference counts is.
func TestOverTables(t *testing.T) {
	image := made(t, disktest.Text(rand.New(rand.NewPCG(1, 5)), 300000))
	be := binary.BigEndian
	l1, counts := be.Uint64(image[40:]), be.Uint64(image[48:])
	l2 := be.Uint64(image[l1:]) & 0x00fffffffffffe00
	for what, entry := range map[string]uint64{"a table": l1, "content": l2} {
		for where, at := range map[string]uint64{"the table of tables": l1, "that of reference counts": counts} {
			bad := bytes.Clone(image)
			be.PutUint64(bad[entry:], 1<<63|at)
			if err := read(bad); !errors.Is(err, disk.ErrCorrupt) {
				t.Errorf("%s at %s: %v", what, where, err)
			}
		}
	}
}

// TestDamagedEntries: an entry that no writer makes is not read as zeros or as
// what a part of it says.
func TestDamagedEntries(t *testing.T) {
	be := binary.BigEndian
	for compat, args := range map[string][]string{"2": {"-o", "compat=0.10"}, "3": nil, "3, extended": {"-o", "extended_l2=on"}} {
		image := made(t, disktest.Text(rand.New(rand.NewPCG(1, 5)), 300000), args...)
		l1 := be.Uint64(image[40:])
		l2 := be.Uint64(image[l1:]) & 0x00fffffffffffe00
		for where, at := range map[string]uint64{"L1": l1, "L2": l2} {
			old := be.Uint64(image[at:])
			entries := map[string]uint64{"a reserved low bit": old | 1<<3, "a reserved high bit": old | 1<<57}
			if where == "L1" || compat != "3, extended" {
				entries["nothing, with one reference"] = 1 << 63
			}
			if where == "L1" || compat != "3" {
				entries["the bit of zeros"] = old | 1
			}
			for what, e := range entries {
				bad := bytes.Clone(image)
				be.PutUint64(bad[at:], e)
				if err := read(bad); !errors.Is(err, disk.ErrCorrupt) {
					t.Errorf("version %s: %s entry with %s: %v", compat, where, what, err)
				}
			}
		}
	}
}

// TestDamagedHeader: what the header says of reference counts is of no use for
// reading, and shows what became of the rest.
func TestDamagedHeader(t *testing.T) {
	image := made(t, make([]byte, 300000))
	for name, damage := range map[string]func(b []byte){
		"no counts":            func(b []byte) { clear(b[56:60]) },
		"counts at 0":          func(b []byte) { clear(b[48:56]) },
		"counts off a cluster": func(b []byte) { b[55]++ },
		"counts outside":       func(b []byte) { b[49]++ },
		"wide counts":          func(b []byte) { b[99] = 7 },
		"a long header":        func(b []byte) { b[101] = 2 },
	} {
		bad := bytes.Clone(image)
		damage(bad)
		if err := read(bad); !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTruncatedAnywhere(t *testing.T) {
	content := disktest.Text(rand.New(rand.NewPCG(1, 5)), 20000)
	for _, args := range [][]string{{"-o", "cluster_size=4k"}, {"-c", "-o", "cluster_size=4k"}, {"-c", "-o", "cluster_size=4k,compression_type=zstd"}} {
		image := made(t, content, args...)
		for n := 0; n < len(image)-512; n += 512 {
			if bytes.Equal(all(image[:n]), disktest.Padded(content)) {
				if n < len(image)-4096 {
					t.Errorf("%q: the first %d bytes of %d hold all the content", args, n, len(image))
				}
				break // the rest of the last cluster lies behind the disk's size
			}
			err := read(image[:n])
			if n == 0 && errors.Is(err, disk.ErrWrongFormat) {
				continue
			}
			if !errors.Is(err, disk.ErrCorrupt) {
				t.Errorf("%q: the first %d bytes of %d: %v", args, n, len(image), err)
			}
		}
	}
}

// FuzzOpen: whatever the bytes, opening and reading ends without panic.
func FuzzOpen(f *testing.F) {
	content := disktest.Text(rand.New(rand.NewPCG(1, 6)), 9000)
	f.Add([]byte("QFI\xfb\x00\x00\x00\x03"))
	for _, args := range [][]string{{"-o", "cluster_size=512"}, {"-c", "-o", "cluster_size=512"}, {"-c", "-o", "cluster_size=512,compression_type=zstd"}} {
		f.Add(made(f, content, args...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var img *qcow2.Image
		var err error
		disktest.Bounded(t, disktest.Bound, func() { img, err = qcow2.Open(bytes.NewReader(b), int64(len(b)), "fuzz") })
		if err != nil {
			return
		}
		at, limit := int64(0), min(img.Size(), 64<<20)
		for e, err := range img.Extents(context.Background(), 0, limit) {
			if err != nil {
				return
			}
			if e.Offset != at || e.Length <= 0 {
				t.Fatalf("extent %+v at %d", e, at)
			}
			at += e.Length
		}
		if at != limit {
			t.Fatalf("extents end at %d of %d", at, limit)
		}
		_, _ = io.Copy(io.Discard, io.NewSectionReader(img, 0, min(img.Size(), 8<<20)))
	})
}

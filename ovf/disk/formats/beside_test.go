package formats_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/internal/disktest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func openFile(t *testing.T, path string, src formats.Source) (disk.Image, error) {
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
	src.Name = path
	img, err := formats.OpenFile(f, st.Size(), src)
	if err == nil {
		t.Cleanup(func() { img.Close() })
	}
	return img, err
}

// TestSpread: disks of several files are read from those beside the
// descriptor, and from nowhere else.
func TestSpread(t *testing.T) {
	ovftest.Slow(t)
	qemu := disktest.Tool(t, "qemu-img")
	content := disktest.SeveralTables()
	for _, subformat := range []string{"monolithicFlat", "twoGbMaxExtentFlat", "twoGbMaxExtentSparse"} {
		dir := t.TempDir()
		in, path := filepath.Join(dir, "in.raw"), filepath.Join(dir, "disk.vmdk")
		write(t, in, content)
		disktest.Run(t, qemu, "convert", "-t", "unsafe", "-f", "raw", "-O", "vmdk", "-o", "subformat="+subformat, in, path)
		img, err := openFile(t, path, formats.Source{})
		if err != nil {
			t.Fatalf("%s: %v", subformat, err)
		}
		got, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
		if err != nil || !bytes.Equal(got, content) || img.Info().Variant != subformat {
			t.Errorf("%s: reads other content as %s (%v)", subformat, img.Info().Variant, err)
		}
		disktest.Extents(t, img, content)

		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := formats.Open(bytes.NewReader(text), int64(len(text)), formats.Source{}); !errors.Is(err, disk.ErrUnsupported) {
			t.Errorf("%s: without other files: %v", subformat, err)
		}
		extents, err := filepath.Glob(filepath.Join(dir, "disk-*"))
		if err != nil || len(extents) != 1 {
			t.Fatalf("extent files %q (%v)", extents, err)
		}
		extent := filepath.Base(extents[0])
		for _, name := range []string{"../" + filepath.Base(dir) + "/" + extent, extents[0], `..\` + extent, "gone.vmdk", ".."} {
			write(t, path, bytes.Replace(text, []byte(extent), []byte(name), 1))
			if _, err := openFile(t, path, formats.Source{}); err == nil {
				t.Errorf("%s: opens %s", subformat, name)
			}
		}
		link := filepath.Join(dir, "link.vmdk")
		outside := filepath.Join(t.TempDir(), "outside")
		if err := os.Rename(extents[0], outside); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, link); err != nil {
			t.Fatal(err)
		}
		write(t, path, bytes.Replace(text, []byte(extent), []byte("link.vmdk"), 1))
		if _, err := openFile(t, path, formats.Source{}); err == nil {
			t.Errorf("%s: follows a link out of the folder", subformat)
		}
		if err := os.Truncate(outside, 4096); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(outside, extents[0]); err != nil {
			t.Fatal(err)
		}
		write(t, path, text)
		img, err = openFile(t, path, formats.Source{})
		if err == nil {
			_, err = io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
		}
		if !errors.Is(err, disk.ErrCorrupt) {
			t.Errorf("%s: a truncated extent: %v", subformat, err)
		}
	}
}

// TestBacking: a backing file is read where it is allowed by name, and only
// there.
func TestBacking(t *testing.T) {
	qemu, qemuIO := disktest.Tool(t, "qemu-img"), disktest.Tool(t, "qemu-io")
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	base := disktest.Patterns()["odd noise"]
	write(t, path("base.raw"), base)
	disktest.Run(t, qemu, "create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", path("middle.qcow2"))
	disktest.Run(t, qemu, "create", "-f", "qcow2", "-b", path("middle.qcow2"), "-F", "qcow2", path("top.qcow2"), "4M")
	disktest.Run(t, qemuIO, "-c", "write -P 3 65000 3000", path("middle.qcow2"))
	disktest.Run(t, qemuIO, "-c", "write -P 4 1M 64k", "-c", "write -z 0 64k", path("top.qcow2"))
	want := make([]byte, 4<<20)
	copy(want, base)
	copy(want[65000:], bytes.Repeat([]byte{3}, 3000))
	copy(want[1<<20:], bytes.Repeat([]byte{4}, 64<<10))
	clear(want[:64<<10])
	img, err := openFile(t, path("top.qcow2"), formats.Source{Backing: []string{"middle.qcow2", "base.raw"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(img, 0, img.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("reads other content (%v)", err)
	}
	disktest.Extents(t, img, want)
	for _, allowed := range [][]string{nil, {"base.raw"}, {"middle.qcow2"}} {
		if _, err := openFile(t, path("top.qcow2"), formats.Source{Backing: allowed}); !errors.Is(err, disk.ErrUnsupported) || !strings.Contains(err.Error(), "unsupported: a backing file") || !strings.Contains(err.Error(), "make one image of the chain") {
			t.Errorf("allowed %q: %v", allowed, err)
		}
	}
	disktest.Run(t, qemu, "rebase", "-u", "-b", "loop.qcow2", "-F", "qcow2", path("middle.qcow2"))
	if err := os.Rename(path("middle.qcow2"), path("loop.qcow2")); err != nil {
		t.Fatal(err)
	}
	if _, err := openFile(t, path("loop.qcow2"), formats.Source{Backing: []string{"loop.qcow2"}}); !errors.Is(err, disk.ErrUnsupported) {
		t.Errorf("an image over itself: %v", err)
	}
}

package ova_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// gnuTar finds GNU tar, an outside reader and writer.
func gnuTar(t *testing.T) string {
	t.Helper()
	name, err := exec.LookPath("tar")
	if err == nil {
		var out []byte
		if out, err = exec.Command(name, "--version").Output(); err == nil && !bytes.Contains(out, []byte("GNU tar")) {
			err = exec.ErrNotFound
		}
	}
	if err != nil {
		if os.Getenv("CIMIMOVE_CI") == "1" {
			t.Fatalf("GNU tar is not there: %v", err)
		}
		t.Skipf("GNU tar is not there: %v", err)
	}
	return name
}

// Sparse members in each of GNU tar's four forms read as the files they were made of.
func TestSparseMembers(t *testing.T) {
	program := gnuTar(t)
	holes := make([]byte, 3<<20)
	for _, at := range []int{0, 1 << 20, 1<<20 + 128<<10, 2 << 20} {
		copy(holes[at:], ovftest.Noise(uint64(at), 5000))
	}
	many := make([]byte, 4<<20)
	for at := 0; at < len(many); at += 64 << 10 {
		copy(many[at:], ovftest.Noise(uint64(at), 4096))
	}
	s := ovftest.Spec{Files: []ovftest.File{
		{Href: "holes.img", Content: holes},
		{Href: "many.img", Content: many},
		{Href: "hole at the end.img", Content: append(ovftest.Noise(7, 4096), make([]byte, 1<<20)...)},
		{Href: "only a hole.img", Content: make([]byte, 1<<20)},
		{Href: "dense.img", Content: ovftest.Noise(8, 3000)},
	}}
	folder := t.TempDir()
	var names []string
	for _, m := range s.Members(t) {
		names = append(names, m.Name)
		if err := writeSparsely(filepath.Join(folder, m.Name), m.Content); err != nil {
			t.Fatal(err)
		}
	}
	for _, form := range [][]string{{"--format=gnu"}, {"--format=posix", "--sparse-version=0.0"}, {"--format=posix", "--sparse-version=0.1"}, {"--format=posix", "--sparse-version=1.0"}} {
		t.Run(form[len(form)-1], func(t *testing.T) {
			args := append(append([]string{"-C", folder, "--sparse", "-cf", "-"}, form...), names...)
			b, err := exec.Command(program, args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > 4<<20 {
				t.Skipf("the file system of the test keeps no holes: archive of %d bytes", len(b))
			}
			both(t, b, manifest.Require, func(t *testing.T, p ovf.Package, err error) {
				if err != nil {
					t.Fatal(err)
				}
				got, err := contents(p)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, got, s.Members(t)[2:])
			})
			p, err := ova.Open(t.Context(), bytes.NewReader(b), int64(len(b)), "sparse.ova", ova.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f, err := p.Open(t.Context(), "holes.img")
			if err != nil {
				t.Fatal(err)
			}
			for _, off := range []int{0, 4000, 1<<20 - 100, 1<<20 + 127<<10, 3<<20 - 50} {
				part := make([]byte, 6000)
				n, err := f.ReadAt(part, int64(off))
				if want := min(6000, len(holes)-off); n != want || (err == io.EOF) != (n < 6000) || !bytes.Equal(part[:n], holes[off:off+n]) {
					t.Errorf("at %d: %d bytes, %v", off, n, err)
				}
			}
		})
	}
}

func writeSparsely(name string, content []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(len(content))); err != nil {
		return err
	}
	for at := 0; at < len(content); at += 4096 {
		part := content[at:min(at+4096, len(content))]
		if len(bytes.Trim(part, "\x00")) == 0 {
			continue
		}
		if _, err := f.WriteAt(part, int64(at)); err != nil {
			return err
		}
	}
	return nil
}

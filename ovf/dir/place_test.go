package dir_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/dir"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func put(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A folder is replaced as a whole only when a package is all that it holds.
func TestStrangersAreKept(t *testing.T) {
	s := sample()
	s.Files = s.Files[:2]
	target := filepath.Join(t.TempDir(), "out")
	if err := write(t, target, s); err != nil {
		t.Fatal(err)
	}
	put(t, target, "notes.txt", "mine")
	err := write(t, target, s)
	if !errors.Is(err, dir.ErrNotReplaced) || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("error %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(target, "notes.txt")); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	put(t, filepath.Dir(file), "file", "mine")
	if err := write(t, file, s); !errors.Is(err, dir.ErrNotReplaced) {
		t.Errorf("a file: error %v", err)
	}
}

// Into places a package beside other files, replaces its own former files, and
// writes over no other.
func TestInto(t *testing.T) {
	into := func(folder string, s ovftest.Spec) error {
		w, err := dir.Create(folder, dir.WriterOptions{Descriptor: "app.ovf", Into: true})
		if err != nil {
			return err
		}
		defer w.Abort()
		for _, f := range s.Files {
			m, err := w.Create(t.Context(), f.Href)
			if err != nil {
				return err
			}
			if _, err := m.Write(f.Content); err != nil {
				return err
			}
			if err := m.Close(); err != nil {
				return err
			}
		}
		return w.Finish(t.Context(), s.Descriptor(t))
	}
	s := sample()
	s.Files = s.Files[:2]
	folder := t.TempDir()
	put(t, folder, "notes.txt", "mine")
	put(t, folder, "other.ovf", "another package")
	for range 2 {
		if err := into(folder, s); err != nil {
			t.Fatal(err)
		}
		names, err := pass(t, filepath.Join(folder, "app.ovf"), manifest.Require)
		if err != nil || strings.Join(names, " ") != "z.vmdk sub/a disk.vmdk" {
			t.Errorf("%v, %v", names, err)
		}
		if list, _ := os.ReadDir(folder); len(list) != 6 {
			t.Errorf("the folder holds %v", list)
		}
		s.Files[0].Content = ovftest.Noise(9, 7000)
	}
	s.Files = append(s.Files, ovftest.File{Href: "notes.txt", Content: []byte("theirs")})
	if err := into(folder, s); !errors.Is(err, dir.ErrNotReplaced) {
		t.Errorf("error %v", err)
	}
	f, err := os.Open(filepath.Join(folder, "notes.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, _ := io.ReadAll(f); string(b) != "mine" {
		t.Errorf("notes.txt holds %q", b)
	}
	if list, _ := os.ReadDir(folder); len(list) != 6 {
		t.Errorf("left behind: %v", list)
	}
}

//go:build unix

package beside_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cimimove/cimimove/ovf/beside"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestPlace: a link is followed, wherever it leads, and what is no file stays.
func TestPlace(t *testing.T) {
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(folder, filepath.FromSlash(name)) }
	for _, err := range []error{
		os.MkdirAll(at("real/sub"), 0o755), os.WriteFile(at("real/file"), nil, 0o644), syscall.Mkfifo(at("pipe"), 0o644),
		os.Symlink("real/file", at("link")), os.Symlink("real/none", at("dangling")), os.Symlink("dangling", at("second")),
		os.Symlink("loop", at("loop")), os.Symlink("nowhere/x", at("folderless")), os.Symlink("pipe", at("toPipe")),
		os.Symlink("real/sub", at("sub")), os.Symlink("sub/../up", at("up")), os.Symlink(at("real/none"), at("absolute")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"new": "new", "real/file": "real/file", "link": "real/file", "dangling": "real/none",
		"second": "real/none", "up": "real/up", "absolute": "real/none", "sub/x": "real/sub/x", "real": "real"} {
		if got, err := beside.Place(at(name)); err != nil || got != at(want) {
			t.Errorf("%s: %s, %v, want %s", name, got, err, at(want))
		}
	}
	for _, name := range []string{"loop", "folderless", "no/folder"} {
		if got, err := beside.Place(at(name)); err == nil {
			t.Errorf("%s lies at %s", name, got)
		}
	}
	for _, name := range []string{"pipe", "toPipe"} {
		if got, err := beside.Place(at(name)); !errors.Is(err, beside.ErrSpecial) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if _, err := ova.Create(at(name), ova.WriterOptions{Descriptor: "app.ovf", DescriptorSize: 100}); !errors.Is(err, beside.ErrSpecial) {
			t.Errorf("an archive called %s: %v", name, err)
		}
	}
	w, err := ova.Create(at("second"), ova.WriterOptions{Descriptor: "app.ovf", DescriptorSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(t.Context(), []byte("<Envelope/>")); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]os.FileMode{"second": os.ModeSymlink, "dangling": os.ModeSymlink, "real/none": 0} {
		if info, err := os.Lstat(at(name)); err != nil || info.Mode().Type() != kind {
			t.Errorf("%s is %v, %v", name, info, err)
		}
	}
}

// TestForeignLink: in a folder in which everybody may put a link, one that another
// user has put there is not followed; the own ones are, and those of its owner.
func TestForeignLink(t *testing.T) {
	if os.Geteuid() != 0 {
		ovftest.Missing(t, "root, who can make a link another user's")
	}
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const other, third = 65534, 65533
	link := filepath.Join(folder, "link")
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode         os.FileMode
		folder, link int
		foreign      bool
	}{
		{0o777 | os.ModeSticky, 0, other, true}, {0o777 | os.ModeSticky, other, third, true},
		{0o777 | os.ModeSticky, other, 0, false}, {0o777 | os.ModeSticky, other, other, false},
		{0o777, 0, other, false}, {0o755 | os.ModeSticky, 0, other, false},
	} {
		for _, err := range []error{os.Lchown(link, c.link, -1), os.Chown(folder, c.folder, -1), os.Chmod(folder, c.mode)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if at, err := beside.Place(link); errors.Is(err, beside.ErrForeignLink) != c.foreign || !c.foreign && err != nil {
			t.Errorf("%+v: %s, %v", c, at, err)
		}
	}
	if err := os.Chown(folder, 0, -1); err != nil {
		t.Fatal(err)
	}
}

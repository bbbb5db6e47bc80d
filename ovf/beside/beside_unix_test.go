//go:build unix

package beside_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cimimove/cimimove/ovf/beside"
	"github.com/cimimove/cimimove/ovf/dir"
	"github.com/cimimove/cimimove/ovf/ova"
)

// TestUmask: what is written for a user is read by those who may read what the
// user creates, whether it is a file, an archive or a folder.
func TestUmask(t *testing.T) {
	for _, mask := range []fs.FileMode{0o022, 0o027, 0o077} {
		old := syscall.Umask(int(mask))
		t.Cleanup(func() { syscall.Umask(old) })
		folder := t.TempDir()
		f, err := beside.File(folder, "a")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if name := filepath.Base(f.Name()); !strings.HasPrefix(name, ".a.part-") {
			t.Errorf("the name is %s", name)
		}
		archive, err := ova.Create(filepath.Join(folder, "app.ova"), ova.WriterOptions{Descriptor: "app.ovf", DescriptorSize: 100})
		if err != nil {
			t.Fatal(err)
		}
		folderWriter, err := dir.Create(filepath.Join(folder, "app"), dir.WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w, err := folderWriter.Create(t.Context(), "sub/a")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := archive.Finish(t.Context(), []byte("<Envelope/>")); err != nil {
			t.Fatal(err)
		}
		if err := folderWriter.Finish(t.Context(), []byte("<Envelope/>")); err != nil {
			t.Fatal(err)
		}
		for name, most := range map[string]fs.FileMode{filepath.Base(f.Name()): 0o666, "app.ova": 0o666, "app": 0o777, "app/sub": 0o777, "app/sub/a": 0o666, "app/app.ovf": 0o666, "app/app.mf": 0o666} {
			info, err := os.Stat(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := info.Mode().Perm(), most&^mask; got != want {
				t.Errorf("umask %03o: %s has mode %03o, want %03o", mask, name, got, want)
			}
		}
		syscall.Umask(old)
	}
}

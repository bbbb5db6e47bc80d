package convert_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/convert"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// rawFolder is a package whose disk is raw: data, a hole, data. mf, where not
// empty, is the digest that the manifest has of it.
func rawFolder(t *testing.T, mf func(content []byte) string) (folder string, content []byte) {
	t.Helper()
	folder = t.TempDir()
	uri, _ := formats.URI(disk.Raw)
	content = append(ovftest.Noise(1, 2<<20), make([]byte, 6<<20)...)
	content = append(content, ovftest.Noise(2, 1<<20)...)
	descriptor := strings.ReplaceAll(string(ovftest.Spec{Files: []ovftest.File{{Href: "d.raw", Content: content, Disk: true}}}.Descriptor(t)),
		"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized", uri)
	store := map[string][]byte{"app.ovf": []byte(descriptor), "d.raw": content}
	if sum := mf(content); sum != "" {
		store["app.mf"] = fmt.Appendf(nil, "SHA256(app.ovf)= %x\nSHA256(d.raw)= %s\n", sha256.Sum256([]byte(descriptor)), sum)
	}
	for name, b := range store {
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(int64(len(b))); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(disk.WriteData(f, b, 0), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return folder, content
}

// TestRawDiskAtHand: a raw disk of a folder is read where it lies, and what the
// manifest says of it is compared all the same.
func TestRawDiskAtHand(t *testing.T) {
	ovftest.Slow(t)
	right := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	for name, mf := range map[string]func([]byte) string{
		"no manifest": func([]byte) string { return "" }, "right": right,
		"wrong": func([]byte) string { return strings.Repeat("0", 64) },
	} {
		t.Run(name, func(t *testing.T) {
			folder, content := rawFolder(t, mf)
			pkg, err := files.Open(t.Context(), folder, files.OpenOptions{Manifest: manifest.Verify})
			if err != nil {
				t.Fatal(err)
			}
			defer pkg.Close()
			target := filepath.Join(t.TempDir(), "out.ova")
			_, err = convert.Package(t.Context(), pkg, target, convert.Options{DiskFormat: disk.VMDK})
			if name == "wrong" {
				var i *ovf.IntegrityError
				if _, there := os.Stat(target); !errors.As(err, &i) || i.File != "d.raw" || there == nil {
					t.Fatalf("%v; the archive is there: %v", err, there == nil)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			back := filepath.Join(t.TempDir(), "back")
			do(t, target, back, convert.Options{DiskFormat: disk.Raw})
			if got, err := os.ReadFile(filepath.Join(back, "d.raw")); err != nil || !bytes.Equal(got, content) {
				t.Errorf("the disk comes back otherwise (%v)", err)
			}
		})
	}
}

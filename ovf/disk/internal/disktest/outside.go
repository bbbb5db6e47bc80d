package disktest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Tool is the path of an outside program that judges our work. Without it the
// test is skipped, or fails where CIMIMOVE_CI is 1.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CIMIMOVE_CI") == "1" {
		t.Fatalf("%s is not installed, and CI must not do without it", name)
	}
	t.Skipf("%s is not installed: this test has no oracle", name)
	return ""
}

// Run runs a program and gives its output; failure is the test's.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// Made is content as qemu-img writes it in its format, with more of its
// arguments.
func Made(t testing.TB, content []byte, format string, args ...string) []byte {
	t.Helper()
	qemu, dir := Tool(t, "qemu-img"), t.TempDir()
	in, out := filepath.Join(dir, "in.raw"), filepath.Join(dir, "out")
	Write(t, in, content)
	Run(t, qemu, slices.Concat([]string{"convert", "-t", "unsafe", "-f", "raw", "-O", format}, args, []string{in, out})...)
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Judge has qemu-img compare the image file, in its format, with content, and
// check it where qemu-img can.
func Judge(t testing.TB, path, format string, content []byte) {
	t.Helper()
	qemu := Tool(t, "qemu-img")
	if len(content) == 0 && format != "raw" && format != "qcow2" && format != "vdi" {
		return // qemu-img opens no such disk: neither VMDK nor fixed VHD of its own
	}
	if format != "raw" && format != "vpc" {
		Run(t, qemu, "check", "-f", format, path)
	}
	plain := filepath.Join(t.TempDir(), "plain.raw")
	Write(t, plain, Padded(content))
	Run(t, qemu, "compare", "-f", "raw", "-F", format, plain, path)
}

// Write makes a file of content, its zeros holes.
func Write(t testing.TB, path string, content []byte) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = disk.NonZero(0, content, func(off int64, p []byte) error {
		_, err := f.WriteAt(p, off)
		return err
	})
	if err == nil {
		err = f.Truncate(int64(len(content)))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Corpus is the folder below the shared corpus, beside the repository. Without
// it the test is skipped.
func Corpus(t testing.TB, folder string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			path := filepath.Join(dir, "..", "shared", "corpus", folder)
			if _, err := os.Stat(path); err != nil {
				if os.Getenv("CIMIMOVE_CI") == "1" {
					t.Fatalf("no corpus at %s, and CI must not do without it", path)
				}
				t.Skipf("no corpus at %s", path)
			}
			return path
		}
	}
	t.Skip("no go.mod above the test")
	return ""
}

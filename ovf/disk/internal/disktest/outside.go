package disktest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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
				t.Skipf("no corpus at %s", path)
			}
			return path
		}
	}
	t.Skip("no go.mod above the test")
	return ""
}

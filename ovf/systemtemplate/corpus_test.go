package systemtemplate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// corpus gives the real descriptors that stand beside the repository: path to
// what INDEX.tsv expects of it. Empty where the corpus is absent.
func corpus(t testing.TB) map[string]string {
	t.Helper()
	root := repository(t)
	dir := filepath.Join(root, "..", "shared", "corpus", "ovf")
	index, err := os.ReadFile(filepath.Join(dir, "INDEX.tsv"))
	if err != nil {
		ovftest.Missing(t, "the corpus ../shared/corpus/ovf")
	}
	out := map[string]string{}
	for i, line := range strings.Split(string(index), "\n") {
		f := strings.Split(line, "\t")
		if i > 0 && len(f) > 7 {
			out[filepath.Join(dir, f[0])] = f[7]
		}
	}
	return out
}

// repository is the folder that holds go.mod.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the package")
		}
		dir = filepath.Dir(dir)
	}
}

// sound says whether a descriptor of the corpus is one to map.
func sound(expected string) bool {
	return strings.HasPrefix(expected, "valid") || strings.HasPrefix(expected, "XSD-invalid") ||
		strings.HasPrefix(expected, "real-world") || strings.HasPrefix(expected, "tolerate") || strings.HasPrefix(expected, "package-invalid") ||
		strings.HasPrefix(expected, "oVirt dialect")
}

func TestReadCorpus(t *testing.T) {
	n := 0
	for path, expected := range corpus(t) {
		if !sound(expected) {
			continue
		}
		n++
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		env, err := ovf.Parse(b)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if _, ok := env.Content(); !ok {
			continue
		}
		v, _, err := systemtemplate.Read(env, systemtemplate.Options{})
		if err != nil {
			t.Errorf("%s (%s): %v", path, expected, err)
			continue
		}
		if got, want := len(v.System.AllMachines()), len(env.VirtualSystems()); got != want {
			t.Errorf("%s: %d machines, want %d", path, got, want)
		}
	}
	t.Logf("%d descriptors", n)
}

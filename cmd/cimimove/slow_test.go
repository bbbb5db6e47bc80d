package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

var slowTest = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\) \{\n\tovftest\.Slow\(t\)`)

// raced are the packages that .ci/run gives to the race detector.
var raced = regexp.MustCompile(`/(migrate|cimi|ovf/disk|ovf/web|ovf/ova)/`)

// TestSlowTestsRun: each test that `go test ./...` leaves out is one that .ci/run
// runs, all of them without the race detector. It runs some with it, too: each name
// that it gives there is that of one, in a package that runs there, and none of
// those that are skipped there.
func TestSlowTestsRun(t *testing.T) {
	root := ovftest.Repository(t)
	script, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(script), "\nCIMIMOVE_SLOW=1 go test -vet=off -timeout 30m ./...\n") {
		t.Error(".ci/run does not run the slow tests of every package")
	}
	_, rest, ok := strings.Cut(string(script), "\ntogether='")
	together, _, closed := strings.Cut(rest, "'")
	if !ok || !closed {
		t.Fatal(".ci/run does not say which slow tests run under the race detector")
	}
	_, rest, ok = strings.Cut(string(script), "\nmany='")
	skipped, _, closed := strings.Cut(rest, "'")
	if !ok || !closed {
		t.Fatal(".ci/run does not say which tests the race detector skips")
	}
	skip := regexp.MustCompile(skipped)
	if !strings.Contains(string(script), "\nCIMIMOVE_SLOW=$together go test -vet=off -race ") {
		t.Error(".ci/run does not run them there")
	}
	var names []string
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range slowTest.FindAllSubmatch(text, -1) {
			if name := string(m[1]); raced.MatchString(path) && !skip.MatchString(name) {
				names = append(names, name)
			}
		}
		if n := strings.Count(string(text), "\tovftest.Slow("); n != len(slowTest.FindAll(text, -1)) {
			t.Errorf("%s: Slow is called elsewhere than at the beginning of a test", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(together, "|") {
		is := regexp.MustCompile(name)
		if !slices.ContainsFunc(names, is.MatchString) {
			t.Errorf(".ci/run: %s is no slow test that the race detector runs", name)
		}
	}
}

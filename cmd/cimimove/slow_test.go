package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

var slowTest = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\) \{\n\tovftest\.Slow\(t\)`)

// TestSlowTestsRun: each test that `go test ./...` leaves out is one that .ci/run
// runs, under the race detector or before it.
func TestSlowTestsRun(t *testing.T) {
	root := ovftest.Repository(t)
	script, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	pattern := func(name string) *regexp.Regexp {
		_, rest, ok := strings.Cut(string(script), "\n"+name+"='")
		text, _, closed := strings.Cut(rest, "'")
		if !ok || !closed {
			t.Fatalf(".ci/run has no %s", name)
		}
		return regexp.MustCompile(text)
	}
	noRace, late := pattern("many"), pattern("late")
	if !strings.Contains(string(script), "\nCIMIMOVE_SLOW=$late go test -vet=off -timeout 30m ./...\n") {
		t.Error(".ci/run does not run the slow tests that late names in every package")
	}
	n := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, m := range slowTest.FindAllSubmatch(text, -1) {
			n++
			name := string(m[1])
			shared := strings.HasPrefix(dir, "migrate") || strings.HasPrefix(dir, "cimi") || strings.HasPrefix(dir, "ovf/disk")
			inRace := shared && !noRace.MatchString(name)
			if !inRace && !late.MatchString(name) {
				t.Errorf("%s: .ci/run does not run %s", dir, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Error("no slow test is found")
	}
}

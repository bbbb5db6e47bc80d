package hosttest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	tabled   = regexp.MustCompile(`(?m)^\t\t\{"(AC\d\d\w+)", ac\d\d\w+\},$`)
	number   = regexp.MustCompile(`AC(\d\d)`)
)

// testsOf are the names of the tests in a folder that contain a word.
func testsOf(t *testing.T, folder, word string) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", folder, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(b), -1) {
			if strings.Contains(m[1], word) {
				out = append(out, m[1])
			}
		}
	}
	return out
}

// TestCells: each acceptance case that concerns hypervisors has a test on both,
// which bears its number.
func TestCells(t *testing.T) {
	b, err := os.ReadFile("acceptance.go")
	if err != nil {
		t.Fatal(err)
	}
	var common []string
	for _, m := range tabled.FindAllStringSubmatch(string(b), -1) {
		common = append(common, "TestAcceptance/"+m[1])
	}
	if len(common) < 10 {
		t.Fatalf("the table of Acceptance cannot be read: %q", common)
	}
	cells := map[string]map[string][]string{} // by hypervisor and number
	for host, word := range map[string]string{"vsphere": "VSphere", "libvirt": "Libvirt"} {
		all := slices.Concat(testsOf(t, "../host/"+host, ""), testsOf(t, "../../cmd/cimimove", word))
		if slices.ContainsFunc(all, func(name string) bool { return strings.HasPrefix(name, "TestAcceptance") }) {
			all = append(all, common...)
		}
		cells[host] = map[string][]string{}
		for _, name := range all {
			for _, m := range number.FindAllStringSubmatch(name, -1) {
				cells[host][m[1]] = append(cells[host][m[1]], name)
			}
		}
	}
	var table strings.Builder
	for _, n := range []string{"05", "13", "15", "23", "24", "25", "26", "32", "33", "34", "35"} {
		for _, host := range []string{"vsphere", "libvirt"} {
			if len(cells[host][n]) == 0 {
				t.Errorf("AC-%s has no test on %s", n, host)
			}
			fmt.Fprintf(&table, "AC-%s %-8s %s\n", n, host, strings.Join(cells[host][n], " "))
		}
	}
	t.Logf("\n%s", table.String())
}

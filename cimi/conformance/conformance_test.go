package conformance

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// shalls are the tests that the table names "shall/…", by name. Each gets a
// cloud of its own.
func shalls() map[string]func(c *cloud) {
	all := map[string]func(c *cloud){}
	for _, part := range []map[string]func(c *cloud){protocol, resources, metadata, systems, machines, volumes, networks, monitoring} {
		for name, run := range part {
			if all[name] != nil {
				panic("two tests are called " + name)
			}
			all[name] = run
		}
	}
	return all
}

type row struct{ clause, text, test string }

// notProvider is the test of a row whose clause demands nothing of a provider.
const notProvider = "-"

func table(t *testing.T) []row {
	b, err := os.ReadFile(filepath.Join("..", "testdata", "conformance.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for line := range strings.Lines(string(b)) {
		if line[0] == '#' {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 || slices.Contains(f, "") {
			t.Errorf("expected clause, text, test: %q", line)
			continue
		}
		rows = append(rows, row{f[0], f[1], f[2]})
	}
	return rows
}

// TestTable: each row of the table names a test that exists, and each test is
// in the table. "shall/NAME" is one of this package, "TestName" another.
func TestTable(t *testing.T) {
	others := ""
	for _, glob := range []string{"../*_test.go", "../*/*_test.go", "../../cmd/cimimove/*_test.go"} {
		files, _ := filepath.Glob(glob)
		for _, f := range files {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			others += string(src)
		}
	}
	all, named := shalls(), map[string]bool{}
	for _, r := range table(t) {
		for test := range strings.SplitSeq(r.test, " ") {
			if test == notProvider {
				continue
			}
			name, ok := strings.CutPrefix(test, "shall/")
			if ok {
				if named[name] = true; all[name] == nil {
					t.Errorf("%s: no test %s", r.clause, test)
				}
			} else if !strings.Contains(others, "func "+test+"(t *testing.T)") {
				t.Errorf("%s: no test %s", r.clause, test)
			}
		}
	}
	for name := range all {
		if !named[name] {
			t.Errorf("shall/%s: not in the table", name)
		}
	}
}

// TestShall runs the tests of the table.
func TestShall(t *testing.T) {
	all := shalls()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all[name](open(t, server.Options{}))
		})
	}
}

// TestEveryClause: each clause of the standard that says "shall" has a row.
func TestEveryClause(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "spec", "cimi-DSP0263-2.0.0.txt"))
	if err != nil {
		ovftest.Missing(t, "the text ../shared/spec/cimi-DSP0263-2.0.0.txt")
	}
	rows := map[string]bool{}
	for _, r := range table(t) {
		rows[r.clause] = true
	}
	heading := regexp.MustCompile(`^\s*(\d+(?:\.\d+)*)\s+[A-Z"a-z]`)
	contents, clause, said := true, "", map[string]int{}
	var order []string
	for line := range strings.Lines(string(b)) {
		if m := heading.FindStringSubmatch(line); m != nil && !strings.Contains(line, "....") && (strings.Contains(m[1], ".") || slices.Contains([]string{"5", "6"}, m[1])) {
			if m[1] == "4.1" {
				contents = false
			}
			if !contents && next(clause, m[1]) {
				clause = m[1]
			}
		}
		if contents || !strings.HasPrefix(clause, "4.") && !strings.HasPrefix(clause, "5.") {
			continue
		}
		// What each clause of a resource says of itself: see the row of 5.
		if strings.Contains(line, "Consumers shall adhere") || strings.Contains(line, "Provider shall serialize") || strings.Contains(line, "shall be serialized as") {
			continue
		}
		if regexp.MustCompile(`\bshall\b`).MatchString(line) {
			if said[clause]++; said[clause] == 1 {
				order = append(order, clause)
			}
		}
	}
	if len(order) < 60 {
		t.Errorf("only %d clauses that say shall were found: %v", len(order), order)
	}
	for _, c := range order {
		if !rows[c] {
			t.Errorf("%s says shall %d times and has no row", c, said[c])
		}
	}
}

// next tells whether a number can be that of the next heading, so that numbers
// at the start of a line are not taken for one.
func next(was, is string) bool {
	if was == "" {
		return true
	}
	a, b := strings.Split(was, "."), strings.Split(is, ".")
	for i := range b {
		if i >= len(a) {
			return i == len(b)-1 && b[i] == "1"
		}
		if a[i] != b[i] {
			var x, y int
			fmt.Sscan(a[i], &x)
			fmt.Sscan(b[i], &y)
			return y == x+1 && i == len(b)-1
		}
	}
	return false
}

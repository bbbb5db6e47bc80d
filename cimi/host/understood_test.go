package host

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestUnderstoodCorpus: what real products wrote is imported, whatever they
// put where the standard has no place for it.
func TestUnderstoodCorpus(t *testing.T) {
	dir := ovftest.Corpus(t, "ovf")
	index, err := os.Open(filepath.Join(dir, "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	r := csv.NewReader(index)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{
		"Awingu-open-ovf__py_tests_test_files_ourOVF.ova": "OVF-XML-010", // a required section that no standard ever had
		"pyovftestxml.py-embedded3.ovf":                   "OVF-DISK-002",
		"ovf2-encryption-section.ovf":                     "OVF-ENC-001",
	}
	taken := 0
	for _, row := range rows[1:] {
		if !strings.HasPrefix(row[7], "valid") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, row[0]))
		if err != nil {
			t.Fatal(err)
		}
		env, err := ovf.Parse(b)
		if err != nil {
			t.Errorf("%s: %v", row[0], err)
			continue
		}
		want := ""
		for name, rule := range refused {
			if strings.Contains(row[0], name) {
				want = rule
			}
		}
		err = understands(row[0], env)
		if err == nil {
			taken++
		}
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", row[0], err, want)
		}
	}
	t.Logf("%d descriptors", taken)
}

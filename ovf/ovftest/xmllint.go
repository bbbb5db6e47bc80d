package ovftest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Invalid gives, of documents by name, what xmllint has to say against those
// that are not valid by a schema of the standard, such as 1.1.1/ovf.xsd; see
// Missing for where the schemas or xmllint are not there.
func Invalid(t testing.TB, schema string, docs map[string][]byte) map[string]string {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		Missing(t, "xmllint")
	}
	xsd := filepath.Join(filepath.Dir(Repository(t)), "shared", "spec", "ovf-xsd", filepath.FromSlash(schema))
	if _, err := os.Stat(xsd); err != nil {
		Missing(t, "the schema ../shared/spec/ovf-xsd/"+schema)
	}
	folder := t.TempDir()
	names := map[string]string{}
	var files []string
	for name, doc := range docs {
		file := filepath.Join(folder, fmt.Sprintf("%d.xml", len(files)))
		if err := os.WriteFile(file, doc, 0o600); err != nil {
			t.Fatal(err)
		}
		files, names[file] = append(files, file), name
	}
	out := map[string]string{}
	for some := range slices.Chunk(files, 200) {
		// That some do not validate is no failure of the program.
		said, _ := exec.Command("xmllint", append([]string{"--nonet", "--noout", "--schema", xsd}, some...)...).CombinedOutput()
		judged := 0
		for _, line := range strings.Split(string(said), "\n") {
			file, what, _ := strings.Cut(line, ":")
			if f, ok := strings.CutSuffix(line, " validates"); ok && names[f] != "" {
				judged++
			} else if f, ok := strings.CutSuffix(line, " fails to validate"); ok && names[f] != "" {
				judged++
				out[names[f]] += " "
			} else if names[file] != "" && len(out[names[file]]) < 500 {
				out[names[file]] += what + "\n"
			}
		}
		if judged < len(some) && len(out) == 0 {
			t.Fatalf("xmllint judged %d of %d documents: %s", judged, len(some), said)
		}
	}
	return out
}

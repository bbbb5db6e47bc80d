package ovftest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Valid wants a descriptor to be valid by the schema of its version: an error of
// the test where xmllint finds it is not. Where nothing can judge it, and it need
// not be judged (see Missing), the test goes on.
func Valid(t testing.TB, what string, descriptor []byte) {
	t.Helper()
	schema := "1.1.1/ovf.xsd"
	if bytes.Contains(descriptor, []byte(`"http://schemas.dmtf.org/ovf/envelope/2"`)) {
		schema = "2.0.1/ovf.xsd"
	}
	_, err := exec.LookPath("xmllint")
	if err == nil {
		_, err = os.Stat(xsd(t, schema))
	}
	if err != nil && os.Getenv("CIMIMOVE_CI") != "1" {
		t.Logf("%s is not judged by the schema: %v", what, err)
		return
	}
	for _, said := range Invalid(t, schema, map[string][]byte{what: descriptor}) {
		t.Errorf("%s is not valid by %s: %s\n%s", what, schema, said, descriptor)
	}
}

// xsd is the path of a schema of the standard.
func xsd(t testing.TB, schema string) string {
	return filepath.Join(filepath.Dir(Repository(t)), "shared", "spec", "ovf-xsd", filepath.FromSlash(schema))
}

// Invalid gives, of documents by name, what xmllint has to say against those
// that are not valid by a schema of the standard, such as 1.1.1/ovf.xsd; see
// Missing for where the schemas or xmllint are not there.
func Invalid(t testing.TB, schema string, docs map[string][]byte) map[string]string {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		Missing(t, "xmllint")
	}
	xsd := xsd(t, schema)
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

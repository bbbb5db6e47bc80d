package systemtemplate_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

// validate checks a descriptor against the schema of its version.
func validate(t testing.TB, name string, env *ovf.Envelope) {
	t.Helper()
	validateAll(t, map[string]*ovf.Envelope{name: env})
}

// validateAll checks many descriptors in one go, where both xmllint and the
// schemas are at hand.
func validateAll(t testing.TB, all map[string]*ovf.Envelope) {
	t.Helper()
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		if os.Getenv("CIMIMOVE_CI") == "1" {
			t.Fatal("xmllint is missing")
		}
		t.Log("NOT CHECKED against the schema: xmllint is missing")
		return
	}
	dir := t.TempDir()
	files := map[ovf.Version][]string{}
	n := 0
	for name, env := range all {
		n++
		path := filepath.Join(dir, fmt.Sprintf("%d.ovf", n))
		if err := os.WriteFile(path, append(bytes.Clone(env.Bytes()), "<!-- "+name+" -->\n"...), 0o644); err != nil {
			t.Fatal(err)
		}
		files[env.Version()] = append(files[env.Version()], path)
	}
	for version, paths := range files {
		folder := map[ovf.Version]string{ovf.V1: "1.1.1", ovf.V2: "2.0.1"}[version]
		schema := filepath.Join(repository(t), "..", "shared", "spec", "ovf-xsd", folder, "ovf.xsd")
		if _, err := os.Stat(schema); err != nil {
			if os.Getenv("CIMIMOVE_CI") == "1" {
				t.Fatalf("the schema %s is missing", filepath.Base(schema))
			}
			t.Logf("NOT CHECKED against the schema: %s is absent", filepath.Base(schema))
			continue
		}
		cmd := exec.Command(xmllint, append([]string{"--nonet", "--noout", "--schema", schema}, paths...)...)
		var out bytes.Buffer
		cmd.Stderr = &out
		if err := cmd.Run(); err != nil {
			for _, p := range paths {
				if b, _ := os.ReadFile(p); bytes.Contains(out.Bytes(), []byte(p+" fails")) {
					t.Errorf("%s\n%s", p, b)
				}
			}
			t.Errorf("%v:\n%s", err, out.String())
		}
	}
}

package systemtemplate_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

// validate checks a descriptor against the schema of its version, where both
// xmllint and the schemas are at hand.
func validate(t testing.TB, name string, env *ovf.Envelope) {
	t.Helper()
	version := map[ovf.Version]string{ovf.V1: "1.1.1", ovf.V2: "2.0.1"}[env.Version()]
	schema := filepath.Join(repository(t), "..", "shared", "spec", "ovf-xsd", version, "ovf.xsd")
	if _, err := os.Stat(schema); err != nil {
		return
	}
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		if os.Getenv("CIMIMOVE_CI") == "1" {
			t.Fatal("xmllint is missing")
		}
		return
	}
	cmd := exec.Command(xmllint, "--nonet", "--noout", "--schema", schema, "-")
	cmd.Stdin = bytes.NewReader(env.Bytes())
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v:\n%s\n%s", name, err, out.String(), env.Bytes())
	}
}

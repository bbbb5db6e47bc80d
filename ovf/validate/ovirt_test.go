package validate_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/validate"
)

// TestOVirtArchive: what oVirt's engine puts into all its archives is no fault
// of one, as it is none of the descriptors of its storage domains.
func TestOVirtArchive(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "testdata", "ovirt-archive.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := ovf.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range validate.Validate(e, validate.Options{}) {
		if f.ID != "OVF-XML-012" {
			t.Errorf("%s %s: %s: %s", f.Severity, f.ID, f.Object, f.Message)
		}
	}
}

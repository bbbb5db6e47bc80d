package systemtemplate_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

var update = flag.Bool("update", false, "write the golden files anew")

func parse(t testing.TB, path string) *ovf.Envelope {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env, err := ovf.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s", path, firstDifference(want, got))
	}
}

// TestGolden compares template and findings with what stands in testdata. The
// kept descriptor is left out there: it is the .ovf beside.
func TestGolden(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		opts systemtemplate.Options
	}{
		"two-tier":           {"two-tier", systemtemplate.Options{}},
		"shared-disk":        {"shared-disk", systemtemplate.Options{}},
		"hardware-sections":  {"hardware-sections", systemtemplate.Options{}},
		"hardware-vmx":       {"hardware-sections", systemtemplate.Options{Supports: []string{"vmx-13"}}},
		"deployment-options": {"deployment-options", systemtemplate.Options{}},
		"deployment-small":   {"deployment-options", systemtemplate.Options{Configuration: "small", Lacks: systemtemplate.Lacks{ValueScopes: true}}},
		"three-nics":         {"three-nics", systemtemplate.Options{}},
		"two-tier-foreign":   {"two-tier", systemtemplate.Options{Lacks: systemtemplate.Lacks{Extensions: true, BootVolumes: true, MaxPropertyItems: 4}}},
		"shared-impossible":  {"shared-disk", systemtemplate.Options{Lacks: systemtemplate.Lacks{SharedVolumes: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			st, findings, err := systemtemplate.FromEnvelope(parse(t, filepath.Join("testdata", c.file+".ovf")), c.opts)
			if err != nil {
				t.Fatal(err)
			}
			checkNames(t, st)
			st.SetExtra(cimi.OVFDescriptor, nil)
			var j, x bytes.Buffer
			if err := cimi.EncodeJSON(&j, st); err != nil {
				t.Fatal(err)
			}
			if err := cimi.EncodeXML(&x, st); err != nil {
				t.Fatal(err)
			}
			var f strings.Builder
			for _, n := range findings {
				fmt.Fprintf(&f, "%s %s %s: %s (%s)\n", n.ID, n.Severity, n.Object, n.Message, n.Clause)
			}
			base := filepath.Join("testdata", name)
			golden(t, base+".json", j.Bytes())
			golden(t, base+".xml", x.Bytes())
			golden(t, base+".findings", []byte(f.String()))
		})
	}
}

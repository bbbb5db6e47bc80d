package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cimimove/cimimove"

// importRules: which packages of ours a folder may import, by prefix. A folder
// takes the rule of its longest prefix.
var importRules = map[string][]string{
	"ovf":                {"ovf"},
	"ovf/systemtemplate": {"ovf", "cimi"},
	"cimi":               {},
	"cimi/client":        {"cimi", "ovf/web"},
	"cimi/server":        {"cimi"},
	"cimi/provider":      {"cimi", "ovf"},
	"cimi/host":          {"cimi/host", "cimi", "ovf"},
	"cimi/hosttest":      {"cimi/host", "cimi", "ovf"},
	"cimi/providertest":  {"cimi", "ovf"},
	"cimi/endpoint":      {"cimi", "ovf"},
	"migrate":            {"migrate", "cimi", "ovf"},
	"cmd":                {"cmd", "migrate", "cimi", "ovf"},
}

// forbidden: what the seams keep apart in spite of a prefix above.
var forbidden = map[string][]string{
	"migrate":       {"cimi/host", "cimi/provider", "cimi/server", "cimi/client", "cimi/endpoint"},
	"cimi/provider": {"cimi/client", "cimi/server", "cimi/host/local", "cimi/host/vsphere", "cimi/host/libvirt"},
	"cimi/host":     {"cimi/client", "cimi/server", "cimi/provider"},
	"ovf":           {"cimi", "migrate"},
}

// TestImportsGoOneWay holds the layout of the project: the model knows nothing
// of who uses it, the engine knows clouds only as cimi.Provider.
func TestImportsGoOneWay(t *testing.T) {
	for _, p := range packages(t) {
		own := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		allowed := importRules[longest(own, importRules)]
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, module+"/") {
				continue
			}
			target := strings.TrimPrefix(imp, module+"/")
			if below(target, own) {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return below(target, a) }) {
				t.Errorf("%s imports %s; its folder may import only %v", own, target, allowed)
			}
			for _, no := range forbidden[longest(own, forbidden)] {
				if below(target, no) && own != "ovf/systemtemplate" {
					t.Errorf("%s imports %s, which stands behind a seam", own, target)
				}
			}
		}
	}
}

// TestGovmomiStaysInOnePlace: one package speaks vSphere, and what is made for
// tests is in no program.
func TestGovmomiStaysInOnePlace(t *testing.T) {
	for _, p := range packages(t) {
		own := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "github.com/vmware/govmomi") && !below(own, "cimi/host/vsphere") {
				t.Errorf("%s imports %s; only cimi/host/vsphere may", own, imp)
			}
			if below(strings.TrimPrefix(imp, module+"/"), "cimi/host/vsphere/vctest") || below(imp, "github.com/vmware/govmomi/simulator") && own != "cimi/host/vsphere/vctest" {
				t.Errorf("%s imports %s, which is for tests", own, imp)
			}
		}
	}
}

// TestTopLevel holds the folders that were asked for.
func TestTopLevel(t *testing.T) {
	want := []string{"cimi", "cmd", "migrate", "ovf", "testdata"}
	entries, err := os.ReadDir(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			got = append(got, e.Name())
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("top-level folder %s; the layout has %v", g, want)
		}
	}
}

// TestNoVagueNames: a folder or file says what it holds.
func TestNoVagueNames(t *testing.T) {
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		base := strings.TrimSuffix(strings.TrimSuffix(d.Name(), ".go"), "_test")
		for _, vague := range []string{"utils", "util", "common", "helpers", "helper", "manager", "misc"} {
			if base == vague {
				t.Errorf("%s: name it after what it holds", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 5 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

func below(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func longest[V any](path string, rules map[string]V) string {
	best := ""
	for dir := range rules {
		if below(path, dir) && len(dir) > len(best) {
			best = dir
		}
	}
	return best
}

package ovf_test

import (
	"bytes"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// repository is the folder with go.mod.
func repository(t testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above")
		}
		dir = filepath.Dir(dir)
	}
}

// missing skips for want of something, which is an error under continuous integration.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CIMIMOVE_CI") == "1" {
		t.Fatalf("%s is missing", what)
	}
	t.Skipf("%s is missing", what)
}

// descriptor is one of the corpora, with what its index expects.
type descriptor struct {
	path     string
	name     string
	expected string
}

func corpus(t testing.TB) []descriptor {
	dir := filepath.Join(repository(t), "..", "shared", "corpus", "ovf")
	f, err := os.Open(filepath.Join(dir, "INDEX.tsv"))
	if err != nil {
		missing(t, "the corpus ../shared/corpus/ovf")
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []descriptor
	for _, row := range rows[1:] {
		out = append(out, descriptor{filepath.Join(dir, row[0]), row[0], row[7]})
	}
	if len(out) < 100 {
		t.Fatalf("the index has %d entries", len(out))
	}
	return out
}

func govmomiFixtures(t testing.TB) []descriptor {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/vmware/govmomi").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		missing(t, "the module github.com/vmware/govmomi")
	}
	root := filepath.Join(dir, "ovf", "fixtures")
	var all []descriptor
	filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.EqualFold(filepath.Ext(p), ".ovf") {
			rel, _ := filepath.Rel(root, p)
			all = append(all, descriptor{p, rel, ""})
		}
		return nil
	})
	if len(all) < 900 {
		t.Fatalf("%d fixtures under %s", len(all), root)
	}
	if os.Getenv("CIMIMOVE_SLOW") == "1" {
		return all
	}
	// They resemble each other: one in eight is enough for each day.
	return slices.DeleteFunc(all, func(d descriptor) bool {
		b, err := os.ReadFile(d.path)
		return err == nil && ovftest.Lot(b)%8 != 0
	})
}

// exercise reads every view, for the sake of panics.
func exercise(e *ovf.Envelope) {
	e.Sections()
	e.Configurations()
	for _, d := range e.Disks() {
		d.CapacityBytes()
		d.File()
	}
	for _, f := range e.Files() {
		ovf.MemberName(f.Href, nil)
	}
	for c := range e.Contents() {
		c.Annotation()
		c.Eulas()
		c.Startup()
		c.ProductSections()
		c.OperatingSystem()
		c.Install()
		c.Sections()
		c.ResourceAllocation("")
		c.ScaleOut(c.ID, "")
		for _, h := range c.Hardware() {
			h.CPUs("")
			h.MemoryBytes("")
			h.Drives("")
			h.NICs("")
			h.Ranges("")
			h.Firmware()
			h.SecureBoot()
		}
	}
}

// soundExpectation says what an entry of INDEX.tsv promises about the
// descriptor itself: sound, unsound, or neither (a template with holes).
func soundExpectation(expected string) string {
	switch {
	case strings.HasPrefix(expected, "invalid"), strings.HasPrefix(expected, "not a descriptor"), strings.HasPrefix(expected, "nonconforming namespace"):
		return "unsound"
	case strings.HasPrefix(expected, "template"):
		return "template"
	}
	return "sound"
}

func TestCorpusRoundTrip(t *testing.T) {
	var sound, same int
	for _, d := range append(corpus(t), govmomiFixtures(t)...) {
		b, err := os.ReadFile(d.path)
		if err != nil {
			t.Fatal(err)
		}
		e, err := ovf.Parse(bytes.Clone(b))
		want := soundExpectation(d.expected)
		if d.expected == "" {
			want = "unknown"
		}
		if err != nil {
			if want == "sound" || want == "template" {
				t.Errorf("%s (%s): %v", d.name, d.expected, err)
			}
			if want == "unknown" {
				t.Logf("%s: %v", d.name, err)
			}
			continue
		}
		exercise(e)
		sound++
		if bytes.Equal(e.Bytes(), b) {
			same++
		} else {
			t.Errorf("%s: comes back changed", d.name)
		}
	}
	t.Logf("%d descriptors parse, %d come back byte for byte", sound, same)
	if sound == 0 {
		t.Error("nothing parsed")
	}
}

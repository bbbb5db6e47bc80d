package edit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/validate"
)

func sample(t testing.TB) *ovf.Envelope {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "ovf", "appliance-1.1.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := ovf.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func apply(t *testing.T, e *ovf.Envelope, o edit.Options) []ovf.Finding {
	t.Helper()
	f, err := edit.Apply(e, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range validate.Validate(e, validate.Options{}) {
		if g.Severity == ovf.Error {
			t.Errorf("after the edit: %+v", g)
		}
	}
	return f
}

func hardware(t *testing.T, e *ovf.Envelope, id string) ovf.VirtualHardware {
	t.Helper()
	c, _ := e.ByID(id)
	h, ok := c.HardwareFor(nil)
	if !ok {
		t.Fatalf("%s has no hardware", id)
	}
	return h
}

func TestNothing(t *testing.T) {
	e := sample(t)
	if f := apply(t, e, edit.Options{MAC: edit.KeepMAC}); e.Edited() || len(f) != 1 || f[0].ID != edit.RuleMAC {
		t.Errorf("edited %v, findings %v", e.Edited(), f)
	}
}

func TestEdits(t *testing.T) {
	e := sample(t)
	before := e.Bytes()
	apply(t, e, edit.Options{Name: "new", Networks: map[string]string{"net a": "net b", "net b": "net a"}, CPUs: 6, MemoryBytes: 2 << 30,
		Controllers: map[string]string{"scsi": "sata"}, MAC: edit.RegenerateMAC, Random: bytes.NewReader([]byte("\x01\x02\x03\x04\x05\x06\x01\x02\x03\x04\x05\x06\x11\x02\x03\x04\x05\x06"))})
	c, _ := e.Content()
	db, web := hardware(t, e, "db"), hardware(t, e, "web")
	cpus, _ := db.CPUs("")
	small, _ := db.CPUs("small")
	memory, _ := web.MemoryBytes("")
	if c.Name != "new" || cpus != 6 || small != 6 || memory != 2<<30 || e.Networks()[0].Name != "net b" || db.NICs("")[0].Connection[0] != "net b" {
		t.Errorf("name %q, %d and %d processors, %d bytes, networks %v", c.Name, cpus, small, memory, e.Networks())
	}
	if d := db.Disks(""); d[0].Controller.Bus != "sata" {
		t.Errorf("the controller is %q", d[0].Controller.Bus)
	}
	if a, b := db.NICs("")[0].Address, web.NICs("")[0].Address; a != "02:02:03:04:05:06" || a == b || b == "" {
		t.Errorf("addresses %s, %s", a, b)
	}
	d := edit.Diff("app.ovf", before, e.Bytes())
	if !strings.Contains(d, `-      <Name>`) && !strings.Contains(d, `+    <Name>new</Name>`) {
		t.Errorf("diff\n%s", d)
	}
	if strings.Count(d, "\n-") != strings.Count(d, "\n+")-1 && strings.Count(d, "\n-") == 0 {
		t.Errorf("diff\n%s", d)
	}
}

func TestPickConfiguration(t *testing.T) {
	e := sample(t)
	apply(t, e, edit.Options{Configuration: "large", MAC: edit.StripMAC})
	h := hardware(t, e, "db")
	cpus, _ := h.CPUs("")
	if len(e.Configurations()) != 0 || cpus != 4 || bytes.Contains(e.Bytes(), []byte("configuration=")) {
		t.Errorf("%d configurations, %d processors\n%s", len(e.Configurations()), cpus, e.Bytes())
	}
	for c := range e.Contents() {
		for _, p := range c.Properties() {
			if p.Key == "size" && p.Value != "8" {
				t.Errorf("size is %q", p.Value)
			}
		}
	}
	if h.NICs("")[0].Address != "" {
		t.Error("the address is still there")
	}
}

func TestPropertiesAndFiles(t *testing.T) {
	e := sample(t)
	f := apply(t, e, edit.Options{Properties: map[string]string{"com.example.size": "9"}, Remove: []string{"disk 1.vmdk"},
		Add: []ovf.File{{ID: "iso", Href: "a.iso", Size: 5}}})
	if _, ok := e.File("iso"); !ok || len(f) != 3 || len(hardware(t, e, "db").Disks("")) != 0 {
		t.Errorf("findings %v\n%s", f, e.Bytes())
	}
	for name, o := range map[string]edit.Options{
		"unknown key": {Properties: map[string]string{"none": "1"}}, "bad value": {Properties: map[string]string{"size": "-1"}},
		"unknown network": {Networks: map[string]string{"none": "a"}}, "unknown file": {Remove: []string{"none"}},
		"taken id": {Add: []ovf.File{{ID: "f2", Href: "x"}}}, "unknown configuration": {Configuration: "none"},
		"processors": {CPUs: -1}, "bus": {Controllers: map[string]string{"scsi": "floppy"}}, "policy": {MAC: "none"},
	} {
		if _, err := edit.Apply(sample(t), o); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestDiff(t *testing.T) {
	if d := edit.Diff("a", []byte("x\n"), []byte("x\n")); d != "" {
		t.Errorf("no change: %q", d)
	}
	before, after := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11\n12\n12b\n13\n14\n"
	want := "--- a\n+++ a\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n@@ -10,5 +10,6 @@\n 10\n 11\n 12\n+12b\n 13\n 14\n"
	if d := edit.Diff("a", []byte(before), []byte(after)); d != want {
		t.Errorf("got\n%s", d)
	}
}

package systemtemplate_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// FuzzFromEnvelope: whatever a descriptor says, its template gives it back.
func FuzzFromEnvelope(f *testing.F) {
	own, _ := filepath.Glob("testdata/*.ovf")
	for _, p := range own {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		env, err := ovf.Parse(b)
		if err != nil {
			return
		}
		st, _, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
		if err != nil {
			return
		}
		back, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.Bytes(), b) {
			t.Fatal(firstDifference(b, back.Bytes()))
		}
	})
}

// FuzzToEnvelope: a template from anywhere gives an error or a descriptor that parses.
func FuzzToEnvelope(f *testing.F) {
	own, _ := filepath.Glob("testdata/*.json")
	for _, p := range own {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		env := parse(f, "testdata/three-nics.ovf")
		st, _, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
		if err != nil {
			f.Fatal(err)
		}
		b, err = cimi.MarshalJSON(st)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := cimi.DecodeJSON(b)
		if err != nil {
			return
		}
		st, ok := r.(*cimi.SystemTemplate)
		if !ok {
			return
		}
		env, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
		if err != nil {
			return
		}
		if _, err := ovf.Parse(env.Bytes()); err != nil {
			t.Fatalf("%v\n%s", err, env.Bytes())
		}
	})
}

// TestManyMachines: thousands of machines with one name take seconds, not minutes.
func TestManyMachines(t *testing.T) {
	var b strings.Builder
	b.WriteString(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `"><References/><DiskSection><Info/>`)
	const n = 2000
	for i := range n {
		fmt.Fprintf(&b, `<Disk ovf:diskId="d%d" ovf:capacity="1024"/>`, i)
	}
	b.WriteString(`</DiskSection><VirtualSystemCollection ovf:id="c"><Info/>`)
	for i := range n {
		fmt.Fprintf(&b, `<VirtualSystem ovf:id="v%d"><Info/><Name>same</Name><VirtualHardwareSection><Info/>`+
			`<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType><rasd:Connection>lan</rasd:Connection></Item>`+
			`<Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>ovf:/disk/d%d</rasd:HostResource></Item>`+
			`</VirtualHardwareSection></VirtualSystem>`, i, i)
	}
	b.WriteString(`</VirtualSystemCollection></Envelope>`)
	env, err := ovf.Parse([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	st, _, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st.ComponentDescriptors[n-1].Description = "last"
	back, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(back.Bytes()), "last") {
		t.Error("the edit is lost")
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %v", d)
	}
	t.Logf("took %v", time.Since(start))
}

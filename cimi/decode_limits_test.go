package cimi

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLimits: what the network may not send, a file may hold.
func TestLimits(t *testing.T) {
	deepJSON := `{"resourceURI":"` + TypeURI("SystemTemplate") + `"}`
	deepXML := ""
	for range 40 { // each level is an array of objects of references: four deep in JSON
		deepJSON = `{"resourceURI":"` + TypeURI("SystemTemplate") + `","componentDescriptors":[{"name":"x","systemTemplate":` + deepJSON + `}]}`
		deepXML = "<componentDescriptors><componentDescriptor><systemTemplate>" + deepXML + "</systemTemplate></componentDescriptor></componentDescriptors>"
	}
	deepXML = "<SystemTemplate>" + deepXML + "</SystemTemplate>"
	for name, decode := range map[string]func(Limits) (Resource, error){
		"json": func(l Limits) (Resource, error) { return DecodeJSONWithin([]byte(deepJSON), "", l) },
		"xml":  func(l Limits) (Resource, error) { return DecodeXMLWithin([]byte(deepXML), "", l) },
	} {
		if _, err := decode(Limits{}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: 40 collections within each other: %v, want ErrTooLarge", name, err)
		}
		r, err := decode(FileLimits())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		depth := 0
		for s := r.(*SystemTemplate); s != nil && len(s.ComponentDescriptors) > 0; s = s.ComponentDescriptors[0].SystemTemplate.Value {
			if depth++; s.ComponentDescriptors[0].SystemTemplate == nil || depth == 40 {
				break
			}
		}
		if depth != 40 {
			t.Errorf("%s: %d levels of 40", name, depth)
		}
	}
	var large bytes.Buffer
	fmt.Fprintf(&large, `{"resourceURI":%q,"componentDescriptors":[`, TypeURI("SystemTemplate"))
	for i := range 5000 {
		if i > 0 {
			large.WriteByte(',')
		}
		fmt.Fprintf(&large, `{"name":"vm-%d","description":%q,"machineTemplate":{"machineConfig":{"cpu":1,"memory":1024}}}`, i, strings.Repeat("d", 3500))
	}
	large.WriteString("]}")
	if _, err := DecodeJSON(large.Bytes()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d bytes: %v, want ErrTooLarge", large.Len(), err)
	}
	r, err := DecodeJSONWithin(large.Bytes(), "", FileLimits())
	if err != nil || len(r.(*SystemTemplate).ComponentDescriptors) != 5000 {
		t.Errorf("%d bytes with FileLimits: %v", large.Len(), err)
	}
	if _, err := DecodeXMLWithin([]byte("<a><b/><b/><b/></a>"), "", Limits{Nodes: 3}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("four elements of three: %v", err)
	}
}

// TestManyExtensions: reading takes time by the size of a document, not by its
// square. A twentieth of what the network may send took minutes.
func TestManyExtensions(t *testing.T) {
	const n = 100_000
	for name, format := range map[string]string{"in a resource": "<Machine>%s</Machine>", "in a structure": "<Machine><operations><operation rel='x' href='y'>%s</operation></operations></Machine>"} {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "<x%d/>", i)
		}
		began := time.Now()
		r, err := DecodeXML(fmt.Appendf(nil, format, b.String()))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: %v", name, took)
		}
		if extra := r.Base().Extra; name == "in a resource" && len(extra) != n {
			t.Errorf("%d of %d are read", len(extra), n)
		}
	}
}

package cimi

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
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

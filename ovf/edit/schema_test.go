package edit_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// schemas are those of the versions.
var schemas = map[ovf.Version]string{ovf.V1: "1.1.1/ovf.xsd", ovf.V2: "2.0.1/ovf.xsd"}

// valid are the descriptors of the corpora that their schema finds valid, by
// version and name.
func valid(t *testing.T) map[ovf.Version]map[string]*ovf.Envelope {
	t.Helper()
	ovftest.Corpus(t, "ovf")
	out, docs := map[ovf.Version]map[string]*ovf.Envelope{}, map[ovf.Version]map[string][]byte{}
	for v := range schemas {
		out[v], docs[v] = map[string]*ovf.Envelope{}, map[string][]byte{}
	}
	for i, b := range ovftest.Seeds(t, 1<<20, ".ovf") {
		e, err := ovf.Parse(b)
		if err != nil || schemas[e.Version()] == "" {
			continue
		}
		name := fmt.Sprintf("descriptor %d", i)
		if c, ok := e.Content(); ok {
			name += " " + c.ID
		}
		out[e.Version()][name], docs[e.Version()][name] = e, b
	}
	for v, schema := range schemas {
		for name := range ovftest.Invalid(t, schema, docs[v]) {
			delete(out[v], name)
		}
	}
	return out
}

// TestSchema: a descriptor that is valid is so after any edit, and in the other
// version, as another reader finds.
func TestSchema(t *testing.T) {
	ovftest.Slow(t)
	edits := map[string]edit.Options{
		"name":          {Name: "Renamed <by> a test & more"},
		"networks":      {Networks: map[string]string{"*": "one network"}},
		"processors":    {CPUs: map[string]int{"*": 3}, MemoryBytes: map[string]int64{"*": 3 << 30}},
		"controllers":   {Controllers: map[string]string{"ide": "scsi", "sata": "scsi"}},
		"to SATA":       {Controllers: map[string]string{"scsi": "sata"}},
		"no addresses":  {MAC: edit.StripMAC},
		"new addresses": {MAC: edit.RegenerateMAC},
		"properties": {AddProperties: []ovf.Property{{Class: "com.example.test", Key: "added", Type: "string", Value: "x", HasValue: true, UserConfigurable: true,
			Label: "Label", Description: "Described"}}},
		"a file": {Add: []ovf.File{{ID: "added-by-a-test", Href: "added.txt", Size: 3}}},
	}
	for v, envelopes := range valid(t) {
		written := map[ovf.Version]map[string][]byte{ovf.V1: {}, ovf.V2: {}}
		for name, e := range envelopes {
			for kind, o := range edits {
				edited := e.Clone()
				_, err := edit.Apply(edited, o)
				var cannot *edit.Error
				if err != nil && !errors.As(err, &cannot) {
					t.Errorf("%s, %s: %v", name, kind, err)
				}
				if err == nil && edited.Edited() {
					written[v][name+", "+kind] = edited.Bytes()
				}
			}
			for _, c := range e.Configurations() {
				edited := e.Clone()
				if _, err := edit.Apply(edited, edit.Options{Configuration: c.ID}); err == nil {
					written[v][name+", configuration "+c.ID] = edited.Bytes()
				}
			}
			if files := e.Files(); len(files) > 0 {
				edited := e.Clone()
				if _, err := edit.Apply(edited, edit.Options{Remove: []string{files[0].ID}}); err == nil {
					written[v][name+", without "+files[0].ID] = edited.Bytes()
				}
			}
			other := map[ovf.Version]ovf.Version{ovf.V1: ovf.V2, ovf.V2: ovf.V1}[v]
			converted, _, err := e.ConvertTo(other)
			if err != nil {
				t.Logf("%s: not in version %s: %v", name, other, err)
				continue
			}
			written[other][name+", converted"] = converted.Bytes()
			if back, _, err := converted.ConvertTo(v); err == nil {
				written[v][name+", and back"] = back.Bytes()
			} else {
				t.Errorf("%s: there and not back: %v", name, err)
			}
		}
		for version, docs := range written {
			bad := ovftest.Invalid(t, schemas[version], docs)
			t.Logf("version %s: %d valid descriptors gave %d of version %s, %d of which are not valid", v, len(envelopes), len(docs), version, len(bad))
			for name, said := range bad {
				t.Errorf("%s: %s", name, said)
			}
		}
		if len(envelopes) < map[ovf.Version]int{ovf.V1: 50, ovf.V2: 2}[v] {
			t.Errorf("only %d valid descriptors of version %s", len(envelopes), v)
		}
	}
}

package cimi

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type specified struct{ typeName, attribute, dataType string }

func specification(t *testing.T) []specified {
	b, err := os.ReadFile(filepath.Join("testdata", "attributes.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var rows, common []specified
	var types []string
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 3 {
			continue
		}
		if f[0] == "*" {
			common = append(common, specified{"", f[1], f[2]})
			continue
		}
		if !slices.Contains(types, f[0]) {
			types = append(types, f[0])
			for _, c := range common {
				if f[0] != "CloudEntryPoint" || c.attribute != "resourceMetadata" {
					rows = append(rows, specified{f[0], c.attribute, c.dataType})
				}
			}
		}
		rows = append(rows, specified{f[0], f[1], f[2]})
	}
	return rows
}

// asModelled are the model's words for the data types of 5.5 where they differ.
func asModelled(want, got string) bool {
	switch want {
	case "URI":
		return got == "URI" || got == "string" // a type URI is kept as it is
	case "URI[]":
		return got == "string[]"
	case "duration", "byte[]":
		return got == "string"
	case "collection":
		return got == "collection" || got == "ref[]" // by value in a template (5.16.15.1.1)
	}
	return got == want
}

// TestAttributes: every resource and attribute of the standard, in the model,
// in JSON, in XML and in ResourceMetadata.
func TestAttributes(t *testing.T) {
	rows := specification(t)
	seen := map[string]bool{}
	for _, row := range rows {
		seen[row.typeName+"."+row.attribute] = true
		a := AttributeNamed(row.typeName, row.attribute)
		if a == nil || !Known(row.typeName) {
			t.Errorf("%s.%s: not in the model", row.typeName, row.attribute)
			continue
		}
		if !a.In(V2) || !asModelled(row.dataType, a.Type) {
			t.Errorf("%s.%s: modelled as %s (in 2.0: %v), want %s", row.typeName, row.attribute, a.Type, a.In(V2), row.dataType)
		}
		r := example(row.typeName)
		b, err := MarshalJSON(r)
		if err != nil {
			t.Fatal(err)
		}
		var obj map[string]any
		if err := json.Unmarshal(b, &obj); err != nil {
			t.Fatal(err)
		}
		if obj[row.attribute] == nil {
			t.Errorf("%s.%s: not in JSON", row.typeName, row.attribute)
		}
		name := row.attribute
		if a.kind == kindRefs {
			name = a.Item // no wrapper (5.5.11)
		}
		if x, err := MarshalXML(r); err != nil || !slices.Contains(childrenOf(t, x), name) {
			t.Errorf("%s.%s: not in XML (%v)", row.typeName, row.attribute, err)
		}
		described := slices.ContainsFunc(Describe(row.typeName).Attributes, func(m AttributeMetadata) bool { return m.Name == row.attribute })
		if !described {
			t.Errorf("%s.%s: not in ResourceMetadata", row.typeName, row.attribute)
		}
	}
	// And nothing in the model that the standard does not have, but for what it
	// shows in examples only.
	beyond := []string{"System.services", "MachineConfiguration.vscope", "VolumeConfiguration.vscope"}
	for _, name := range TypeNames() {
		if strings.HasSuffix(name, "Create") || name == "Action" || name == "locatedVolume" || name == "RecoverableMachine" {
			continue
		}
		for _, a := range Attributes(name) {
			id := name + "." + a.Name
			if a.In(V2) && a.Name != "operations" && !seen[id] && !slices.Contains(beyond, id) {
				t.Errorf("%s: in the model, not in the standard", id)
			}
		}
	}
	t.Logf("%d attributes of the standard", len(rows))
}

func childrenOf(t *testing.T, doc []byte) []string {
	d := xml.NewDecoder(strings.NewReader(string(doc)))
	depth := 0
	var out []string
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth++; depth == 2 {
				out = append(out, tok.Name.Local)
			}
		case xml.EndElement:
			depth--
		}
	}
}

// TestSchemaAttributes1: every element of every resource type in the schema of
// 1.x is an attribute of the model in 1.x.
func TestSchemaAttributes1(t *testing.T) {
	b, err := os.ReadFile("../../shared/spec/dsp8009_1.0.1.xsd")
	if err != nil {
		t.Skip("the schema dsp8009_1.0.1.xsd is not at hand")
	}
	type node struct {
		XMLName  xml.Name
		Name     string `xml:"name,attr"`
		Ref      string `xml:"ref,attr"`
		Children []node `xml:",any"`
	}
	var root node
	if err := xml.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	groups := map[string]node{}
	for _, n := range root.Children {
		if n.XMLName.Local == "group" {
			groups[n.Name] = n
		}
	}
	var elements func(n node) []string
	elements = func(n node) (out []string) {
		for _, c := range n.Children {
			switch c.XMLName.Local {
			case "element":
				out = append(out, c.Name)
			case "group":
				out = append(out, elements(groups[c.Ref[strings.IndexByte(c.Ref, ':')+1:]])...)
			case "sequence", "choice", "complexType":
				out = append(out, elements(c)...)
			}
		}
		return out
	}
	n := 0
	for _, e := range root.Children {
		if e.XMLName.Local != "element" || e.Name == "Collection" || e.Name == "NetworkInterface" {
			continue
		}
		if newKnown(e.Name) == nil {
			t.Errorf("%s: not modelled", e.Name)
			continue
		}
		tb := tableOf(reflect.TypeOf(New(e.Name)).Elem())
		for _, name := range elements(e) {
			n++
			a := tb.find(name)
			if a == nil {
				a = tb.findItem(name)
			}
			if a == nil || !a.In(V1) {
				t.Errorf("%s.%s: not modelled in 1.x", e.Name, name)
			}
		}
	}
	t.Logf("%d elements of the schema", n)
}

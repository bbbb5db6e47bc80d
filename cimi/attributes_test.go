package cimi

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

// specified is an attribute of the standard: of a resource type, or of the
// structure that an attribute of one holds ("MachineTemplate.volumes").
type specified struct{ typeName, attribute, dataType string }

func rowsOf(t *testing.T, file string, columns int) [][]string {
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); line[0] != '#' {
			if len(f) != columns {
				t.Fatalf("%s: expected %d columns: %q", file, columns, line)
			}
			out = append(out, f)
		}
	}
	return out
}

func specification(t *testing.T) []specified {
	var rows, common []specified
	var types []string
	for _, f := range rowsOf(t, "attributes.tsv", 3) {
		if f[0] == "*" {
			common = append(common, specified{"", f[1], f[2]})
			continue
		}
		if !slices.Contains(types, f[0]) && !strings.Contains(f[0], ".") {
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

// node is an element of a document, to be looked into.
type node struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []node     `xml:",any"`
}

func (n *node) child(name string) *node {
	for i := range n.Children {
		if n.Children[i].XMLName.Local == name {
			return &n.Children[i]
		}
	}
	return nil
}

// has tells whether an element has a child, an attribute or, for "value", a
// text of its own.
func (n *node) has(name string) bool {
	return n != nil && (n.child(name) != nil || slices.ContainsFunc(n.Attrs, func(a xml.Attr) bool { return a.Name.Local == name }) ||
		name == "value" && strings.TrimSpace(n.Text) != "")
}

// serialised is a resource in both formats of a version, parsed.
func serialised(t *testing.T, r Resource, v Version) (map[string]any, *node) {
	j, err := MarshalJSONIn(r, v)
	if err != nil {
		t.Fatal(err)
	}
	var obj map[string]any
	if err := json.Unmarshal(j, &obj); err != nil {
		t.Fatal(err)
	}
	x, err := MarshalXMLIn(r, v)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{}
	if err := xml.Unmarshal(x, n); err != nil {
		t.Fatal(err)
	}
	return obj, n
}

const gap = "**no**"

func mark(ok bool, yes string) string {
	if ok {
		return yes
	}
	return gap
}

// look finds an attribute of the standard in the model, its JSON, its XML and
// its metadata, and says how; a gap says so.
func look(t *testing.T, s specified) (model, inJSON, inXML, described string) {
	typeName, holder, _ := strings.Cut(s.typeName, ".")
	if newKnown(typeName) == nil {
		return gap, gap, gap, gap
	}
	r := example(typeName)
	v, tb := structOf(r)
	metadata := s.attribute
	var h *Attribute
	if holder != "" {
		metadata = holder // which describes no structure's parts
		if h = tb.find(holder); h == nil {
			return gap, gap, gap, gap
		}
		tb = tableOf(h.fieldType.Elem())
		part := h.value(v)
		if h.kind == kindStructs {
			part = part.Index(0)
		} else {
			part = part.Elem()
		}
		if a := tb.find(s.attribute); a != nil && a.empty(part) {
			fillExampleAttribute(a, a.value(part), 0)
		}
	}
	obj, x := serialised(t, r, V2)
	if h != nil {
		if x = x.child(holder); h.kind == kindStructs {
			x = x.child(h.Item)
			items, _ := obj[holder].([]any)
			obj, _ = items[0].(map[string]any)
		} else {
			obj, _ = obj[holder].(map[string]any)
		}
	}
	a := tb.find(s.attribute)
	if a == nil || !a.In(V2) || !asModelled(s.dataType, a.Type) {
		return gap, gap, gap, gap
	}
	element := s.attribute
	if a.kind == kindRefs {
		element = a.Item // no wrapper (5.5.11)
	}
	known := slices.ContainsFunc(Describe(typeName).Attributes, func(m AttributeMetadata) bool { return m.Name == metadata })
	return mark(true, a.Type), mark(obj[s.attribute] != nil, s.attribute), mark(x.has(element), element), mark(known, "yes")
}

// TestAttributes: every resource and attribute of the standard in the model, in
// JSON, in XML and in ResourceMetadata: testdata/attributes.md is the table.
// -update writes it anew.
func TestAttributes(t *testing.T) {
	var doc bytes.Buffer
	rows := specification(t)
	seen := map[string]bool{}
	doc.WriteString("# Attributes of CIMI\n\nWritten by `go test ./cimi -run TestAttributes -update`. What the standard has is in `attributes.tsv` and\n" +
		"`attributes1.tsv`, taken from its tables and its schema and not from the model; a gap would say " + gap + ".\n\n## 2.0, tables 5 to 54\n\n" +
		"| resource | attribute | type | model | JSON | XML | ResourceMetadata |\n|---|---|---|---|---|---|---|\n")
	for _, s := range rows {
		seen[s.typeName+"."+s.attribute] = true
		model, inJSON, inXML, described := look(t, s)
		line := fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |\n", s.typeName, s.attribute, s.dataType, model, inJSON, inXML, described)
		if strings.Contains(line, gap) {
			t.Errorf("a gap: %s", line)
		}
		doc.WriteString(line)
	}
	first := versionOne(t, &doc)
	t.Logf("%d attributes of 2.0, %d elements of 1.x", len(rows), first)

	// And nothing in the model that the standard does not have, but for what it
	// shows in examples only.
	beyond := []string{"MachineConfiguration.vscope", "VolumeConfiguration.vscope"}
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
	file := filepath.Join("testdata", "attributes.md")
	if *update {
		if err := os.WriteFile(file, doc.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if was, err := os.ReadFile(file); err != nil || !bytes.Equal(was, doc.Bytes()) {
		t.Errorf("%s is another table (%v); -update writes it", file, err)
	}
}

// versionOne tables the elements of the schema of 1.x.
func versionOne(t *testing.T, doc *bytes.Buffer) (n int) {
	doc.WriteString("\n## 1.x, DSP8009\n\n| resource | element | model | JSON | XML |\n|---|---|---|---|---|\n")
	for _, f := range rowsOf(t, "attributes1.tsv", 2) {
		typeName, name := f[0], f[1]
		if typeName == "MachineSnapshot" && name == "shapshot" {
			name = "snapshot" // as the schema misspells it
		}
		n++
		model, inJSON, inXML := gap, gap, gap
		if typeName == "Collection" { // of anything: one of Machines stands for all
			typeName = "MachineCollection"
		}
		if r := New(typeName); typeName == "NetworkInterface" { // an element of 1.x that no resource is
			model, inJSON, inXML = "MachineTemplate.networkInterfaces", "networkInterfaces", "networkInterface"
		} else if _, unknown := r.(*Unknown); !unknown {
			tb := tableOf(reflect.TypeOf(r).Elem())
			a := tb.find(name)
			if a == nil {
				a = tb.findItem(name)
			}
			if a != nil && a.In(V1) {
				obj, x := serialised(t, example1Of(typeName, a), V1)
				model, inJSON, inXML = a.Name, mark(obj[a.NameIn(V1)] != nil, a.NameIn(V1)), mark(x.has(name), name)
			}
		}
		line := fmt.Sprintf("| %s | %s | %s | %s | %s |\n", f[0], f[1], model, inJSON, inXML)
		if strings.Contains(line, gap) {
			t.Errorf("a gap in 1.x: %s", line)
		}
		doc.WriteString(line)
	}
	return n
}

// example1Of is an example of a type of 1.x that has the attribute: some cannot
// stand together.
func example1Of(typeName string, a *Attribute) Resource {
	r := example1(typeName)
	if v, _ := structOf(r); a.empty(v) {
		whole := example(typeName)
		CopyAttribute(r, whole, a.Name)
	}
	return r
}

// TestSchemaAttributes1: attributes1.tsv is what the schema of 1.x says.
func TestSchemaAttributes1(t *testing.T) {
	b, err := os.ReadFile("../../shared/spec/dsp8009_1.0.1.xsd")
	if err != nil {
		ovftest.Missing(t, "the schema ../shared/spec/dsp8009_1.0.1.xsd")
	}
	type part struct {
		XMLName  xml.Name
		Name     string `xml:"name,attr"`
		Ref      string `xml:"ref,attr"`
		Type     string `xml:"type,attr"`
		Children []part `xml:",any"`
	}
	var root part
	if err := xml.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	named := map[string]part{}
	for _, n := range root.Children {
		if n.XMLName.Local == "group" || n.XMLName.Local == "complexType" {
			named[n.XMLName.Local+" "+n.Name] = n
		}
	}
	local := func(s string) string { return s[strings.IndexByte(s, ':')+1:] }
	var elements func(n part) []string
	elements = func(n part) (out []string) {
		for _, c := range n.Children {
			switch c.XMLName.Local {
			case "element":
				out = append(out, c.Name+local(c.Ref))
			case "group":
				out = append(out, elements(named["group "+local(c.Ref)])...)
			case "sequence", "choice", "complexType":
				out = append(out, elements(c)...)
			}
		}
		return out
	}
	var want []string
	for _, e := range root.Children {
		if e.XMLName.Local != "element" {
			continue
		}
		if e.Type != "" {
			e = part{Name: e.Name, Children: named["complexType "+local(e.Type)].Children}
		}
		for _, name := range elements(e) {
			if row := e.Name + "\t" + name; !slices.Contains(want, row) {
				want = append(want, row)
			}
		}
	}
	var got []string
	for _, f := range rowsOf(t, "attributes1.tsv", 2) {
		got = append(got, strings.Join(f, "\t"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d rows, the schema has %d", len(got), len(want))
	}
}

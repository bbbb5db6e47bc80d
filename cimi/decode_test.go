package cimi

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLiberal: what real clouds send and what we take it for.
func TestLiberal(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Resource
	}{
		{"numbers and booleans as strings",
			`{"resourceURI":"http://schemas.dmtf.org/cimi/2/Volume","capacity":" 42 ","bootable":"false"}`,
			&Volume{Capacity: Int(42), Bootable: Bool(false)}},
		{"a float that is whole", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Volume","capacity":1e3}`, &Volume{Capacity: Int(1000)}},
		{"a date that is none", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Disk","created":"yesterday"}`,
			&Disk{Common: Common{Created: &Time{Text: "yesterday"}}}},
		{"version 1 type", `{"resourceURI":"http://schemas.dmtf.org/cimi/1/Machine","cpu":1}`, &Machine{CPU: Int(1)}},
		{"a slip in the type", `{"resourceURI":"http://www.dmf.org/cimi/2/Machine","cpu":1}`, &Machine{CPU: Int(1)}},
		{"another name of the collection", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/CloudEntryPoint","machineConfigurations":{"href":"mc"}}`,
			&CloudEntryPoint{MachineConfigs: RefTo[Collection]("mc")}},
		{"a reference as a string", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Job","targetResource":"m/1"}`, &Job{TargetResource: RefTo[Unknown]("m/1")}},
		{"an array of one without brackets", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Job","nestedJobs":{"href":"j/1"}}`,
			&Job{NestedJobs: []Ref[Job]{{Href: "j/1"}}}},
		{"a location as a reference", `{"resourceURI":"http://schemas.dmtf.org/cimi/1/VolumeImage","imageLocation":{"href":" v/1 "},"bootable":"true"}`,
			&VolumeImage{ImageLocation: "v/1", Bootable: Bool(true)}},
		{"a collection as an array", `{"resourceURI":"http://schemas.dmtf.org/cimi/1/Machine","disks":[{"capacity":"7"}],"meters":[{"href":"t/1"}]}`,
			&Machine{Disks: RefBy(NewCollection("", "Disk", &Disk{Capacity: Int(7)})), Meters: RefBy(NewCollection("", "Meter", &Meter{Common: Common{ID: "t/1"}}))}},
		{"a collection that does not say of what", `{"id":"s","systems":[{"id":"s/1"}]}`,
			&Collection{Common: Common{ID: "s"}, Item: "System", Items: []Resource{&System{Common: Common{ID: "s/1"}}}}},
		{"entries that point to the resource", `{"resourceURI":"http://schemas.dmtf.org/cimi/1/MachineCollection","entries":[{"resourceURI":"http://schemas.dmtf.org/cimi/1/MachineCollectionEntry","id":"e/1","machine":{"href":"m/1"}}]}`,
			&Collection{Item: "Machine", Items: []Resource{&Machine{Common: Common{ID: "m/1"}}}}},
		{"typeUri", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/ResourceMetadata","typeUri":"x"}`, &ResourceMetadata{TypeURI: "x"}},
		{"properties that are no strings", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Disk","properties":{"a":1,"b":true}}`,
			&Disk{Common: Common{Properties: map[string]string{"a": "1", "b": "true"}}}},
		{"null erases", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/Disk","name":null}`, &Disk{Common: Common{Erased: []string{"name"}}}},
		{"entries under another name", `{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCollection","entries":[{"id":"m/1"},{"href":"m/2"}]}`,
			&Collection{Item: "Machine", Items: []Resource{&Machine{Common: Common{ID: "m/1"}}, &Machine{Common: Common{ID: "m/2"}}}}},

		{"no namespace, wrong case, white space", "<machine>\n <name> a b\n</name><cpu>\t2 </cpu></machine>", &Machine{Common: Common{Name: "a b"}, CPU: Int(2)}},
		{"a namespace that ends in a slash", `<Machine xmlns="http://schemas.dmtf.org/cimi/1/"><cpu>2</cpu></Machine>`, &Machine{CPU: Int(2)}},
		{"the namespace of the drafts", `<Machine xmlns="http://www.dmtf.org/cimi"><cpu>2</cpu></Machine>`, &Machine{CPU: Int(2)}},
		{"flat operations and properties",
			`<Disk xmlns="http://schemas.dmtf.org/cimi/1"><property key="a">1</property><property key="b">2</property><operation rel="edit" href="d/1"/></Disk>`,
			&Disk{Common: Common{Properties: map[string]string{"a": "1", "b": "2"}, Operations: []Operation{{Rel: "edit", Href: "d/1"}}}}},
		{"entries without a grouping element",
			`<Collection resourceURI="http://schemas.dmtf.org/cimi/1/MachineCollection"><count>2</count><Machine><id>m/1</id></Machine><Machine href="m/2"/></Collection>`,
			&Collection{Item: "Machine", Count: Int(2), Items: []Resource{&Machine{Common: Common{ID: "m/1"}}, &Machine{Common: Common{ID: "m/2"}}}}},
		{"a collection named as its type", `<MachineCollection><Machine><id>m/1</id></Machine></MachineCollection>`,
			&Collection{Item: "Machine", Items: []Resource{&Machine{Common: Common{ID: "m/1"}}}}},
		{"an array without its wrapper", `<MachineConfiguration><disk><capacity>1</capacity></disk><disk capacity="2"/></MachineConfiguration>`,
			&MachineConfiguration{Disks: []DiskConfiguration{{Capacity: Int(1)}, {Capacity: Int(2)}}}},
		{"references with a wrapper", `<Job><nestedJobs><nestedJob href="j/1"/><nestedJob href="j/2"/></nestedJobs></Job>`,
			&Job{NestedJobs: []Ref[Job]{{Href: "j/1"}, {Href: "j/2"}}}},
		{"a location as a reference in XML", `<VolumeImage><imageLocation href=" v/1 "/><bootable>true</bootable></VolumeImage>`,
			&VolumeImage{ImageLocation: "v/1", Bootable: Bool(true)}},
		{"a collection without its element", `<Machine><disk><capacity>7</capacity></disk><disk><capacity>8</capacity></disk><meter href="t/1"/></Machine>`,
			&Machine{Disks: RefBy(NewCollection("", "Disk", &Disk{Capacity: Int(7)}, &Disk{Capacity: Int(8)})), Meters: RefBy(NewCollection("", "Meter", &Meter{Common: Common{ID: "t/1"}}))}},
		{"entries that point to the resource in XML", `<Collection resourceURI="http://schemas.dmtf.org/cimi/1/MachineCollection"><Entry resourceURI="http://schemas.dmtf.org/cimi/1/MachineCollectionEntry"><id>e/1</id><machine href="m/1"/></Entry></Collection>`,
			&Collection{Item: "Machine", Items: []Resource{&Machine{Common: Common{ID: "m/1"}}}}},
		{"entries named as references", `<MachineCollection><machine href="m/1"/><machine href="m/2"/></MachineCollection>`,
			&Collection{Item: "Machine", Items: []Resource{&Machine{Common: Common{ID: "m/1"}}, &Machine{Common: Common{ID: "m/2"}}}}},
		{"a reference as text", `<Job><parentJob>j/1</parentJob></Job>`, &Job{ParentJob: RefTo[Job]("j/1")}},
		{"an empty element erases", `<MachineTemplate><credential/></MachineTemplate>`, &MachineTemplate{Common: Common{Erased: []string{"credential"}}}},
		{"an extension of the cloud's own", `<Disk xmlns="http://schemas.dmtf.org/cimi/2"><realm xmlns="urn:x" a="1">eu</realm></Disk>`,
			&Disk{Common: Common{Extensions: Extensions{Extra: []Extra{{Name: "realm", Namespace: "urn:x", Value: map[string]any{"@a": "1", "#text": "eu"}}}}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			decode := DecodeJSON
			if c.in[0] == '<' {
				decode = DecodeXML
			}
			if _, is := c.want.(*Collection); is && !strings.Contains(c.in, "Collection") {
				decode = func(b []byte) (Resource, error) { return DecodeJSONAs(b, "Collection") }
			}
			got, err := decode([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmpResources...); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat(`{"machineTemplate":`, 100) + "1" + strings.Repeat("}", 100)
	for _, c := range []struct {
		name, in, says string
		is             error
	}{
		{"not an object", `[1]`, "expected a JSON object", nil},
		{"cut off", `{"a":`, "unexpected EOF at byte 5", nil},
		{"two values", `{} {}`, "more than one value", nil},
		{"text for a number", `{"resourceURI":"x/Machine","cpu":"many"}`, "cpu: expected an integer", nil},
		{"an object for a string", `{"resourceURI":"x/Machine","name":{}}`, "name: expected string, got an object", nil},
		{"where it is", `{"resourceURI":"x/MachineCreate","machineTemplate":{"machineConfig":{"cpu":[]}}}`, "machineTemplate.machineConfig.cpu", nil},
		{"deep JSON", deep, "", ErrTooLarge},
		{"deep XML", strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100), "", ErrTooLarge},
		{"large", `{"name":"` + strings.Repeat("x", MaxBody) + `"}`, "", ErrTooLarge},
		{"entities", `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Machine><name>&b;</name></Machine>`, "document type", nil},
		{"an undeclared entity", `<Machine><name>&b;</name></Machine>`, "not XML: line 1", nil},
		{"elements for a number", `<Machine><cpu><a/></cpu></Machine>`, "cpu: expected integer", nil},
		{"two roots", `<Machine/><Machine/>`, "more than one root", nil},
		{"nothing", `<!-- -->`, "no element", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			decode := DecodeJSON
			if c.in[0] == '<' {
				decode = DecodeXML
			}
			_, err := decode([]byte(c.in))
			switch {
			case err == nil:
				t.Fatal("no error")
			case c.is != nil && !errors.Is(err, c.is):
				t.Fatalf("got %v, want %v", err, c.is)
			case !strings.Contains(err.Error(), c.says):
				t.Fatalf("got %v, want it to say %q", err, c.says)
			}
		})
	}
}

func TestTime(t *testing.T) {
	for in, want := range map[string]string{
		"2012-05-25T13:30:15-05:00":       "2012-05-25T13:30:15-05:00",
		"2026-11-23 14:40:19 +0000":       "2026-11-23T14:40:19Z",
		"Mon, 23 Nov 2026 14:40:19 +0100": "2026-11-23T14:40:19+01:00",
		"23 Nov 26 14:40 +0000":           "2026-11-23T14:40:00Z",
		"2012-05-25T13:30:15":             "2012-05-25T13:30:15Z",
		"soon":                            "soon",
		"Fri Feb 08 15:25:41 UTC 2013":    "2013-02-08T15:25:41Z",
		"Fri, 08 Feb 2013 15:25:41 GMT":   "2013-02-08T15:25:41Z",
		"Fri, 08 Feb 2013 15:25:41 EST":   "2013-02-08T15:25:41-05:00",
		"Fri Feb 08 15:25:41 EET 2013":    "Fri Feb 08 15:25:41 EET 2013",
		"2013-02-08 15:25:41 CEST":        "2013-02-08 15:25:41 CEST",
	} {
		if got := ParseTime(in).String(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// TestVersionOf: what a document says its version is.
func TestVersionOf(t *testing.T) {
	for in, want := range map[string]Version{
		`{"resourceURI":"http://schemas.dmtf.org/cimi/2/Machine"}`: V2,
		`{"resourceURI":"http://schemas.dmtf.org/cimi/1/Machine"}`: V1,
		`{"resourceURI":"http://www.dmtf.org/cimi/Machine"}`:       V1,
		`<Machine xmlns="http://schemas.dmtf.org/cimi/2"/>`:        V2,
		`<Machine xmlns="http://schemas.dmtf.org/cimi/1/"/>`:       V1,
		`<Machine xmlns="http://www.dmtf.org/cimi"/>`:              V1,
		`<Machine xmlns="urn:x"/>`:                                 0,
		`{}`:                                                       0,
	} {
		if got := VersionOf([]byte(in)); got != want {
			t.Errorf("%s: got %d, want %d", in, got, want)
		}
	}
}

// TestOldRels: the actions of the drafts are those of the standard.
func TestOldRels(t *testing.T) {
	m := &Machine{Common: Common{Operations: []Operation{{Rel: "http://www.dmtf.org/cimi/action/start", Href: "m/1/start"}}}}
	if op := m.Operation(ActionStart); op == nil || op.Href != "m/1/start" {
		t.Errorf("got %+v", op)
	}
	if op := m.Operation(ActionStop); op != nil {
		t.Errorf("got %+v", op)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"resourceURI":"http://schemas.dmtf.org/cimi/2/MachineCreate","name":"a","machineTemplate":{"href":"t","machineConfig":{"cpu":"1","disks":[{"capacity":1}]}}}`))
	f.Add([]byte(`{"resourceURI":"x/MachineCollection","count":1,"machines":[{"id":"m","x":{"a":[1,null]}}],"operations":[{"rel":"add","href":"m"}]}`))
	f.Add([]byte(`{"resourceURI":"x/ResourceMetadata","vscope":[{"cpu":{"values":[1,"a"],"item":{"b":{"value":true}}}}],"capabilities":[{"uri":"u","value":{"a":1}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) { again(t, b, DecodeJSON, MarshalJSON) })
}

func FuzzDecodeXML(f *testing.F) {
	f.Add([]byte(`<MachineCreate xmlns="http://schemas.dmtf.org/cimi/2"><name>a</name><machineTemplate href="t"><machineConfig><cpu>1</cpu><disks><disk capacity="1"/></disks></machineConfig></machineTemplate></MachineCreate>`))
	f.Add([]byte(`<Collection resourceURI="x/MachineCollection"><count>1</count><machines><Machine><id>m</id><y xmlns="urn:x" b="c">d</y></Machine></machines><operation rel="add" href="m"/></Collection>`))
	f.Add([]byte(`<ResourceMetadata><vscope><valueScope><cpu><value>1</value><value>a</value></cpu></valueScope></vscope><capabilities><capability uri="u">true</capability></capabilities></ResourceMetadata>`))
	f.Fuzz(func(t *testing.T, b []byte) { again(t, b, DecodeXML, MarshalXML) })
}

// again: what was decoded can be encoded, and then nothing changes any more.
func again(t *testing.T, b []byte, decode func([]byte) (Resource, error), encode func(Resource) ([]byte, error)) {
	r, err := decode(b)
	if err != nil {
		return
	}
	_ = Clone(r)
	MapURIs(Clone(r), func(s string) string { return "x" + s })
	one, err := encode(r)
	if err != nil {
		return
	}
	r2, err := decode(one)
	if err != nil {
		t.Fatalf("%v\n%s", err, one)
	}
	two, err := encode(r2)
	if err != nil || string(one) != string(two) {
		t.Fatalf("%v\n%s\nbecame\n%s", err, one, two)
	}
}

package cimi

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cimimove/cimimove/ovf/ovftest"
)

// types1 are the resources of 1.x: those of the model that its schema names.
func types1() []string {
	all := slices.DeleteFunc(TypeNames(), func(n string) bool { return !TypeIn(n, V1) })
	return append(all, TypeNames1()...)
}

// example1 is an example with what only 1.x has, and without what cannot stand
// together in it.
func example1(name string) Resource {
	r := example(name)
	fit1(r)
	return r
}

func fit1(r Resource) {
	v, t := structOf(r)
	for _, a := range t.attrs {
		if !a.In(V1) {
			a.value(v).SetZero()
		}
		if a.kind == kindRef && !a.empty(v) {
			if in := a.value(v).Interface().(reference).resource(); in != nil {
				fit1(in)
			}
		}
	}
	switch r := r.(type) {
	case *Meter:
		r.IntervalDuration = "PT1M"
	case *MeterConfiguration:
		r.IntervalDuration = "PT1M"
	case *Credential:
		r.Key = "c0ffee"
	case *CredentialTemplate:
		r.Key = "c0ffee"
	case *Action:
		r.Action, r.Image, r.Source, r.Force = ActionExport, nil, "", nil
	case *Event:
		r.Content = map[string]any{"resource": "r"}
	case *SystemTemplate:
		for i := range r.ComponentDescriptors {
			r.ComponentDescriptors[i] = ComponentDescriptor{Name: "c", Type: TypeURI("Machine"), Quantity: Int(2),
				Properties: map[string]string{"k": "v"}, MachineTemplate: RefTo[MachineTemplate]("mt/1")}
		}
	case *MachineTemplate:
		r.Volumes = []TemplateVolume{{InitialLocation: "/dev/vdb", Volume: RefTo[Volume]("volumes/1")}, {Volume: RefTo[Volume]("volumes/2")}}
		r.VolumeTemplates = []TemplateVolumeTemplate{{InitialLocation: "/dev/vdc", VolumeTemplate: RefTo[VolumeTemplate]("vt/1")},
			{VolumeTemplate: RefBy(&VolumeTemplate{VolumeConfig: RefBy(&VolumeConfiguration{Capacity: Int(5)})})}}
		r.NetworkInterfaces = []TemplateInterface{{Network: RefTo[Network]("networks/1"), State: "ENABLED", MTU: Int(1500)}}
	}
}

// TestSchema1: the 1.x XML of every resource is valid by the schema of 1.x, but
// for the schema's own faults: MachineSnapshot's "shapshot".
func TestSchema1(t *testing.T) {
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		if os.Getenv("CIMIMOVE_CI") == "1" {
			t.Fatal("xmllint is missing")
		}
		t.Skip("xmllint is missing")
	}
	schema := "../../shared/spec/dsp8009_1.0.1.xsd"
	if _, err := os.Stat(schema); err != nil {
		ovftest.Missing(t, "the schema ../shared/spec/dsp8009_1.0.1.xsd")
	}
	if schema, err = withoutImport(t, schema); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"--nonet", "--noout", "--schema", schema}
	for _, name := range types1() {
		r := example1(name)
		r.Base().SetExtra(OVFID, "vm-1")
		docs := map[string]Resource{name: r}
		if name != "Action" && name != "CloudEntryPoint" && !strings.HasSuffix(name, "Create") {
			docs[name+"Collection"] = NewCollection("things", name, r, r)
		}
		for doc, r := range docs {
			b, err := MarshalXMLIn(r, V1)
			if err != nil {
				t.Fatal(err)
			}
			b = []byte(strings.ReplaceAll(strings.ReplaceAll(string(b), "<snapshot href", "<shapshot href"), "</snapshot>", "</shapshot>"))
			file := filepath.Join(dir, doc+".xml")
			if err := os.WriteFile(file, b, 0o644); err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
		}
	}
	out, err := exec.Command(xmllint, args...).CombinedOutput()
	if err == nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "error") {
			t.Error(strings.TrimSpace(strings.ReplaceAll(line, dir+"/", "")))
		}
	}
	if !t.Failed() {
		t.Errorf("%v: %s", err, out)
	}
}

// withoutImport copies the schema without its import of xml.xsd, which is on
// the network and not used.
func withoutImport(t *testing.T, schema string) (string, error) {
	b, err := os.ReadFile(schema)
	if err != nil {
		return "", err
	}
	from := strings.Index(string(b), "<xs:import")
	to := from + strings.Index(string(b[from:]), "/>") + 2
	copied := filepath.Join(t.TempDir(), "cimi1.xsd")
	return copied, os.WriteFile(copied, []byte(string(b[:from])+string(b[to:])), 0o644)
}

// TestRoundTrip1: what 1.x has comes back from its JSON and XML.
func TestRoundTrip1(t *testing.T) {
	for _, name := range types1() {
		for _, format := range []string{"json", "xml"} {
			t.Run(name+"/"+format, func(t *testing.T) {
				want := example1(name)
				marshal, decode := MarshalJSONIn, DecodeJSON
				if format == "xml" {
					marshal, decode = MarshalXMLIn, DecodeXML
				}
				b, err := marshal(want, V1)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(b), Namespace) {
					t.Errorf("a URI of 2.0 in\n%s", b)
				}
				if VersionOf(b) != V1 {
					t.Errorf("the version reads as %d", VersionOf(b))
				}
				got, err := decode(b)
				if err != nil {
					t.Fatalf("%v in\n%s", err, b)
				}
				again, err := marshal(got, V1)
				if err != nil || string(again) != string(b) {
					t.Errorf("written anew it differs (%v):\n%s", err, cmp.Diff(string(b), string(again)))
				}
				if a, ok := got.(*Action); ok && a.Action != ActionExport {
					t.Errorf("the action reads as %s, want that of 2.0", a.Action)
				}
				if only := order1[name]; format == "xml" && only != nil {
					return // some attributes have no place in the schema
				}
				v, tb := structOf(want)
				g, _ := structOf(got)
				for _, a := range tb.attrs {
					if a.In(V1) && a.kind != kindRef && a.kind != kindStructs && !reflect.DeepEqual(a.value(v).Interface(), a.value(g).Interface()) {
						t.Errorf("%s: %s", a.Name, cmp.Diff(a.value(v).Interface(), a.value(g).Interface(), cmpResources...))
					}
				}
			})
		}
	}
}

// TestTemplateVolumes: 1.x has the reference of a template's volume in the volume itself.
func TestTemplateVolumes(t *testing.T) {
	want := example1("MachineTemplate").(*MachineTemplate)
	for format, marshal := range map[string]func(Resource, Version) ([]byte, error){"json": MarshalJSONIn, "xml": MarshalXMLIn} {
		b, err := marshal(want, V1)
		if err != nil {
			t.Fatal(err)
		}
		decode := DecodeJSON
		if format == "xml" {
			decode = DecodeXML
		}
		r, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		got := r.(*MachineTemplate)
		for _, d := range []string{cmp.Diff(want.Volumes, got.Volumes, cmpResources...), cmp.Diff(want.VolumeTemplates, got.VolumeTemplates, cmpResources...),
			cmp.Diff(want.NetworkInterfaces, got.NetworkInterfaces, cmpResources...)} {
			if d != "" {
				t.Errorf("%s: %s\n%s", format, d, b)
			}
		}
	}
}

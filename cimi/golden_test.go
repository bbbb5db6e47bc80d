package cimi

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example fills every attribute of a type with a value that tells its name.
func example(name string) Resource {
	r := New(name)
	fillExample(r, 0)
	if c, ok := r.(*Collection); ok {
		item := New(c.Item)
		item.Base().ID, item.Base().Name = "items/1", "one"
		c.Items = []Resource{item}
		c.Count = Int(1)
		*r.Base() = Common{ID: "items", Updated: r.Base().Updated, Operations: []Operation{{Rel: RelAdd, Href: "items"}}}
	}
	r.Base().SetExtra(OVFID, "vm-1")
	return r
}

func fillExample(r Resource, depth int) {
	v, t := structOf(r)
	for _, a := range t.attrs {
		if depth > 0 && (a.kind == kindRef || a.kind == kindRefs || a.Common && a.Name != "name") {
			continue
		}
		fillExampleAttribute(a, a.value(v), depth)
	}
}

func fillExampleAttribute(a *Attribute, v reflect.Value, depth int) {
	switch a.kind {
	case kindString:
		v.SetString(a.Name + " text")
	case kindURI:
		v.SetString("uri/" + a.Name)
	case kindInt:
		v.Set(reflect.ValueOf(Int(int64(len(a.Name)))))
	case kindBool:
		v.Set(reflect.ValueOf(Bool(true)))
	case kindTime:
		v.Set(reflect.ValueOf(TimeOf(time.Date(2026, 11, 23, 14, 40, 19, 0, time.UTC))))
	case kindAny:
		v.Set(reflect.ValueOf(any(true)))
	case kindMap:
		v.Set(reflect.ValueOf(map[string]string{"key": a.Name + " value"}))
	case kindRef:
		n := reflect.New(v.Type().Elem())
		ref := n.Interface().(reference)
		*ref.hrefp() = "ref/" + a.Name
		if in := ref.make(); in.Base() != nil && in.TypeName() != "" && a.of == "" && a.Name != "resourceMetadata" {
			fillExample(in, depth+1) // by value, with the href: overrides
		} else {
			n.Elem().FieldByName("Value").SetZero()
		}
		v.Set(n)
	case kindStrings:
		v.Set(reflect.ValueOf([]string{a.Item + " 1", a.Item + " 2"}))
	case kindStruct:
		n := reflect.New(v.Type().Elem())
		for _, sub := range tableOf(n.Type().Elem()).attrs {
			fillExampleAttribute(sub, sub.value(n.Elem()), depth+1)
		}
		v.Set(n)
	case kindRefs, kindStructs:
		s := reflect.MakeSlice(v.Type(), 1, 1)
		if a.kind == kindRefs {
			*s.Index(0).Addr().Interface().(reference).hrefp() = "ref/" + a.Item
		} else {
			for _, sub := range tableOf(v.Type().Elem()).attrs {
				if sub.kind == kindRef && sub.Name != "machineTemplate" && sub.Name != "volume" && sub.Name != "volumeTemplate" {
					continue
				}
				fillExampleAttribute(sub, sub.value(s.Index(0)), depth+1)
			}
		}
		v.Set(s)
	case kindScopes:
		v.Set(reflect.ValueOf([]ValueScope{{"cpu": {Minimum: Int(1), Maximum: Int(8)}, "cpuArch": {Values: []any{"x86", "x86_64"}}}}))
	}
}

// TestGolden: each type in both formats as it stands in testdata; -update writes it.
func TestGolden(t *testing.T) {
	xmllint, _ := exec.LookPath("xmllint")
	if xmllint == "" {
		if os.Getenv("CIMIMOVE_CI") == "1" {
			t.Fatal("xmllint is missing")
		}
		t.Log("xmllint is missing: well-formedness is not checked by another reader")
	}
	for _, name := range append(TypeNames(), "MachineCollection", "locatedVolumeCollection", "ResourceMetadataCollection") {
		t.Run(name, func(t *testing.T) {
			r := example(name)
			for ext, encode := range map[string]func(*bytes.Buffer) error{
				"json": func(b *bytes.Buffer) error { return EncodeJSON(b, r) },
				"xml":  func(b *bytes.Buffer) error { return EncodeXML(b, r) },
			} {
				var got bytes.Buffer
				if err := encode(&got); err != nil {
					t.Fatal(err)
				}
				file := filepath.Join("testdata", "golden", name+"."+ext)
				if *update {
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(want), got.String()); d != "" {
					t.Errorf("%s: %s", file, d)
				}
			}
		})
	}
	files, _ := filepath.Glob(filepath.Join("testdata", "golden", "*.xml"))
	if xmllint != "" {
		if out, err := exec.Command(xmllint, append([]string{"--nonet", "--noout"}, files...)...).CombinedOutput(); err != nil {
			t.Errorf("xmllint: %s", out)
		}
	}
}

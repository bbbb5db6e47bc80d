package cimi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// filler makes resources with every kind of value the model can hold.
type filler struct {
	*rand.Rand
	// forXML leaves out what XML cannot tell apart: an array of one scalar of
	// type any, for instance.
	forXML bool
}

func (f *filler) text() string {
	words := []string{"web", "a b", "<&>", `quo"te's`, "größe", " lead", "trail\n", "日本", "1", "true", "#db", "x\ty"}
	return words[f.IntN(len(words))]
}

func (f *filler) uri() string { return fmt.Sprintf("things/%d", f.IntN(1000)) }

func (f *filler) some() bool { return f.IntN(3) > 0 }

func (f *filler) resource(r Resource, depth int) {
	v, t := structOf(r)
	f.attributes(v, t, depth)
	if c, ok := r.(*Collection); ok {
		if c.Item == "" {
			c.Item = "Machine"
		}
		for range f.IntN(3) {
			item := New(c.Item)
			f.resource(item, depth+1)
			c.Items = append(c.Items, item)
		}
	}
	f.extras(r.Base())
}

func (f *filler) extras(c *Common) {
	if f.some() {
		return
	}
	c.SetExtra(OVFID, "vm-1")
	c.SetExtra(OVFFindings, []any{map[string]any{"id": "MAP-1", "n": json.Number("3"), "a b": true, "none": nil, "list": []any{}}})
}

func (f *filler) attributes(v reflect.Value, t *table, depth int) {
	for _, a := range t.attrs {
		if f.some() && depth > 0 || !a.In(V2) {
			continue
		}
		f.attribute(a, a.value(v), depth)
	}
}

func (f *filler) attribute(a *Attribute, v reflect.Value, depth int) {
	switch a.kind {
	case kindString:
		v.SetString(f.text())
	case kindURI:
		v.SetString(f.uri())
	case kindInt:
		v.Set(reflect.ValueOf(Int(int64(f.IntN(1 << 30)))))
	case kindBool:
		v.Set(reflect.ValueOf(Bool(f.some())))
	case kindTime:
		v.Set(reflect.ValueOf(TimeOf(time.Unix(int64(f.IntN(1<<30)), int64(f.IntN(1e9))))))
	case kindAny:
		if a.inText {
			v.Set(reflect.ValueOf([]any{true, false, json.Number("7"), "text", []any{"a", json.Number("1")}}[f.IntN(5)]))
		} else {
			v.Set(reflect.ValueOf([]any{"text", map[string]any{"resource": map[string]any{"href": "x"}, "n": json.Number("1")}}[f.IntN(2)]))
		}
	case kindMap:
		v.Set(reflect.ValueOf(map[string]string{"k": f.text(), "a b": f.text()}))
	case kindRef:
		n := reflect.New(v.Type().Elem())
		f.ref(n.Interface().(reference), a, depth)
		v.Set(n)
	case kindRefs, kindStructs:
		n := 1 + f.IntN(2)
		s := reflect.MakeSlice(v.Type(), n, n)
		for i := range n {
			if a.kind == kindRefs {
				f.ref(s.Index(i).Addr().Interface().(reference), a, depth)
				continue
			}
			f.structure(s.Index(i), depth)
		}
		v.Set(s)
	case kindStrings:
		v.Set(reflect.ValueOf([]string{f.uri(), f.uri()}))
	case kindStruct:
		n := reflect.New(v.Type().Elem())
		f.structure(n.Elem(), depth)
		v.Set(n)
	case kindAnys:
		v.Set(reflect.ValueOf([]any{"a", "b"}))
	case kindScopes:
		v.Set(reflect.ValueOf([]ValueScope{
			{"cpu": {Minimum: Int(1), Maximum: Int(8), Units: "count", Default: json.Number("2"), Increment: Int(1)}},
			{"cpuArch": {Values: []any{"x86", "x86_64"}}, "volumes": {Item: map[string]Scope{"initialLocation": {Value: "/"}}}},
		}))
	}
}

func (f *filler) structure(v reflect.Value, depth int) {
	f.attributes(v, tableOf(v.Type()), depth+1)
	// An empty structure is not written in a form that could be told from none.
	a := tableOf(v.Type()).attrs[0]
	f.attribute(a, a.value(v), 3)
}

func (f *filler) ref(r reference, a *Attribute, depth int) {
	*r.hrefp() = f.uri()
	if depth > 2 || f.some() {
		return
	}
	in := r.make()
	if c, ok := in.(*Collection); ok {
		c.Item = a.of
	}
	if u, ok := in.(*Unknown); ok {
		u.URI, u.Type = TypeURI("Meter"), "Meter"
	}
	f.resource(in, depth+1)
	in.Base().Name = "by value"
}

var cmpResources = []cmp.Option{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b Time) bool { return a.String() == b.String() }),
	cmpopts.SortSlices(func(a, b Extra) bool { return a.Name < b.Name }),
}

func everyType() []string {
	types := TypeNames()
	for _, n := range TypeNames() {
		if n != "CloudEntryPoint" && n != "Action" {
			types = append(types, n+"Collection")
		}
	}
	return types
}

func TestRoundTrip(t *testing.T) {
	seeds := uint64(2)
	if os.Getenv("CIMIMOVE_SLOW") == "1" {
		seeds = 5
	}
	for _, format := range []string{"json", "xml"} {
		for _, name := range everyType() {
			t.Run(format+"/"+name, func(t *testing.T) {
				for seed := range seeds {
					f := &filler{Rand: rand.New(rand.NewPCG(seed, 1)), forXML: format == "xml"}
					want := New(name)
					f.resource(want, 0)
					opts := cmpResources
					encode, decode := MarshalJSON, DecodeJSON
					if format == "xml" {
						encode, decode = MarshalXML, DecodeXML
					} else {
						// JSON has no namespaces.
						opts = append(opts[:len(opts):len(opts)], cmpopts.IgnoreFields(Extra{}, "Namespace"))
					}
					b, err := encode(want)
					if err != nil {
						t.Fatal(err)
					}
					got, err := decode(b)
					if err != nil {
						t.Fatalf("%v in\n%s", err, b)
					}
					if d := cmp.Diff(want, got, opts...); d != "" {
						t.Fatalf("seed %d: %s\n%s", seed, d, b)
					}
					again, err := encode(got)
					if err != nil || string(again) != string(b) {
						t.Fatalf("seed %d: written anew it differs (%v):\n%s", seed, err, cmp.Diff(string(b), string(again)))
					}
					if d := cmp.Diff(want, Clone(want), cmpResources...); d != "" {
						t.Fatalf("clone differs: %s", d)
					}
				}
			})
		}
	}
}

// TestJSONToXML: what came as one format and goes as the other loses nothing.
func TestJSONToXML(t *testing.T) {
	for seed := range uint64(20) {
		f := &filler{Rand: rand.New(rand.NewPCG(seed, 2)), forXML: true}
		want := New("SystemTemplate")
		f.resource(want, 0)
		j, err := MarshalJSON(want)
		if err != nil {
			t.Fatal(err)
		}
		r, err := DecodeJSON(j)
		if err != nil {
			t.Fatal(err)
		}
		x, err := MarshalXML(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeXML(x)
		if err != nil {
			t.Fatal(err)
		}
		j2, err := MarshalJSON(back)
		if err != nil || string(j) != string(j2) {
			t.Fatalf("seed %d: %v\n%s", seed, err, cmp.Diff(string(j), string(j2)))
		}
	}
}

var cmpSorted = cmpopts.SortSlices(func(a, b string) bool { return a < b })

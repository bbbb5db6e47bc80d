package cimi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sampleMachine() *Machine {
	m := &Machine{Common: Common{ID: "m/1", Name: "web", Created: TimeOf(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)),
		Properties: map[string]string{"env": "prod", "tier": "1"}}, State: StateStarted, CPU: Int(4), Memory: Int(2048)}
	m.SetExtra("ovfId", "vm-1")
	m.SetExtra("weight", json.Number("7"))
	return m
}

func TestFilter(t *testing.T) {
	m := sampleMachine()
	v := &Volume{Bootable: Bool(true)}
	for _, c := range []struct {
		filter string
		r      Resource
		want   bool
	}{
		{"name='web'", m, true},
		{`name = "web"`, m, true},
		{"'web'=name", m, true},
		{"name!='web'", m, false},
		{"cpu=4", m, true},
		{"cpu>4", m, false},
		{"cpu>=4 and cpu<=4", m, true},
		{"3<cpu", m, true},
		{"5<cpu", m, false},
		{"cpu='4'", m, false}, // a string, not an integer
		{"cpu>1 and name='x' or memory=2048", m, true},
		{"cpu>1 and (name='x' or memory=2048)", m, true},
		{"cpu<1 and (name='x' or memory=2048)", m, false},
		{"created>2026-11-23T11:00:00Z", m, true},
		{"created>2026-11-23T13:00:00+02:00", m, true},
		{"created<2026-11-23T13:00:00+02:00", m, false},
		{"created='2026-11-23T12:00:00Z'", m, true},
		{"property['env']='prod'", m, true},
		{"property['env']!='prod'", m, false},
		{"property['none']!='prod'", m, false}, // no such property matches
		{`property["tier"]="1" and state='STARTED'`, m, true},
		{"nothing='x'", m, false},
		{"nothing!='x'", m, true},
		{"ovfId='vm-1'", m, true},
		{"weight>6", m, true},
		{"bootable=true", v, true},
		{"bootable!=true", v, false},
		{"true=bootable", v, true},
		{"cpu<99999999999999999999", m, true},
		{"cpu>-99999999999999999999", m, true},
		{"cpu!=99999999999999999999", m, true},
		{"cpu>=99999999999999999999", m, false},
	} {
		f, err := ParseFilter(c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		if got := f.Match(c.r); got != c.want {
			t.Errorf("%s: got %v", c.filter, got)
		}
	}
}

func TestFilterRefused(t *testing.T) {
	for filter, says := range map[string]string{
		"":                       "got \"the end\"",
		"name":                   "expected one of",
		"name=":                  "got \"the end\"",
		"name='x":                "got \"'x\"",
		"name=x":                 "strings stand in quotes",
		"name<='b'":              "compares integers and dates",
		"'b'>name":               "compares integers and dates",
		"bootable>=true":         "compares integers and dates",
		"(name='x'":              "expected )",
		"name='x')":              "expected 'and', 'or' or the end",
		"1=2":                    "neither side",
		"name='x' xor name='y'":  "expected 'and'",
		"property[env]='x'":      "quoted key",
		"property['env']<'x'":    "expected = or !=",
		"name ! 'x'":             "expected one of",
		strings.Repeat("(", 200): "too many brackets",
	} {
		_, err := ParseFilter(filter)
		if err == nil || !strings.Contains(err.Error(), says) || StatusOf(err) != 400 {
			t.Errorf("%q: got %v, want a 400 that says %s", filter, err, says)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"name='web' and (cpu>1 or 3<cpu)", "property['a']!=\"b\"", "created>2026-11-23T11:00:00Z"} {
		f.Add(s)
	}
	m := sampleMachine()
	f.Fuzz(func(t *testing.T, s string) {
		if x, err := ParseFilter(s); err == nil {
			x.Match(m)
		}
	})
}

func TestOrderAndRange(t *testing.T) {
	var all []Resource
	for i, cpu := range []int64{3, 1, 2, 1} {
		all = append(all, &Machine{Common: Common{Name: string(rune('a' + i))}, CPU: Int(cpu)})
	}
	all = append(all, &Machine{Common: Common{Name: "e"}})
	for _, c := range []struct {
		opts ListOptions
		want string
		n    int
	}{
		{ListOptions{}, "abcde", 5},
		{ListOptions{OrderBy: []string{"cpu"}}, "ebdca", 5},
		{ListOptions{OrderBy: []string{"cpu:desc", "name:desc"}}, "acdbe", 5},
		{ListOptions{OrderBy: []string{"cpu:desc,name:asc"}, First: 2, Last: 3}, "cb", 5},
		{ListOptions{First: 4}, "de", 5},
		{ListOptions{Last: 2}, "ab", 5},
		{ListOptions{First: 3, Last: 2}, "", 5},
		{ListOptions{First: 9}, "", 5},
		{ListOptions{Filter: []string{"cpu=1"}, Last: 1}, "b", 2},
	} {
		page, n, err := ApplyQuery(all, c.opts)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, r := range page {
			got += r.Base().Name
		}
		if got != c.want || n != c.n {
			t.Errorf("%+v: got %s of %d, want %s of %d", c.opts, got, n, c.want, c.n)
		}
	}
	if _, _, err := ApplyQuery(all, ListOptions{OrderBy: []string{"cpu:up"}}); StatusOf(err) != 400 {
		t.Errorf("$orderby=cpu:up: %v", err)
	}
}

func TestSelect(t *testing.T) {
	m := sampleMachine()
	got := Select(m, []string{"name,cpu", "cpu", "none", "ovfId"})
	want := &Machine{Common: Common{Name: "web"}, CPU: Int(4)}
	want.SetExtra("ovfId", "vm-1")
	if d := cmp.Diff(Resource(want), got, cmpResources...); d != "" {
		t.Error(d)
	}
	c := NewCollection("machines", "Machine", m)
	got = Select(c, []string{"machines/name", "count"})
	if d := cmp.Diff(Resource(&Collection{Item: "Machine", Count: Int(1), Items: []Resource{&Machine{Common: Common{Name: "web"}}}}), got, cmpResources...); d != "" {
		t.Error(d)
	}
	if got := Select(c, []string{"count"}).(*Collection); len(got.Items) != 0 || got.ID != "" {
		t.Errorf("count only: %+v", got)
	}
}

func TestOverlay(t *testing.T) {
	tmpl := &MachineTemplate{InitialState: "STOPPED", UserData: "abc", MachineConfig: RefTo[MachineConfiguration]("c/1")}
	over, err := DecodeJSONAs([]byte(`{"userData":null,"machineConfig":{"cpu":1}}`), "MachineTemplate")
	if err != nil {
		t.Fatal(err)
	}
	got := Overlay(tmpl, over.(*MachineTemplate))
	want := &MachineTemplate{InitialState: "STOPPED", MachineConfig: RefBy(&MachineConfiguration{CPU: Int(1)})}
	if d := cmp.Diff(want, got, cmpResources...); d != "" {
		t.Error(d)
	}
	if tmpl.UserData != "abc" {
		t.Error("the template itself was changed")
	}
	if d := cmp.Diff(tmpl, Overlay(tmpl, nil), cmpResources...); d != "" {
		t.Error(d)
	}
}

func TestUnknownAttributes(t *testing.T) {
	r, err := DecodeJSON([]byte(`{"resourceURI":"x/MachineCreate","ovfId":"a","colour":"red","machineTemplate":{"shape":1,"machineConfig":{"disks":[{"size":1}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	got := UnknownAttributes(r, func(n string) bool { return n == "ovfId" })
	if d := cmp.Diff([]string{"colour", "shape", "size"}, got, cmpSorted); d != "" {
		t.Error(d)
	}
}

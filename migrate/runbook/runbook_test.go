package runbook

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const least = `version: 1
endpoints:
  old: {url: "http://127.0.0.1:8780/cloudEntryPoint"}
  new: {url: "http://127.0.0.1:8781/cloudEntryPoint"}
defaults: {source: old, destination: new, verify: full}
systems:
  - {system: app-001}
  - {system: app-002, name: app-002-moved, net: {lan: prod}}
limits: {systems: 4}
onFailure: continue        # or stop
`

func TestParse(t *testing.T) {
	got, err := Parse("rb.yaml", []byte(least))
	if err != nil {
		t.Fatal(err)
	}
	want := &Runbook{
		Name: "rb.yaml",
		Endpoints: map[string]Endpoint{
			"old": {URL: "http://127.0.0.1:8780/cloudEntryPoint"},
			"new": {URL: "http://127.0.0.1:8781/cloudEntryPoint"},
		},
		Items: []Item{
			{System: "app-001", Source: "old", Destination: "new", Verify: "full", File: "rb.yaml", Line: 7},
			{System: "app-002", Name: "app-002-moved", Source: "old", Destination: "new", Verify: "full", Net: map[string]string{"lan": "prod"}, File: "rb.yaml", Line: 8},
		},
		Limits: Limits{Systems: 4}, OnFailure: Continue, Vars: map[string]string{},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":     {"limits: {systems: 4}", "limits: {system: 4}", "9:10"},
		"unknown endpoint":  {"destination: new", "destination: nwe", "7:6"},
		"wrong version":     {"version: 1", "version: 2", "1:10"},
		"wrong verify":      {"verify: full", "verify: most", "one of none, digest, full"},
		"no system":         {"{system: app-001}", "{name: app-001}", "7:6"},
		"twice":             {"{system: app-002, name: app-002-moved, net: {lan: prod}}", "{system: app-001}", "in line 7"},
		"wrong policy":      {"onFailure: continue", "onFailure: maybe", "10:12"},
		"broken YAML":       {"limits: {systems: 4}", "limits: {systems: 4", "10:1"},
		"wrong type":        {"systems: 4", "systems: four", "9:"},
		"negative":          {"systems: 4", "systems: -4", "not negative"},
		"duplicate key":     {"onFailure: continue", "version: 1", "already defined"},
		"endpoint no url":   {`old: {url: "http://127.0.0.1:8780/cloudEntryPoint"}`, `old: {url: ""}`, "3:"},
		"secret in runbook": {`old: {url: "http://127.0.0.1:8780/cloudEntryPoint"}`, `old: {url: "http://h/", password: x}`, "3:"},
		"unset variable":    {"system: app-001", `system: "app-${n}"`, "7:14"},
		"unknown wave":      {"system: app-001", "system: app-001, wave: w", `wave "w"`},
		"unknown window":    {"limits: {systems: 4}", "window: night", `9:9: runbook is not valid: window "night"`},
		"wrong zone":        {"limits: {systems: 4}", "windows: {n: {from: \"22:00\", to: \"06:00\", zone: Europe/Atlantis}}", "Europe/Atlantis"},
		"wrong time":        {"limits: {systems: 4}", "windows: {n: {from: \"2200\", to: \"06:00\"}}", "written 22:00"},
		"wrong rate":        {"systems: 4}", "bandwidth: fast}", "9:21"},
		"waits for itself":  {"{system: app-001}", "{system: app-001, after: [app-002]}\n  - {system: app-003, after: [app-003]}", "waits for itself"},
		"waits for nothing": {"{system: app-001}", "{system: app-001, after: [app-009]}", "not in the runbook"},
		"circle of waves":   {"limits: {systems: 4}", "waves: [{name: a, after: [b]}, {name: b}]", "circle"},
		"default name":      {"verify: full", "name: same", "would have the same"},
		"bad template":      {"name: app-002-moved", `name: "{{.System"`, "no template"},
		"field of nothing":  {"name: app-002-moved", `name: "{{.Nope}}-{{.System}}"`, `no entry for key "Nope"`},
		"wrong hook":        {"limits: {systems: 4}", "hooks: [{on: during verify, run: [x]}]", "before or after"},
		"secret written":    {"limits: {systems: 4}", `notify: [{url: "http://h/", secret: hunter2}]`, "referred to"},
		"bad selection":     {"{system: app-001}", "{select: {exclude: [a]}}", "says nothing"},
		"no such include":   {"version: 1", "version: 1\ninclude: [nowhere.yaml]", "rb.yaml:2:11: runbook is not valid: open nowhere.yaml: no such file"},
		"no such list":      {"{system: app-001}", "{select: {csv: nowhere.csv}}", "7:"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strings.Replace(least, c.old, c.new, 1)
			if doc == least {
				t.Fatal("the case changes nothing")
			}
			_, err := Parse("rb.yaml", []byte(doc))
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q shows a secret", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(least)
	f.Add("version: 1\nsystems: [&a {system: *a}]\n")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse("f", []byte(s))
		if err == nil && len(r.Items) == 0 {
			t.Error("no error and no items")
		}
	})
}

// Package runbook reads the list of Systems that a batch evacuation moves:
// YAML, strictly, with the line and column of everything that is wrong.
//
// A runbook names its endpoints; it never holds credentials. What a System
// does not say is taken from defaults.
package runbook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Version is the version of the form that this package reads.
const Version = 1

// ErrInvalid: the runbook cannot be read or breaks its rules.
var ErrInvalid = errors.New("runbook is not valid")

// Runbook is a parsed runbook. Items are resolved: every field that defaults
// fill is filled.
type Runbook struct {
	// Name is the absolute path of the file, or what Parse was given.
	Name      string
	Endpoints map[string]Endpoint
	Items     []Item
	Limits    Limits
	OnFailure OnFailure
}

// Endpoint is a cloud. URL is whatever the command line takes as an endpoint.
type Endpoint struct {
	URL string `yaml:"url"`
}

// Limits: 0 is the caller's default.
type Limits struct {
	Systems int `yaml:"systems"` // moved at the same time
	Disks   int `yaml:"disks"`   // of one System at the same time
}

// OnFailure says what a failed item does to the others.
type OnFailure string

const (
	Continue OnFailure = "continue"
	Stop     OnFailure = "stop" // items that have not begun are not begun
)

// Item is one System to move.
type Item struct {
	System      string // id, path or unique name at the source
	Source      string // key of Endpoints
	Destination string // key of Endpoints
	Name        string // at the destination; empty keeps it
	Net         map[string]string
	Storage     map[string]string
	Properties  map[string]string
	MAC         string
	Verify      string
	Via         string
	IfExists    string
	OnFailure   string // rollback or keep
	PowerOn     bool
	Line        int // in the file
}

// Key names the item among those of a runbook, the same each time it is run.
func (i Item) Key() string {
	return strings.Join([]string{i.Source, i.System, i.Destination, i.Name}, "\x1f")
}

// file is the form of the document.
type file struct {
	Version   int                 `yaml:"version"`
	Endpoints map[string]Endpoint `yaml:"endpoints"`
	Defaults  entry               `yaml:"defaults"`
	Systems   []entry             `yaml:"systems"`
	Limits    Limits              `yaml:"limits"`
	OnFailure OnFailure           `yaml:"onFailure"`
}

type entry struct {
	System      string            `yaml:"system"`
	Source      string            `yaml:"source"`
	Destination string            `yaml:"destination"`
	Name        string            `yaml:"name"`
	Net         map[string]string `yaml:"net"`
	Storage     map[string]string `yaml:"storage"`
	Prop        map[string]string `yaml:"prop"`
	MAC         string            `yaml:"mac"`
	Verify      string            `yaml:"verify"`
	Via         string            `yaml:"via"`
	IfExists    string            `yaml:"ifExists"`
	OnFailure   string            `yaml:"onFailure"`
	PowerOn     *bool             `yaml:"powerOn"`
}

// maxSize bounds what is read: ten thousand Systems with room to spare.
const maxSize = 16 << 20

// Load reads a runbook file.
func Load(path string) (*Runbook, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if info.Size() > maxSize {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d are read", path, ErrInvalid, info.Size(), maxSize)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return Parse(abs, b)
}

// Parse reads a runbook; name is what errors call it.
func Parse(name string, b []byte) (*Runbook, error) {
	if len(b) > maxSize {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d are read", name, ErrInvalid, len(b), maxSize)
	}
	c := checker{name: name, source: b}
	if err := c.aliases(); err != nil {
		return nil, err
	}
	var f file
	if err := yaml.UnmarshalWithOptions(b, &f, yaml.Strict()); err != nil {
		// Without the source lines: somebody may have put a password there.
		return nil, fmt.Errorf("%s: %w: %s", name, ErrInvalid, strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if f.Version != Version {
		return nil, c.at("$.version", "version is %d, this program reads %d", f.Version, Version)
	}
	if len(f.Systems) == 0 {
		return nil, c.at("$.systems", "lists no systems")
	}
	if f.OnFailure == "" {
		f.OnFailure = Continue
	}
	if f.OnFailure != Continue && f.OnFailure != Stop {
		return nil, c.at("$.onFailure", "onFailure is %q; it is continue or stop", f.OnFailure)
	}
	if f.Limits.Systems < 0 || f.Limits.Disks < 0 {
		return nil, c.at("$.limits", "limits are not negative")
	}
	if f.Defaults.System != "" || f.Defaults.Name != "" {
		return nil, c.at("$.defaults", "a default cannot name a system")
	}
	for name, e := range f.Endpoints {
		if e.URL == "" {
			return nil, c.at("$.endpoints."+name, "endpoint %s has no url", name)
		}
	}
	r := &Runbook{Name: name, Endpoints: f.Endpoints, Limits: f.Limits, OnFailure: f.OnFailure}
	seen := map[string]int{}
	for n, e := range f.Systems {
		path := fmt.Sprintf("$.systems[%d]", n)
		item := f.Defaults.over(e)
		item.Line = c.line(path)
		if err := c.item(path, item, f.Endpoints); err != nil {
			return nil, err
		}
		if first, twice := seen[item.Key()]; twice {
			return nil, c.at(path, "system %s stands here and in line %d", item.System, first)
		}
		seen[item.Key()] = item.Line
		r.Items = append(r.Items, item)
	}
	return r, nil
}

// over fills what e leaves out from the defaults d. Maps are merged, e's
// entries winning.
func (d entry) over(e entry) Item {
	first := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	i := Item{
		System: e.System, Name: e.Name,
		Source: first(e.Source, d.Source), Destination: first(e.Destination, d.Destination),
		Net: merge(d.Net, e.Net), Storage: merge(d.Storage, e.Storage), Properties: merge(d.Prop, e.Prop),
		MAC: first(e.MAC, d.MAC), Verify: first(e.Verify, d.Verify), Via: first(e.Via, d.Via),
		IfExists: first(e.IfExists, d.IfExists), OnFailure: first(e.OnFailure, d.OnFailure),
	}
	switch {
	case e.PowerOn != nil:
		i.PowerOn = *e.PowerOn
	case d.PowerOn != nil:
		i.PowerOn = *d.PowerOn
	}
	return i
}

func merge(base, over map[string]string) map[string]string {
	if len(base)+len(over) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, m := range []map[string]string{base, over} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

var allowed = []struct {
	field  string
	value  func(Item) string
	values []string
}{
	{"mac", func(i Item) string { return i.MAC }, []string{"keep", "regenerate", "strip"}},
	{"verify", func(i Item) string { return i.Verify }, []string{"none", "digest", "full"}},
	{"via", func(i Item) string { return i.Via }, []string{"auto", "direct", "relay", "stage", "resources"}},
	{"ifExists", func(i Item) string { return i.IfExists }, []string{"fail", "skip", "replace", "rename"}},
	{"onFailure", func(i Item) string { return i.OnFailure }, []string{"rollback", "keep"}},
}

func (c checker) item(path string, i Item, endpoints map[string]Endpoint) error {
	if i.System == "" {
		return c.at(path, "no system is named")
	}
	for _, side := range []struct{ field, name string }{{"source", i.Source}, {"destination", i.Destination}} {
		if side.name == "" {
			return c.at(path, "system %s has no %s, and defaults give none", i.System, side.field)
		}
		if _, ok := endpoints[side.name]; !ok && !strings.HasPrefix(side.name, "@") {
			return c.at(path, "system %s: %s %q is not among the endpoints", i.System, side.field, side.name)
		}
	}
	for _, a := range allowed {
		if v := a.value(i); v != "" && !slices.Contains(a.values, v) {
			return c.at(path, "system %s: %s is %q; it is one of %s", i.System, a.field, v, strings.Join(a.values, ", "))
		}
	}
	return nil
}

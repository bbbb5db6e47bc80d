package runbook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/migrate/hook"
	"github.com/cimimove/cimimove/ovf/edit"
)

// document is the form of a file.
type document struct {
	Version   int                   `yaml:"version" jsonschema:"enum=1,description=Version of this form"`
	Include   []string              `yaml:"include,omitempty" jsonschema:"description=Runbooks whose content stands before this one's; paths are relative to this file"`
	Vars      map[string]string     `yaml:"vars,omitempty" jsonschema:"description=Texts that ${name} stands for anywhere in this runbook"`
	Endpoints map[string]Endpoint   `yaml:"endpoints,omitempty" jsonschema:"description=Clouds by name"`
	Windows   map[string]WindowForm `yaml:"windows,omitempty" jsonschema:"description=Windows of time by name"`
	Window    Names                 `yaml:"window,omitempty" jsonschema:"description=Windows that bound everything"`
	Defaults  entry                 `yaml:"defaults,omitempty" jsonschema:"description=What a System does not say"`
	Waves     []waveForm            `yaml:"waves,omitempty" jsonschema:"description=Systems that move together; a wave begins when the one before it has ended"`
	Systems   []entry               `yaml:"systems,omitempty" jsonschema:"description=The Systems to move"`
	Limits    Limits                `yaml:"limits,omitempty" jsonschema:"description=Limits of the whole"`
	Retries   Retries               `yaml:"retries,omitempty" jsonschema:"description=Retries of each System"`
	OnFailure OnFailure             `yaml:"onFailure,omitempty" jsonschema:"enum=continue,enum=stop-wave,enum=stop,description=What a failed System does to the others (default continue)"`
	Hooks     []Hook                `yaml:"hooks,omitempty" jsonschema:"description=Commands and webhooks around the phases of each migration"`
	Notify    []Notify              `yaml:"notify,omitempty" jsonschema:"description=Webhooks told of what happens"`
}

type waveForm struct {
	Name      string    `yaml:"name"`
	After     *[]string `yaml:"after,omitempty" jsonschema:"description=Waves that must have ended before (default the wave before this one)"`
	Window    Names     `yaml:"window,omitempty" jsonschema:"description=Windows in which its Systems move"`
	Limits    Limits    `yaml:"limits,omitempty"`
	OnFailure OnFailure `yaml:"onFailure,omitempty" jsonschema:"enum=continue,enum=stop-wave,enum=stop"`
	Defaults  entry     `yaml:"defaults,omitempty"`
	Systems   []entry   `yaml:"systems,omitempty"`
}

type entry struct {
	System      string            `yaml:"system,omitempty" jsonschema:"description=Id or path or unique name at the source"`
	Select      *Select           `yaml:"select,omitempty" jsonschema:"description=The Systems that the source lists"`
	Source      string            `yaml:"source,omitempty" jsonschema:"description=Name among endpoints or @name of the configuration file"`
	Destination string            `yaml:"destination,omitempty" jsonschema:"description=Name among endpoints or @name of the configuration file"`
	Name        string            `yaml:"name,omitempty" jsonschema:"description=Name at the destination; a template such as {{.System}}-moved"`
	Wave        string            `yaml:"wave,omitempty" jsonschema:"description=Wave that it belongs to"`
	After       []string          `yaml:"after,omitempty" jsonschema:"description=Systems that must be verified before"`
	Net         map[string]string `yaml:"net,omitempty" jsonschema:"description=Networks of the System to those of the destination; * is the default"`
	Storage     map[string]string `yaml:"storage,omitempty" jsonschema:"description=Disks to places of the destination; * is the default"`
	Controllers map[string]string `yaml:"controllers,omitempty" jsonschema:"description=Buses to which disks are put by the bus they come on such as sata: scsi"`
	Prop        map[string]Value  `yaml:"prop,omitempty" jsonschema:"description=Values of OVF properties"`
	MAC         string            `yaml:"mac,omitempty" jsonschema:"enum=keep,enum=regenerate,enum=strip"`
	Verify      string            `yaml:"verify,omitempty" jsonschema:"enum=none,enum=digest,enum=full"`
	Via         string            `yaml:"via,omitempty" jsonschema:"enum=auto,enum=direct,enum=relay,enum=stage,enum=resources"`
	Stage       string            `yaml:"stage,omitempty" jsonschema:"description=Folder or s3://bucket/prefix for via stage"`
	IfExists    string            `yaml:"ifExists,omitempty" jsonschema:"enum=fail,enum=skip,enum=replace,enum=rename"`
	OnFailure   string            `yaml:"onFailure,omitempty" jsonschema:"enum=rollback,enum=keep,description=What becomes of what was made at the destination"`
	PowerOn     *bool             `yaml:"powerOn,omitempty" jsonschema:"description=Start the machines when all is verified"`
	Warm        *bool             `yaml:"warm,omitempty" jsonschema:"description=Copy the disks while the machines run and send what has changed when they are at rest"`
	Retries     *Retries          `yaml:"retries,omitempty"`
	Cutover     *Cutover          `yaml:"cutover,omitempty"`
	Hooks       []Hook            `yaml:"hooks,omitempty"`
}

// over fills what e leaves out from d. Maps are merged, e's entries winning;
// d's hooks come first.
func (d entry) over(e entry) entry {
	out := e
	for _, f := range []struct{ to, from *string }{
		{&out.Source, &d.Source}, {&out.Destination, &d.Destination}, {&out.Name, &d.Name}, {&out.Wave, &d.Wave},
		{&out.MAC, &d.MAC}, {&out.Verify, &d.Verify}, {&out.Via, &d.Via}, {&out.Stage, &d.Stage},
		{&out.IfExists, &d.IfExists}, {&out.OnFailure, &d.OnFailure},
	} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
	out.Net, out.Storage, out.Controllers, out.Prop = merge(d.Net, e.Net), merge(d.Storage, e.Storage), merge(d.Controllers, e.Controllers), merge(d.Prop, e.Prop)
	if out.PowerOn == nil {
		out.PowerOn = d.PowerOn
	}
	if out.Warm == nil {
		out.Warm = d.Warm
	}
	if out.Retries == nil {
		out.Retries = d.Retries
	}
	if out.Cutover == nil {
		out.Cutover = d.Cutover
	}
	out.Hooks = slices.Concat(d.Hooks, e.Hooks)
	return out
}

func (e entry) item() Item {
	i := Item{System: e.System, Select: e.Select, Source: e.Source, Destination: e.Destination, Name: e.Name, Wave: e.Wave, After: e.After,
		Net: e.Net, Storage: e.Storage, Controllers: e.Controllers, Properties: e.Prop, MAC: e.MAC, Verify: e.Verify, Via: e.Via, Stage: e.Stage,
		IfExists: e.IfExists, OnFailure: e.OnFailure, Hooks: e.Hooks}
	if e.PowerOn != nil {
		i.PowerOn = *e.PowerOn
	}
	if e.Warm != nil {
		i.Warm = *e.Warm
	}
	if e.Retries != nil {
		i.Retries = *e.Retries
	}
	if e.Cutover != nil {
		i.Cutover = *e.Cutover
	}
	return i
}

func merge[V any](base, over map[string]V) map[string]V {
	if len(base)+len(over) == 0 {
		return nil
	}
	out := map[string]V{}
	for _, m := range []map[string]V{base, over} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// words that a field of an item may have.
var words = []struct {
	field  string
	value  func(Item) string
	values []string
}{
	{"mac", func(i Item) string { return i.MAC }, []string{"keep", "regenerate", "strip"}},
	{"verify", func(i Item) string { return i.Verify }, []string{"none", "digest", "full"}},
	{"via", func(i Item) string { return i.Via }, []string{"auto", "direct", "relay", "stage", "resources"}},
	{"ifExists", func(i Item) string { return i.IfExists }, []string{"fail", "skip", "replace", "rename"}},
	{"onFailure", func(i Item) string { return i.OnFailure }, []string{"rollback", "keep"}},
	{"cutover.stop", func(i Item) string { return i.Cutover.Stop }, []string{"graceful", "force", "refuse", "never"}},
	{"cutover.source", func(i Item) string { return i.Cutover.Source }, []string{"keep", "start", "stop", "delete"}},
}

// item checks one item.
func (c checker) item(path string, i Item, endpoints map[string]Endpoint) error {
	what := "system " + i.System
	switch {
	case i.System == "" && i.Select == nil:
		return c.at(path, "no system is named, and none selected")
	case i.System != "" && i.Select != nil:
		return c.at(path, "%s is named, and some are selected: one of the two", what)
	case i.Select != nil:
		what = "selection"
		if err := i.Select.check(); err != nil {
			return c.at(path+".select", "select: %v", err)
		}
	}
	for _, side := range []struct{ field, name string }{{"source", i.Source}, {"destination", i.Destination}} {
		if side.name == "" {
			return c.at(path, "%s has no %s, and defaults give none", what, side.field)
		}
		if _, ok := endpoints[side.name]; !ok && !strings.HasPrefix(side.name, "@") {
			return c.at(path, "%s: %s %q is not among the endpoints", what, side.field, side.name)
		}
	}
	for _, w := range words {
		if v := w.value(i); v != "" && !slices.Contains(w.values, v) {
			return c.at(path, "%s: %s is %q; it is one of %s", what, w.field, v, strings.Join(w.values, ", "))
		}
	}
	if err := edit.CheckControllers(i.Controllers); err != nil {
		return c.at(path+".controllers", "%s: controllers: %v", what, err)
	}
	if i.Retries.Count < 0 {
		return c.at(path, "%s: retries are not negative", what)
	}
	if err := checkNaming(i.Name); err != nil {
		return c.at(path+".name", "%s: name %q is no template: %v", what, i.Name, err)
	}
	return nil
}

// hook is it as the engine runs it.
func (h Hook) hook() hook.Hook {
	return hook.Hook{On: h.On, Run: h.Run, URL: h.URL, Timeout: time.Duration(h.Timeout), Continue: h.OnFailure == "continue"}
}

// check tells what is wrong with a hook.
func (h Hook) check() error {
	if h.OnFailure != "" && h.OnFailure != "fail" && h.OnFailure != "continue" {
		return fmt.Errorf("hook on %q: onFailure is %q; it is fail or continue", h.On, h.OnFailure)
	}
	return h.hook().Check()
}

// EngineHooks are an item's hooks as the engine runs them.
func (i Item) EngineHooks() []hook.Hook {
	var out []hook.Hook
	for _, h := range i.Hooks {
		out = append(out, h.hook())
	}
	return out
}

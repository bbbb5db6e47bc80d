package migrate

import (
	"errors"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// properties are those of the import action.
func (r *run) properties() (map[string]string, error) {
	for _, k := range r.PropertyKeys {
		if _, ok := r.values[k]; !ok {
			return nil, &Error{Step: StepImport, Class: ClassUsage, Object: "property " + k,
				Err: errors.New("its value is needed again: values are not kept in the journal"), Advice: "cimimove resume " + r.id + " --prop " + k + "=VALUE"}
		}
	}
	return importProperties(importChoice{Name: r.Name, Nets: r.Nets, Storage: r.Storage, MAC: r.MAC, Configuration: r.Config, Controllers: r.Controllers,
		Properties: r.values, Run: r.id, ParallelDisks: r.ParallelDisks,
		Unique: r.uniqueName(), Before: r.Before}), nil
}

// uniqueName is the System's where the destination sees to it that it is free.
func (r record) uniqueName() string {
	if r.Unique {
		return r.Name
	}
	return ""
}

// importChoice is what an import may be told.
type importChoice struct {
	Name          string
	Nets, Storage map[string]string
	MAC           string
	Configuration string
	Controllers   map[string]string
	Properties    map[string]string
	Run           string
	ParallelDisks int
	// Unique is the name that, the cloud willing, no System but those Before has.
	Unique string
	Before []string
}

// runProperty marks the System of a run at the destination.
const runProperty = "cimimove.run"

// importProperties are the properties of an import action (mapping.md).
func importProperties(c importChoice) map[string]string {
	out := map[string]string{}
	set := func(k, v string) {
		if v != "" {
			out[k] = v
		}
	}
	set("ovf.name", c.Name)
	set("ovf.configuration", c.Configuration)
	if c.MAC != "keep" {
		set("ovf.mac", c.MAC)
	}
	for k, v := range c.Nets {
		set("ovf.network."+k, v)
	}
	for k, v := range c.Storage {
		set("ovf.storage."+k, v)
	}
	for k, v := range c.Controllers {
		set("ovf.controller."+k, v)
	}
	for k, v := range c.Properties {
		out["ovf.property."+k] = v
	}
	set(runProperty, c.Run)
	if c.Unique != "" {
		set(cimi.UniqueName, c.Unique)
		set(cimi.Besides, strings.Join(c.Before, " "))
	}
	if c.ParallelDisks > 1 {
		set(cimi.ParallelDisks, strconv.Itoa(c.ParallelDisks))
	}
	return out
}

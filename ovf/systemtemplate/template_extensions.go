package systemtemplate

import (
	"encoding/json"
	"maps"

	"github.com/cimimove/cimimove/cimi"
)

// What CIMI has no attribute for goes to extension attributes where the
// destination lists them, else to properties: a Provider refuses unknown
// attributes (DSP0263 5.3), and a Consumer may write properties (5.1).

// Keys of properties, where extension attributes are refused.
const (
	propertyID      = "ovf.id"
	propertyStartup = "ovf.startup"
	propertyOS      = "ovf.os"
	propertyPrefix  = "ovf.property."
)

// extend writes id, startup and properties on a template.
func (w *templater) extend(c *cimi.Common, properties *map[string]string, id string, s *Startup, props []Property) {
	w.mark(&c.Extensions, nil, id)
	if w.opts.Lacks.Extensions {
		*properties = w.propertiesOf(*properties, id, s, props, "")
		return
	}
	if s != nil {
		c.SetExtra(cimi.OVFStartup, s)
	}
	if values := shown(props); len(values) > 0 {
		c.SetExtra(cimi.OVFProperties, values)
	}
}

// shown are the values of properties that are no passwords.
func shown(props []Property) map[string]string {
	out := map[string]string{}
	for _, p := range props {
		if !p.Password {
			out[p.Key] = p.Value
		}
	}
	return out
}

// mark writes ovfId; properties may be nil where there are none.
func (w *templater) mark(x *cimi.Extensions, properties *map[string]string, id string) {
	switch {
	case id == "":
	case !w.opts.Lacks.Extensions:
		x.SetExtra(cimi.OVFID, id)
	case properties != nil:
		m := maps.Clone(*properties)
		if m == nil {
			m = map[string]string{}
		}
		m[propertyID] = id
		*properties = m
	}
}

// propertiesOf adds what extensions would carry, as far as MaxPropertyItems lets it.
func (w *templater) propertiesOf(have map[string]string, id string, s *Startup, props []Property, os string) map[string]string {
	if !w.opts.Lacks.Extensions {
		return have
	}
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	put := func(key, value string) {
		if _, ok := out[key]; value == "" || !ok && w.opts.Lacks.MaxPropertyItems > 0 && len(out) >= w.opts.Lacks.MaxPropertyItems {
			if value != "" {
				w.findings.add(PropertyValues, id, "no room for %s", key)
			}
			return
		}
		out[key] = value
	}
	put(propertyID, id)
	if s != nil {
		if b, err := json.Marshal(s); err == nil {
			put(propertyStartup, string(b))
		}
	}
	put(propertyOS, os)
	for _, p := range props {
		if !p.Password {
			put(propertyPrefix+p.Key, p.Value)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

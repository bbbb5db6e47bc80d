// Package env makes the OVF environment document (DSP8027, DSP0243 11.1): what
// the guest software of a virtual system is told about its properties and
// those of its siblings.
package env

import (
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// Options of Document.
type Options struct {
	Configuration string // an id; "" for the default one
	// Values replace defaults, by the key of the environment (ovf.Property.EnvKey).
	Values map[string]string
	// Platform describes who runs the machine; empty fields are left out.
	Platform Platform
}

// Platform is the PlatformSection.
type Platform struct {
	Kind, Version, Vendor, Locale string
	Timezone                      string // minutes from UTC
}

// Property is a key of the environment with its value.
type Property struct{ Key, Value string }

// Properties are those that the virtual system vs sees: its own, and those of
// the collection directly around it that it does not override. ${name} in a
// value of its own takes the parent's value of that key (9.5).
func Properties(vs ovf.Content, opts Options) ([]Property, error) {
	if !vs.Exists() {
		return nil, fmt.Errorf("ovf environment: no such virtual system")
	}
	configuration, err := vs.Envelope().Configuration(opts.Configuration)
	if err != nil {
		return nil, fmt.Errorf("ovf environment: %w", err)
	}
	value := func(p ovf.Property) string {
		if v, ok := opts.Values[p.EnvKey()]; ok {
			return v
		}
		return p.ValueIn(configuration)
	}
	var out []Property
	at := map[string]int{}
	macros := map[string]string{}
	if parent, ok := vs.Parent(); ok {
		for _, p := range parent.Properties() {
			v := value(p)
			at[p.EnvKey()] = len(out)
			out = append(out, Property{p.EnvKey(), v})
			macros[p.Key], macros[p.EnvKey()] = v, v
		}
	}
	for _, p := range vs.Properties() {
		v := expand(value(p), macros)
		if i, ok := at[p.EnvKey()]; ok {
			out[i].Value = v
			continue
		}
		at[p.EnvKey()] = len(out)
		out = append(out, Property{p.EnvKey(), v})
	}
	return out, nil
}

// expand replaces each ${name} once: a value cannot make another macro.
func expand(s string, macros map[string]string) string {
	var b strings.Builder
	for {
		head, rest, ok := strings.Cut(s, "${")
		name, tail, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(head)
		if v, known := macros[name]; known {
			b.WriteString(v)
		} else {
			b.WriteString("${" + name + "}")
		}
		s = tail
	}
}

// Document is the environment document of the virtual system vs.
func Document(vs ovf.Content, opts Options) ([]byte, error) {
	own, err := Properties(vs, opts)
	if err != nil {
		return nil, err
	}
	root := element("Environment")
	root.Attrs = []xmltree.FragmentAttr{attribute("id", vs.ID)}
	platform := element("PlatformSection")
	for _, f := range [][2]string{{"Kind", opts.Platform.Kind}, {"Version", opts.Platform.Version}, {"Vendor", opts.Platform.Vendor},
		{"Locale", opts.Platform.Locale}, {"Timezone", opts.Platform.Timezone}} {
		if f[1] != "" {
			e := element(f[0])
			e.Text = f[1]
			platform.Children = append(platform.Children, e)
		}
	}
	if len(platform.Children) > 0 {
		root.Children = append(root.Children, platform)
	}
	root.Children = append(root.Children, section(own))
	if parent, ok := vs.Parent(); ok {
		for _, k := range parent.Children() {
			if k.Same(vs.Element) {
				continue
			}
			theirs, err := Properties(k, opts)
			if err != nil {
				return nil, err
			}
			e := element("Entity")
			e.Attrs = []xmltree.FragmentAttr{attribute("id", k.ID)}
			e.Children = []xmltree.Fragment{section(theirs)}
			root.Children = append(root.Children, e)
		}
	}
	return xmltree.Render(root, []xmltree.Declaration{{Prefix: "", Space: ovf.NSOVFEnv}, {Prefix: "ovfenv", Space: ovf.NSOVFEnv}}), nil
}

func section(properties []Property) xmltree.Fragment {
	s := element("PropertySection")
	for _, p := range properties {
		e := element("Property")
		e.Attrs = []xmltree.FragmentAttr{attribute("key", p.Key), attribute("value", p.Value)}
		s.Children = append(s.Children, e)
	}
	return s
}

func element(local string) xmltree.Fragment {
	return xmltree.Fragment{Name: xmltree.Name{Space: ovf.NSOVFEnv, Local: local}}
}

func attribute(local, value string) xmltree.FragmentAttr {
	return xmltree.FragmentAttr{Name: xmltree.Name{Space: ovf.NSOVFEnv, Local: local}, Hint: "ovfenv", Value: value}
}

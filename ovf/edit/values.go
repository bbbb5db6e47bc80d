package edit

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/validate"
)

// meant are the properties that a key means: [class.]key[:instance] as in the
// environment, class.key.instance, or the plain key where one property has it.
func (e *editor) meant(key string) ([]ovf.Property, error) {
	var exact, dotted, plain []ovf.Property
	var known []string
	for c := range e.env.Contents() {
		for _, p := range c.Properties() {
			known = append(known, p.EnvKey())
			switch key {
			case p.EnvKey():
				exact = append(exact, p)
			case strings.Join(slices.DeleteFunc([]string{p.Class, p.Key, p.Instance}, func(s string) bool { return s == "" }), "."):
				dotted = append(dotted, p)
			case p.Key:
				plain = append(plain, p)
			}
		}
	}
	for _, found := range [][]ovf.Property{exact, dotted, plain} {
		if len(found) == 0 {
			continue
		}
		for _, p := range found {
			if p.EnvKey() != found[0].EnvKey() {
				return nil, refuse("property "+key, "it may be %s or %s; name one of them", found[0].EnvKey(), p.EnvKey())
			}
		}
		return found, nil
	}
	return nil, refuse("property "+key, "the package has no such property; it has %q", known)
}

func (e *editor) properties() error {
	for _, key := range slices.Sorted(maps.Keys(e.opts.Properties)) {
		value := e.opts.Properties[key]
		found, err := e.meant(key)
		if err != nil {
			return err
		}
		for _, p := range found {
			if err := validate.Value(p, value); err != nil {
				return unfit("property "+key, err)
			}
			p.SetAttr("value", value)
			// What is set counts in every configuration.
			for _, v := range p.Values {
				v.Remove()
			}
		}
	}
	return nil
}

func (e *editor) addProperties() error {
	if len(e.opts.AddProperties) == 0 {
		return nil
	}
	c, ok := e.env.Content()
	if !ok {
		return refuse("properties", "the package has no content to have them")
	}
	for _, p := range e.opts.AddProperties {
		if p.Key == "" || strings.ContainsAny(p.Key, ".:") {
			return refuse("property "+p.EnvKey(), "a key is not empty and has no period and no colon (DSP0243 9.5)")
		}
		for _, q := range c.Properties() {
			if q.EnvKey() == p.EnvKey() {
				return refuse("property "+p.EnvKey(), "the package has it already")
			}
		}
		if p.Type == "" {
			p.Type = "string"
		}
		if p.HasValue || p.Value != "" {
			if err := validate.Value(p, p.Value); err != nil {
				return unfit("property "+p.EnvKey(), err)
			}
		}
		if err := c.AddProperty(p); err != nil {
			return err
		}
	}
	return nil
}

func (e *editor) removeProperties() error {
	for _, key := range e.opts.RemoveProperties {
		found, err := e.meant(key)
		if err != nil {
			return err
		}
		for _, p := range found {
			p.Remove()
		}
	}
	return nil
}

// unfit is a value that does not fit; what the error says of where is said already.
func unfit(object string, err error) error {
	var d *ovf.DescriptorError
	if errors.As(err, &d) {
		return &Error{Object: object, Message: d.Message}
	}
	return &Error{Object: object, Err: err}
}

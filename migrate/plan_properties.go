package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/validate"
)

// PlannedProperty is an OVF property. Values are never shown: nobody knows
// which of them are secret.
type PlannedProperty struct {
	System string `json:"system"`
	Key    string `json:"key"` // as in the OVF environment (DSP0243 11.2)
	Type   string `json:"type,omitempty"`
	// Given: a value was given for the move; Set: the System has one, or there
	// is a default.
	Given            bool `json:"given"`
	Set              bool `json:"set"`
	UserConfigurable bool `json:"userConfigurable"`
	Password         bool `json:"password,omitempty"`
}

// planProperties checks the values that were given against the properties of
// the descriptor (DSP0243 9.5), and that none is missing that must have a
// value. has are the values that the System has already.
func (p *Plan) planProperties(has map[string]string) {
	given := p.opts.Properties
	if p.env == nil {
		for _, key := range slices.Sorted(maps.Keys(given)) {
			p.find(RuleProperty, ovf.Warning, "property "+key, "cannot be checked before the export, as the source shows no descriptor", "")
		}
		return
	}
	config, err := p.env.Configuration(p.opts.Configuration)
	if err != nil {
		p.find(RuleConfiguration, ovf.Error, "deployment option "+p.opts.Configuration, err.Error(), "cimimove inspect lists them")
		return
	}
	used := map[string]bool{}
	var keys []string
	for x := range p.env.Contents() {
		for _, q := range x.Properties() {
			key := q.EnvKey()
			keys = append(keys, key)
			value, isGiven := valueFor(given, x.ID, key, used)
			current, isSet := valueFor(has, x.ID, key, map[string]bool{})
			if !isSet {
				current = q.ValueIn(config)
			}
			p.Properties = append(p.Properties, PlannedProperty{System: x.ID, Key: key, Type: q.Type, Given: isGiven,
				Set: isGiven || isSet || current != "", UserConfigurable: q.UserConfigurable, Password: q.Password})
			object := "property " + key
			switch {
			case isGiven && !q.UserConfigurable:
				p.find(RulePropertyFixed, ovf.Error, object, "is not for users to set (userConfigurable is false)", "")
			case isGiven:
				if err := validate.Value(q, value); err != nil {
					p.find(RulePropertyValue, ovf.Error, object, reason(err, object), q.Description)
				}
			case missing(q, current) && (q.Password || p.refuseMissing):
				// A password is never shown, so a source that has one looks as if it had none.
				severity := ovf.Warning
				if p.refuseMissing {
					severity = ovf.Error
				}
				p.find(RulePropertyMissing, severity, object, "has no value, and must have one: an empty one does not fit its type or qualifiers", "--prop "+key+"=VALUE, or --prop "+key+"@FILE")
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !used[key] {
			p.find(RuleProperty, ovf.Error, "property "+key, "the package has no property of that key", candidates(slices.Compact(slices.Sorted(slices.Values(keys)))))
		}
	}
}

// valueFor finds a value by KEY or CONTENT/KEY, the latter winning.
func valueFor(values map[string]string, content, key string, used map[string]bool) (string, bool) {
	for _, k := range []string{content + "/" + key, key} {
		if v, ok := values[k]; ok {
			used[k] = true
			return v, true
		}
	}
	return "", false
}

// missing: a user may set it, nobody has, and the empty string is no value of
// it: its qualifiers refuse it. Types alone are not enough: producers leave
// numbers empty that their software has a default for.
func missing(q ovf.Property, current string) bool {
	return q.UserConfigurable && current == "" && q.Qualifiers != "" && validate.Value(q, "") != nil
}

func reason(err error, object string) string {
	_, message, ok := strings.Cut(err.Error(), object+": ")
	if !ok {
		return fmt.Sprint(err)
	}
	return message
}

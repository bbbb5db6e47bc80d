package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// checkScopes refuses a resource whose attributes have values outside of what
// value scopes allow: all of one scope must hold, any of several will do
// (5.5.14). Attributes without a value are given the default of the scope that
// holds, by set, which may be nil.
func checkScopes(r cimi.Resource, scopes []cimi.ValueScope, set func(attr string, v any)) error {
	if len(scopes) == 0 {
		return nil
	}
	var why []string
	for _, scope := range scopes {
		wrong := outside(r, scope)
		if wrong == "" {
			for attr, s := range scope {
				if set != nil && cimi.Value(r, attr) == nil && s.Default != nil {
					set(attr, s.Default)
				}
			}
			return nil
		}
		why = append(why, wrong)
	}
	return cimi.Errorf(http.StatusBadRequest, "outside of the value scope: %s", strings.Join(why, "; or "))
}

// outside says which attribute is outside of a scope, "" when none is.
func outside(r cimi.Resource, scope cimi.ValueScope) string {
	for attr, s := range scope {
		v := cimi.Value(r, attr)
		if v == nil {
			continue // no value, or the default
		}
		if !within(v, s) {
			return fmt.Sprintf("%s is %v, expected %s", attr, v, scopeText(s))
		}
	}
	return ""
}

func within(v any, s cimi.Scope) bool {
	switch {
	case s.Value != nil:
		return sameValue(v, s.Value)
	case len(s.Values) > 0:
		for _, x := range s.Values {
			if sameValue(v, x) {
				return true
			}
		}
		return false
	}
	n, ok := v.(int64)
	if !ok {
		return true
	}
	switch {
	case s.Minimum != nil && n < *s.Minimum, s.Maximum != nil && n > *s.Maximum:
		return false
	case s.Increment == nil || *s.Increment <= 0:
		return true
	case s.Minimum != nil:
		return (n-*s.Minimum)%*s.Increment == 0
	case s.Maximum != nil:
		return (*s.Maximum-n)%*s.Increment == 0
	}
	return true
}

func sameValue(v, scoped any) bool {
	if x, ok := scoped.(json.Number); ok {
		return fmt.Sprint(v) == x.String()
	}
	return fmt.Sprint(v) == fmt.Sprint(scoped)
}

func scopeText(s cimi.Scope) string {
	switch {
	case s.Value != nil:
		return fmt.Sprint(s.Value)
	case len(s.Values) > 0:
		return fmt.Sprintf("one of %v", s.Values)
	}
	var parts []string
	if s.Minimum != nil {
		parts = append(parts, fmt.Sprintf("at least %d", *s.Minimum))
	}
	if s.Maximum != nil {
		parts = append(parts, fmt.Sprintf("at most %d", *s.Maximum))
	}
	if s.Increment != nil {
		parts = append(parts, fmt.Sprintf("in steps of %d", *s.Increment))
	}
	return strings.Join(parts, ", ")
}

// checkMetadata refuses values that the ResourceMetadata of a resource does not
// allow (T6): that of its type, or the one that it refers to itself.
func (p *Provider) checkMetadata(metadata *cimi.ResourceMetadata, r cimi.Resource) error {
	if metadata == nil {
		return nil
	}
	return checkScopes(r, metadata.VScope, nil)
}

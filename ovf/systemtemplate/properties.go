package systemtemplate

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

// userDataKey is the property that cloud-init reads user data from.
const userDataKey = "user-data"

// RefusedError is an edit or a value that the descriptor does not allow.
type RefusedError struct {
	Object  string // machine web, property x, …
	Message string
	Clause  string
}

func (e *RefusedError) Error() string {
	s := e.Object + ": " + e.Message
	if e.Clause != "" {
		s += " (" + e.Clause + ")"
	}
	return s
}

func refuse(object, clause, format string, args ...any) error {
	return &RefusedError{Object: object, Message: fmt.Sprintf(format, args...), Clause: clause}
}

// properties of a content element under the configuration, with the values
// that the options give.
func (r *reader) properties(c ovf.Content, object string) ([]Property, error) {
	var out []Property
	seen := map[string]bool{}
	secret, plain := 0, 0
	for _, p := range c.Properties() {
		key := p.EnvKey()
		if seen[key] {
			continue
		}
		seen[key] = true
		v := Property{Key: key, Value: p.ValueIn(r.config), Password: p.Password, UserConfigurable: p.UserConfigurable, Element: p}
		if given, ok := r.opts.property(c.ID, key); ok && given != v.Value {
			if !p.UserConfigurable {
				return nil, refuse(object, "DSP0243 9.5", "property %s is not user-configurable", key)
			}
			v.Value = given
		}
		out = append(out, v)
		switch {
		case p.Password && v.Value != "":
			secret++
		case !p.Password:
			plain++
		}
	}
	if plain > 0 {
		r.findings.add(PropertyValues, object, "%d", plain)
	}
	if secret > 0 {
		r.findings.add(PasswordsWithheld, object, "%d", secret)
	}
	return out, nil
}

// userData is the value of the user-data property in Base64; cloud-init takes
// it decoded where it decodes, and as it is where it does not.
func userData(all []Property) string {
	for _, p := range all {
		if p.Element.Key != userDataKey || p.Password || p.Value == "" {
			continue
		}
		if _, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(p.Value), "")); err == nil {
			return p.Value
		}
		return base64.StdEncoding.EncodeToString([]byte(p.Value))
	}
	return ""
}

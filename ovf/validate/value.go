package validate

import (
	"fmt"

	"github.com/cimimove/cimimove/ovf"
)

// Value checks a value for a property by its type and qualifiers (DSP0243 9.5,
// Tables 6 and 7). The error is an *ovf.DescriptorError; it shows no password.
func Value(p ovf.Property, value string) error {
	qualifiers, _ := parseQualifiers(p.Qualifiers)
	why := mismatch(p.Type, qualifiers, value)
	if why == "" {
		return nil
	}
	if p.Password {
		value = "(not shown)"
	}
	return &ovf.DescriptorError{Object: "property " + p.EnvKey(), Offset: -1, Clause: "9.5", Message: fmt.Sprintf("the value %q %s", value, why)}
}

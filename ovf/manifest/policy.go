package manifest

import "fmt"

// Policy says what a manifest is worth: the values of --manifest.
type Policy string

const (
	// Verify, the default (also for the zero value): a manifest that is there
	// must agree with what it lists.
	Verify Policy = "verify"
	// Require: as Verify, and there must be one, listing every stored file.
	Require Policy = "require"
	// Ignore: nothing is digested or compared.
	Ignore Policy = "ignore"
)

// ParsePolicy takes the value of --manifest; the empty string is Verify.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case "":
		return Verify, nil
	case Verify, Require, Ignore:
		return p, nil
	}
	return "", fmt.Errorf("manifest policy %q is not one of require, verify, ignore", s)
}

package systemtemplate_test

import (
	"testing"

	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// TestRules: every finding of the mapping says why and what to do.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range systemtemplate.Rules() {
		if seen[r.ID] {
			t.Errorf("%s stands twice in the table", r.ID)
		}
		seen[r.ID] = true
		if r.Text == "" || r.Clause == "" || r.Hint == "" {
			t.Errorf("incomplete: %+v", r)
		}
	}
}

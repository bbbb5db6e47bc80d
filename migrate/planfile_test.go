package migrate

import (
	"slices"
	"strings"
	"testing"
)

// TestFactsOfOneName: of machines of one name each is a fact, and their order
// is none.
func TestFactsOfOneName(t *testing.T) {
	plan := func(cpus ...int64) map[string]string {
		p := &Plan{shape: &Shape{}}
		for _, n := range cpus {
			p.Machines = append(p.Machines, PlannedMachine{MachineShape: MachineShape{Name: "web", CPU: n}})
		}
		return p.facts()
	}
	if got := changes(plan(1, 2), plan(2, 1)); len(got) > 0 {
		t.Errorf("another order changes %q", got)
	}
	for _, now := range [][]int64{{3, 2}, {1, 3}, {2}, {1, 2, 2}} {
		got := changes(plan(1, 2), plan(now...))
		if len(got) != 1 || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "machine web was ") }) {
			t.Errorf("%d: %q", now, got)
		}
	}
}

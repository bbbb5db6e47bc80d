package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

// TestISONames: each machine has a file of its own, whatever ids are written with.
func TestISONames(t *testing.T) {
	var all []ovf.Content
	for _, id := range []string{"a/b", "a:b", "A_B", "a_b-2", "..", "machine"} {
		all = append(all, ovf.Content{ID: id})
	}
	want := map[string]string{"a/b": "a_b.iso", "a:b": "a_b-2.iso", "A_B": "A_B-3.iso", "a_b-2": "a_b-2-2.iso", "..": "machine.iso", "machine": "machine-2.iso"}
	if got := isoNames(all); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if names := slices.Compact(slices.Sorted(maps.Values(want))); len(names) != len(all) {
		t.Errorf("only %d names", len(names))
	}
}

package evacuate

import (
	"testing"

	"github.com/cimimove/cimimove/migrate"
)

// TestOptionsOfAll: what is asked for on the command line holds for every System
// of which the runbook says nothing.
func TestOptionsOfAll(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	v := evacuation(t, newEngine(t), book(t, a, b, "systems: [{system: one}, {system: two, onFailure: rollback}]\n"),
		Options{ParallelDisks: 1, OnFailure: migrate.FailureKeep})
	for n, want := range []migrate.OnFailure{migrate.FailureKeep, migrate.FailureRollback} {
		o, err := v.migration(t.Context(), v.rb.Items[n], nil)
		if err != nil || o.ParallelDisks != 1 || o.OnFailure != want {
			t.Errorf("%s: %d disks at a time, on failure %s: %v", o.System, o.ParallelDisks, o.OnFailure, err)
		}
	}
}

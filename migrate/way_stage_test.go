package migrate

import (
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

// TestStageRoom: a place without room for what the disks are known to hold is
// refused, one that may turn out too small is warned of.
func TestStageRoom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		free int64
		want ovf.Severity // empty: nothing is said
	}{{-1, ""}, {0, ovf.Error}, {5<<20 - 1, ovf.Error}, {5 << 20, ovf.Warning}, {15 << 20, ovf.Warning}, {16 << 20, ""}} {
		w := &ways{Plan: &Plan{Bytes: 16 << 20, Disks: []PlannedDisk{{PopulatedBytes: 2 << 20}, {PopulatedBytes: 3 << 20}}}}
		w.room(c.free)
		switch {
		case c.want == "" && len(w.Findings) > 0, c.want != "" && (len(w.Findings) != 1 || w.Findings[0].Severity != c.want || w.Findings[0].ID != RuleStageSpace):
			t.Errorf("%d bytes free: %+v", c.free, w.Findings)
		}
		if err := w.verdict(); (err != nil) != (c.want == ovf.Error) {
			t.Errorf("%d bytes free: %v", c.free, err)
		}
	}
}

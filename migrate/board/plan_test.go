package board

import (
	"strings"
	"testing"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/evacuate"
)

// TestOfPlan: the page of a plan says when waves begin, what the destinations
// have room for, and what is refused.
func TestOfPlan(t *testing.T) {
	t.Parallel()
	p := &evacuate.Plan{Runbook: "night.yaml", Refused: 1,
		Waves:        []evacuate.WavePlan{{Name: "db", Opens: "now", Seconds: 90}, {Name: "web", After: []string{"db"}, Opens: "2026-11-28T22:00:00Z"}},
		Destinations: []evacuate.Space{{Name: "new", Systems: 2, Capacity: 3 << 30, Free: 2 << 30}, {Name: "far", Systems: 1, Capacity: 1 << 20, Free: -1}},
		Items: []evacuate.ItemPlan{{System: "db-1", Wave: "db", Plan: &migrate.Plan{Name: "db-1", Bytes: 3 << 30, Via: "direct"}},
			{System: "web-1", Wave: "web", Error: &migrate.Failure{Message: "no such System", Hint: "there is web-2"}}}}
	page, err := HTML(OfPlan(p))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"opens now, about 1m30s", "after db, opens 2026-11-28T22:00:00Z", "to new: 2 systems, disks of 3.0 GiB at most, 2.0 GiB free", "free space not known", "no such System", "there is web-2"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestOfReport: what an operator has cancelled has not failed.
func TestOfReport(t *testing.T) {
	t.Parallel()
	b := OfReport(&evacuate.Report{Items: []evacuate.ItemReport{{System: "a", State: "verified", Bytes: 5}, {System: "b", State: "cancelled"}, {System: "c", State: "rolled-back"}}})
	if want := (Totals{Systems: 3, Done: 1, Cancelled: 2, Bytes: 5}); b.Totals != want || b.State != "ended" {
		t.Errorf("%+v, %s", b.Totals, b.State)
	}
}

package evacuate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestPlanAsksLittle: each System more costs the same few requests, whether it
// is called by its name or its id or is not there, and none of them lists all
// Systems.
func TestPlanAsksLittle(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	src, dst := newCloud(t), newCloud(t)
	const most = 24
	src.fill(most)
	var ids []string
	for r, err := range cimi.All(t.Context(), src.Provider, "systems", cimi.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.Base().ID)
	}
	e := newEngine(t)
	asked := func(n int, name func(i int) string) (source, destination int64) {
		t.Helper()
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "  - {system: %q}\n", name(i))
		}
		v := evacuation(t, e, book(t, src, dst, "systems:\n"+text.String()), Options{})
		src.Asked.Store(0)
		dst.Asked.Store(0)
		if p, _ := v.Plan(t.Context()); p == nil || len(p.Items) != n {
			t.Fatalf("%+v", p)
		}
		return src.Asked.Load(), dst.Asked.Load()
	}
	for what, c := range map[string]struct {
		name   func(i int) string
		source int64 // requests to the source for each System more
	}{
		"names":    {func(i int) string { return fmt.Sprintf("app-%05d", i) }, 11},
		"ids":      {func(i int) string { return ids[i] }, 12},
		"last":     {func(i int) string { return ids[i][strings.LastIndexByte(ids[i], '/')+1:] }, 11},
		"nowhere":  {func(i int) string { return fmt.Sprintf("nowhere-%d", i) }, 0},
		"no cloud": {func(i int) string { return fmt.Sprintf("systems/nowhere-%d", i) }, 1},
	} {
		less, lessThere := asked(4, c.name)
		more, moreThere := asked(most, c.name)
		if each := (more - less) / (most - 4); each > c.source || moreThere != lessThere {
			t.Errorf("%s: %d requests for each System, at most %d; %d and %d at the destination", what, each, c.source, lessThere, moreThere)
		}
	}
}

// TestMeasure: the whole takes from the first beginning to the last end, and
// until now while something is under way.
func TestMeasure(t *testing.T) {
	t.Parallel()
	at := func(s int) *time.Time { m := time.Unix(int64(s), 0); return &m }
	rep := Report{Bytes: 600, Items: []ItemReport{{Started: at(20), Ended: at(40)}, {Started: at(10), Ended: at(30)}, {}}}
	rep.measure(*at(100))
	if rep.Seconds != 30 || rep.BytesPerSecond != 20 || !rep.Started.Equal(*at(10)) || !rep.Ended.Equal(*at(40)) {
		t.Errorf("%+v", rep)
	}
	rep.Active = true
	rep.measure(*at(110))
	if rep.Seconds != 100 || rep.BytesPerSecond != 6 {
		t.Errorf("%+v", rep)
	}
}

package evacuate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// hiding is a cloud that leaves Systems out of what a filter selects, as one does
// whose machines were stopped from those that run.
type hiding struct {
	cimi.Provider
	names *[]string
}

func (h hiding) List(ctx context.Context, id string, o cimi.ListOptions) (*cimi.Collection, error) {
	c, err := h.Provider.List(ctx, id, o)
	if err == nil && strings.Contains(strings.Join(o.Filter, ""), "anything") {
		c.Items = slices.DeleteFunc(c.Items, func(r cimi.Resource) bool { return slices.Contains(*h.names, r.Base().Name) })
	}
	return c, err
}

// TestSelectedStays: what a selection has begun is gone on with, though its source
// does not list it any more, and keeps its name, though what stood before it in the
// list is gone.
func TestSelectedStays(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t, "ant", "bee", "cow"), newCloud(t)
	e := newEngine(t)
	var hidden []string
	dial := e.Dial
	e.Dial = func(ctx context.Context, url string, side migrate.Side) (migrate.Endpoint, error) {
		c, err := dial(ctx, url, side)
		c.Provider = hiding{c.Provider, &hidden}
		return c, err
	}
	const list = `
systems: [{select: {filter: "name!='anything'"}, name: "moved-{{.Index}}", cutover: {source: delete}}]
limits: {systems: 1}
`
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	imports := 0
	e.Journal.AfterWrite(func(what string) {
		if what == "note import" {
			if imports++; imports == 2 {
				stop()
			}
		}
	})
	rep, err := evacuation(t, e, book(t, a, b, list), Options{}).Run(ctx)
	if migrate.ClassOf(err) != migrate.ClassInterrupt || rep.Verified != 1 {
		t.Fatalf("%v: %+v", err, rep)
	}
	e.Journal.AfterWrite(nil)
	var names []string
	for _, i := range rep.Items {
		if i.State == "interrupted" {
			hidden = append(hidden, i.System)
		}
		names = append(names, fmt.Sprint(i.System, " as ", i.Name))
	}
	rep, err = evacuation(t, e, book(t, a, b, list), Options{}).Run(t.Context())
	if err != nil || rep.Verified != 3 || len(a.Names()) != 0 {
		t.Errorf("%v: %+v; the source holds %v", err, rep.Items, a.Names())
	}
	var again []string
	for _, i := range rep.Items {
		again = append(again, fmt.Sprint(i.System, " as ", i.Name))
	}
	slices.Sort(names)
	slices.Sort(again)
	if !slices.Equal(names, again) || len(b.Names()) != 3 {
		t.Errorf("they were %v, and are %v; the destination holds %v", names, again, b.Names())
	}
	// Nothing is left to select, and nothing to do.
	rep, err = evacuation(t, e, book(t, a, b, list), Options{}).Run(t.Context())
	if err != nil || rep.Verified != 3 {
		t.Errorf("%v: %+v", err, rep)
	}
}

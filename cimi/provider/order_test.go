package provider_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/provider"
)

// TestOrderedPages: pages of what is ordered make up the whole of it, however
// little of it is kept for one, and equal entries stay as they are.
func TestOrderedPages(t *testing.T) {
	dir := t.TempDir()
	h := openHost(t, dir)
	s := &host.System{ID: host.NewID(), Name: "s", Collection: true}
	const n = 3000
	for i := range n {
		s.Machines = append(s.Machines, &host.Machine{ID: fmt.Sprintf("m%05d", i), Name: fmt.Sprint("m", i), State: host.Stopped, CPUs: 1 + i*7919%13, MemoryBytes: 1 << 20})
	}
	if err := h.Make(t.Context(), s, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	p := open(t, dir, provider.Options{})
	ids := func(first, last int) (out []string) {
		c, err := p.List(t.Context(), "machines", cimi.ListOptions{OrderBy: []string{"cpu:desc"}, First: first, Last: last})
		if err != nil {
			t.Fatal(err)
		}
		if *c.Count != n {
			t.Errorf("from %d to %d: count %d", first, last, *c.Count)
		}
		for _, r := range c.Items {
			out = append(out, r.Base().ID)
		}
		return out
	}
	whole := ids(0, 0)
	if len(whole) != n {
		t.Fatalf("%d of %d", len(whole), n)
	}
	for _, x := range [][2]int{{1, 1}, {1, 10}, {11, 20}, {500, 600}, {1400, 1450}, {2990, 3000}, {2999, 4000}, {0, n}} {
		want := whole[max(x[0]-1, 0):min(x[1], n)]
		if got := ids(x[0], x[1]); !slices.Equal(got, want) {
			t.Errorf("from %d to %d: %v, want %v", x[0], x[1], got, want)
		}
	}
}

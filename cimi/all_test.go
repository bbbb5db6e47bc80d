package cimi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
)

// pages is a cloud of one collection.
type pages struct {
	cimi.Provider
	count *int64
	page  func(o cimi.ListOptions) (from, to int) // entries from and below to
	each  bool                                    // counts what is on the page
	ends  int                                     // nothing behind may be asked for; 0: it may
	asked int
}

func (p *pages) List(_ context.Context, _ string, o cimi.ListOptions) (*cimi.Collection, error) {
	p.asked++
	if p.ends > 0 && o.First > p.ends {
		return nil, cimi.Errorf(404, "there are %d", p.ends)
	}
	c := &cimi.Collection{Count: p.count}
	from, to := p.page(o)
	if p.each {
		c.Count = cimi.Int(int64(to - from))
	}
	for i := from; i < to; i++ {
		m := &cimi.Machine{}
		m.ID = fmt.Sprint("machines/", i)
		c.Items = append(c.Items, m)
	}
	return c, nil
}

// TestAll: every entry once, whatever the cloud makes of paging (4.1.6), and an
// error where it would never end.
func TestAll(t *testing.T) {
	exact := func(n int) func(cimi.ListOptions) (int, int) {
		return func(o cimi.ListOptions) (int, int) { return min(o.First-1, n), min(o.Last, n) }
	}
	ignored := func(n int) func(cimi.ListOptions) (int, int) {
		return func(cimi.ListOptions) (int, int) { return 0, n }
	}
	capped := func(n, most int) func(cimi.ListOptions) (int, int) {
		return func(o cimi.ListOptions) (int, int) { return min(o.First-1, n), min(o.Last, n, o.First-1+most) }
	}
	for name, c := range map[string]struct {
		cloud pages
		opts  cimi.ListOptions
		want  int
		bad   bool
	}{
		"paged":                 {pages{count: cimi.Int(1234), page: exact(1234)}, cimi.ListOptions{}, 1234, false},
		"a part":                {pages{count: cimi.Int(1234), page: exact(1234)}, cimi.ListOptions{First: 11, Last: 700}, 690, false},
		"beyond the end":        {pages{count: cimi.Int(5), page: exact(5)}, cimi.ListOptions{First: 6}, 0, false},
		"no count":              {pages{page: exact(1234)}, cimi.ListOptions{}, 1234, false},
		"all at once":           {pages{count: cimi.Int(1234), page: ignored(1234)}, cimi.ListOptions{}, 1234, false},
		"all at once, uncount":  {pages{page: ignored(1234)}, cimi.ListOptions{}, 1234, false},
		"small pages":           {pages{count: cimi.Int(1234), page: capped(1234, 50)}, cimi.ListOptions{}, 1234, false},
		"counts more":           {pages{count: cimi.Int(9), page: exact(5)}, cimi.ListOptions{}, 5, false},
		"counts fewer":          {pages{count: cimi.Int(3), page: exact(1234)}, cimi.ListOptions{}, 1234, false},
		"counts fewer, at once": {pages{count: cimi.Int(3), page: ignored(1234)}, cimi.ListOptions{}, 1234, false},
		"counts below nothing":  {pages{count: cimi.Int(-1), page: exact(5)}, cimi.ListOptions{}, 5, false},
		"counts a page":         {pages{each: true, page: exact(1234)}, cimi.ListOptions{}, 1234, false},
		"counts full pages":     {pages{each: true, page: exact(1000)}, cimi.ListOptions{}, 1000, false},
		"a page, exactly":       {pages{count: cimi.Int(500), page: exact(500)}, cimi.ListOptions{}, 500, false},
		"a page, at once":       {pages{count: cimi.Int(500), page: ignored(500)}, cimi.ListOptions{}, 500, false},
		"a page, no more":       {pages{count: cimi.Int(500), ends: 500, page: exact(500)}, cimi.ListOptions{}, 500, false},
		"empty":                 {pages{count: cimi.Int(0), page: exact(0)}, cimi.ListOptions{}, 0, false},
		"circle":                {pages{count: cimi.Int(1234), page: ignored(3)}, cimi.ListOptions{}, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			seen, bad := map[string]int{}, false
			for r, err := range cimi.All(t.Context(), &c.cloud, "machines", c.opts) {
				if err != nil {
					if bad = cimi.StatusOf(err) == 502; !bad {
						t.Fatal(err)
					}
					break
				}
				seen[r.Base().ID]++
			}
			if len(seen) != c.want || bad != c.bad {
				t.Errorf("%d entries after %d requests, failed %v; want %d, failed %v", len(seen), c.cloud.asked, bad, c.want, c.bad)
			}
			for id, n := range seen {
				if n > 1 {
					t.Fatalf("%s came %d times", id, n)
				}
			}
		})
	}
}

// endless is a collection whose pages have no end and no ids.
type endless struct {
	cimi.Provider
	page *cimi.Collection
}

func (e endless) List(context.Context, string, cimi.ListOptions) (*cimi.Collection, error) {
	return e.page, nil
}

func TestAllIsBounded(t *testing.T) {
	c := &cimi.Collection{Count: cimi.Int(1 << 40)}
	for range 5000 {
		c.Items = append(c.Items, &cimi.Machine{})
	}
	n := 0
	for _, err := range cimi.All(t.Context(), endless{page: c}, "machines", cimi.ListOptions{}) {
		if err != nil {
			if cimi.StatusOf(err) != 502 || n != cimi.MaxEntries {
				t.Errorf("after %d entries: %v", n, err)
			}
			return
		}
		n++
	}
	t.Errorf("it ended after %d entries", n)
}

// large is a collection of fresh entries, each from a document of 20 MiB.
type large struct {
	cimi.Provider
	n *int
}

func (l large) List(ctx context.Context, _ string, _ cimi.ListOptions) (*cimi.Collection, error) {
	m := &cimi.Machine{}
	*l.n++
	m.ID = fmt.Sprint("machines/", *l.n)
	return &cimi.Collection{Count: cimi.Int(1 << 40), Items: []cimi.Resource{m}}, cimi.CountRead(ctx, 20<<20)
}

// small is one of small ones.
type small struct{ large }

func (s small) List(context.Context, string, cimi.ListOptions) (*cimi.Collection, error) {
	return s.large.List(context.Background(), "", cimi.ListOptions{})
}

// TestAllReadsNoMore: entries without end are one thing, large ones another.
func TestAllReadsNoMore(t *testing.T) {
	for range 2 { // each counts for itself
		n := 0
		var last error
		for _, last = range cimi.All(t.Context(), large{n: &n}, "machines", cimi.ListOptions{}) {
			if n > 100 {
				t.Fatal("it reads on and on")
			}
		}
		if cimi.StatusOf(last) != 502 || n != cimi.MaxRead/(20<<20)+1 || !strings.HasPrefix(last.Error(), "collection machines: ") {
			t.Errorf("after %d pages: %v", n, last)
		}
	}
	n := 0
	var last error
	for _, last = range cimi.All(t.Context(), small{large{n: &n}}, "machines", cimi.ListOptions{}) {
	}
	if cimi.StatusOf(last) != 502 || n > 1<<17 {
		t.Errorf("after %d pages of one entry: %v", n, last)
	}
	if err := cimi.CountRead(t.Context(), 1<<40); err != nil {
		t.Error(err)
	}
}

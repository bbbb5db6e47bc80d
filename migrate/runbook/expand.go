package runbook

import (
	"context"
	"fmt"
	"reflect"
	"slices"
)

// Lister gives the Systems of a source, by the runbook's name of it, that a
// $filter (empty: all) selects.
type Lister func(ctx context.Context, source, filter string) ([]Found, error)

// Expand puts the Systems that sources list in the place of selections, in
// their order. A System that the runbook also names stays where it is named,
// and one that several selections match belongs to the first. It fails when a
// selection matches nothing at all.
//
// begun are items of an earlier run of this runbook that were begun. What came of
// a selection then still does, though its source does not list it any more: its
// machines may have been stopped for the move, or it is deleted after it. And it
// keeps the name that a template made for it, whatever stands before it now.
func (r *Runbook) Expand(ctx context.Context, list Lister, begun []Item) error {
	x := expansion{r: r, begun: begun, named: map[place]bool{}, taken: map[place]bool{}, names: map[origin]string{}, used: map[string]bool{}}
	for _, b := range begun {
		if b.Naming != "" {
			x.names[b.origin()] = b.Name
		}
		x.used[b.Destination+"\x1f"+b.Name] = true
	}
	selects := false
	for n := range r.Items {
		i := &r.Items[n]
		if selects = selects || i.Select != nil; i.Select == nil {
			x.named[place{i.Source, i.System}] = true
			if name, ok := x.names[i.origin()]; ok && i.Naming != "" {
				i.Name = name
			}
		}
	}
	if !selects {
		return nil
	}
	for _, i := range r.Items {
		if i.Select == nil {
			x.items = append(x.items, i)
			continue
		}
		found, err := list(ctx, i.Source, i.Select.Filter)
		if err != nil {
			return err
		}
		if !x.matched(i, found) {
			return fmt.Errorf("%s:%d: %w: the selection matches no System of %s (it lists %d)", i.File, i.Line, ErrInvalid, i.Source, len(found))
		}
	}
	r.Items = x.items
	return checkAfter(r)
}

// place is where a System is, origin what an item with a name of a template is of.
type (
	place  struct{ source, system string }
	origin struct{ source, system, destination, naming string }
)

func (i Item) origin() origin { return origin{i.Source, i.System, i.Destination, i.Naming} }

// expansion is what becomes of selections.
type expansion struct {
	r            *Runbook
	begun, items []Item
	named, taken map[place]bool
	names        map[origin]string // of what was begun
	used         map[string]bool   // of these, by destination
}

// matched adds what a selection stands for; false when that is nothing at all.
func (x *expansion) matched(i Item, found []Found) (any bool) {
	names := map[string]int{}
	for _, f := range found {
		names[f.Name]++
	}
	item := i
	item.Select, item.From = nil, i.Select
	for _, f := range found {
		if !i.Select.Matches(f) {
			continue
		}
		any = true
		item.System = f.Name
		if f.Name == "" || names[f.Name] > 1 {
			item.System = f.ID
		}
		p := place{i.Source, item.System}
		if x.named[p] || x.named[place{i.Source, f.ID}] || x.taken[p] {
			continue
		}
		x.taken[p] = true
		x.items = append(x.items, x.called(item, f.Name))
	}
	for _, b := range x.begun {
		p := place{b.Source, b.System}
		if b.From == nil || b.Source != i.Source || b.Destination != i.Destination || !reflect.DeepEqual(b.From, i.Select) || x.named[p] {
			continue
		}
		if any = true; !x.taken[p] {
			x.taken[p] = true
			item.System, item.Name, item.Naming = b.System, b.Name, b.Naming
			x.items = append(x.items, item)
			item.Name, item.Naming = i.Name, i.Naming
		}
	}
	return any
}

// called names an item: as it was called before, else by the first number that
// gives a name which nothing had.
func (x *expansion) called(i Item, system string) Item {
	out := i
	for n := len(x.items); ; n++ {
		was := out.Name
		out = i
		out.named(system, x.r.Vars, n)
		if name, ok := x.names[out.origin()]; ok && out.Naming != "" {
			out.Name = name
			return out
		}
		if out.Naming == "" || out.Name == was || !x.used[out.Destination+"\x1f"+out.Name] {
			return out
		}
	}
}

// checkAfter refuses items that wait for what is not there, or in a circle.
func checkAfter(r *Runbook) error {
	selections := slices.ContainsFunc(r.Items, func(i Item) bool { return i.Select != nil })
	index := map[string][]int{}
	for n, i := range r.Items {
		index[i.System] = append(index[i.System], n)
	}
	state := make([]int, len(r.Items)) // 1: being looked at, 2: done
	var visit func(n int) error
	visit = func(n int) error {
		i := r.Items[n]
		if state[n] == 1 {
			return fmt.Errorf("%s:%d: %w: system %s waits for itself", i.File, i.Line, ErrInvalid, i.System)
		}
		if state[n] == 2 {
			return nil
		}
		state[n] = 1
		for _, a := range i.After {
			if len(index[a]) == 0 && !selections {
				return fmt.Errorf("%s:%d: %w: system %s is after %q, which is not in the runbook", i.File, i.Line, ErrInvalid, i.System, a)
			}
			for _, m := range index[a] {
				if err := visit(m); err != nil {
					return err
				}
			}
		}
		state[n] = 2
		return nil
	}
	for n := range r.Items {
		if err := visit(n); err != nil {
			return err
		}
	}
	return nil
}

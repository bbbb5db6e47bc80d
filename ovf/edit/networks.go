package edit

import (
	"maps"
	"slices"
)

// networks gives networks new names, all at once, so that two can swap theirs.
// A name that another network gets too makes the two one.
func (e *editor) networks() error {
	if len(e.opts.Networks) == 0 {
		return nil
	}
	all := e.env.Networks()
	var names []string
	for _, n := range all {
		names = append(names, n.Name)
	}
	for _, from := range slices.Sorted(maps.Keys(e.opts.Networks)) {
		if from != "*" && !slices.Contains(names, from) {
			return refuse("network "+from, "the package has no such network; it has %q", names)
		}
	}
	to := map[string]string{}
	taken := map[string]string{} // new name to the old one that got it first
	for _, n := range all {
		target, ok := of(e.opts.Networks, n.Name)
		if !ok {
			target = n.Name
		}
		if target == "" {
			return refuse("network "+n.Name, "its new name is empty")
		}
		to[n.Name] = target
		if first, again := taken[target]; again {
			if first != n.Name {
				e.find(RuleNetwork, "network "+n.Name, "it and network %s become one, %s", first, target)
				n.Remove()
			}
			continue
		}
		taken[target] = n.Name
		n.SetAttr("name", target)
	}
	e.env.Reconnect(to)
	return nil
}

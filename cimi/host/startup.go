package host

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cimimove/cimimove/ovf"
)

// StartGroup are machines that start, or stop, together, and how long to wait
// before the next group (DSP0243 9.7).
type StartGroup struct {
	Machines []*Machine
	Delay    time.Duration
}

// StartPlan is the order in which the machines of s start: as its StartupSection
// says, nested collections in their turn, machines with a StartOrder of their
// own in that. Order 0 says nothing and comes last; startAction none is left
// out. root is the outermost System, whose descriptor s stands in.
func StartPlan(root, s *System) ([]StartGroup, error) { return planStart(root, s, false) }

// StopPlan is the way back, with the delays of stopping. How a machine is
// stopped is for the caller to say.
func StopPlan(root, s *System) ([]StartGroup, error) {
	groups, err := planStart(root, s, true)
	slices.Reverse(groups)
	return groups, err
}

func planStart(root, s *System, stop bool) ([]StartGroup, error) {
	var env *ovf.Envelope
	if len(root.Descriptor) > 0 {
		var err error
		if env, err = ovf.Parse(bytes.Clone(root.Descriptor)); err != nil {
			return nil, fmt.Errorf("system %s: the kept descriptor: %w", root.Name, err)
		}
	}
	return startGroups(env, s, stop), nil
}

// turn is a child of a collection.
type turn struct {
	order  int
	groups []StartGroup
}

func startGroups(env *ovf.Envelope, s *System, stop bool) []StartGroup {
	items := map[string]ovf.StartupItem{}
	if env != nil && s.OVFID != "" {
		if c, ok := env.ByID(s.OVFID); ok {
			for _, it := range c.Startup() {
				items[it.ID] = it
			}
		}
	}
	delay := func(it ovf.StartupItem) time.Duration {
		n := it.StartDelay
		if stop {
			n = it.StopDelay
		}
		return time.Duration(n) * time.Second
	}
	none := func(it ovf.StartupItem) bool {
		if stop {
			return it.StopAction == "none"
		}
		return it.StartAction == "none"
	}
	var turns []turn
	for _, m := range s.Machines {
		it := items[m.OVFID]
		if none(it) {
			continue
		}
		turns = append(turns, turn{m.StartOrder, []StartGroup{{[]*Machine{m}, delay(it)}}})
	}
	for _, k := range s.Systems {
		it := items[k.OVFID]
		groups := startGroups(env, k, stop)
		if none(it) || len(groups) == 0 {
			continue
		}
		last := &groups[len(groups)-1]
		last.Delay = max(last.Delay, delay(it))
		turns = append(turns, turn{it.Order, groups})
	}
	last := func(order int) int { // 0 after all others
		if order == 0 {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(turns, func(a, b turn) int {
		return cmp.Or(cmp.Compare(last(a.order), last(b.order)), cmp.Compare(a.order, b.order))
	})
	var out []StartGroup
	for i, t := range turns {
		same := i > 0 && turns[i-1].order == t.order && len(t.groups) == 1 && len(turns[i-1].groups) == 1
		if g := t.groups[0]; same {
			into := &out[len(out)-1]
			into.Machines = append(into.Machines, g.Machines...)
			into.Delay = max(into.Delay, g.Delay)
			continue
		}
		out = append(out, t.groups...)
	}
	return out
}

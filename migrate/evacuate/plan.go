package evacuate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/errgroup"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf"
)

// Plan says what an evacuation would do before it starts: every System that is
// not finished, in the order of the waves, with everything that blocks it at once.
type Plan struct {
	Runbook string     `json:"runbook"`
	Run     string     `json:"run"`
	Waves   []WavePlan `json:"waves"`
	Items   []ItemPlan `json:"items"`
	Refused int        `json:"refused"`
	Bytes   int64      `json:"bytes"` // capacity of all disks
	// Seconds is how long it takes at the rates that earlier runs had, 0 where
	// there were none; Unknown counts the Systems that it leaves out.
	Seconds int64 `json:"seconds,omitempty"`
	Unknown int   `json:"unknown,omitempty"`
	// Destinations compare what arrives with what is free.
	Destinations []Space `json:"destinations"`
	// Findings are those of the whole; each System's stand in its plan.
	Findings []ovf.Finding `json:"findings"`
}

// WavePlan sums up a wave.
type WavePlan struct {
	Name    string   `json:"name"`
	After   []string `json:"after,omitempty"`
	Opens   string   `json:"opens,omitempty"` // when its window opens next, or "now"
	Systems int      `json:"systems"`
	Refused int      `json:"refused"`
	Bytes   int64    `json:"bytes"`
	Seconds int64    `json:"seconds,omitempty"`
}

// Space is what a destination needs for all that goes there, in bytes. Free is
// -1 where the cloud does not tell.
type Space struct {
	Name      string `json:"name"`
	Systems   int    `json:"systems"`
	Capacity  int64  `json:"capacityBytes"`
	Populated int64  `json:"populatedBytes"`
	Free      int64  `json:"freeBytes"`
}

// RuleSpace: what goes to a destination does not fit there.
const RuleSpace = "EVAC-SPACE-001"

// ItemPlan is the plan of one System, or why it is refused, or both.
type ItemPlan struct {
	System string           `json:"system"`
	Wave   string           `json:"wave,omitempty"`
	Plan   *migrate.Plan    `json:"plan,omitempty"`
	Error  *migrate.Failure `json:"error,omitempty"`
}

// planners Systems are planned at a time: it is metadata only, and waits for
// the clouds' answers.
const planners = 8

// Plan plans everything that is not finished and writes nothing to the
// clouds. The error is the first refusal.
func (v *Evacuation) Plan(ctx context.Context) (*Plan, error) {
	p := &Plan{Runbook: v.rb.Name, Run: v.id, Waves: []WavePlan{}, Items: []ItemPlan{}, Destinations: []Space{}, Findings: []ovf.Finding{}}
	v.mu.Lock()
	var todo []Item
	for _, w := range v.works {
		if !good(w.row.State) && w.row.State != journal.Cancelled {
			todo = append(todo, w.item)
		}
	}
	v.mu.Unlock()
	p.Items = make([]ItemPlan, len(todo))
	errs := make([]error, len(todo))
	clouds, survey := newIndex(), &migrate.Survey{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(planners)
	for n, item := range todo {
		g.Go(func() error {
			p.Items[n], errs[n] = v.planItem(gctx, item, clouds, survey)
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	p.sum(v, todo)
	if err := p.refused(v.opts); err != nil {
		return p, err
	}
	for n, err := range errs {
		if err != nil {
			return p, fmt.Errorf("%s: %w", todo[n].System, err)
		}
	}
	return p, nil
}

// refused is the error of a finding about the whole.
func (p *Plan) refused(o Options) error {
	for _, f := range p.Findings {
		blocks := f.Severity == ovf.Error || f.Severity == ovf.Warning && o.Strict || slices.Contains(o.Deny, f.ID)
		if blocks && !slices.Contains(o.Allow, f.ID) {
			return &migrate.Error{Step: migrate.StepPlan, Side: migrate.Destination, Object: f.Object, Class: migrate.ClassRefused,
				Err: errors.New(f.Message + " (" + f.ID + ")"), Advice: f.Hint}
		}
	}
	return nil
}

func (v *Evacuation) planItem(ctx context.Context, item Item, clouds *index, survey *migrate.Survey) (ItemPlan, error) {
	out := ItemPlan{System: item.System, Wave: item.Wave}
	values, err := v.properties(ctx, item)
	if err == nil {
		var o migrate.Options
		if o, err = v.migration(ctx, item, values); err == nil {
			o.Source, o.Destination, o.Survey = clouds.of(o.Source), clouds.of(o.Destination), survey
			var p *migrate.Plan
			if p, err = v.bounded().Plan(ctx, o); p != nil {
				out.Plan = p.Document()
			}
		}
	}
	out.Error = migrate.FailureOf(err)
	return out, err
}

// sum adds up waves and destinations.
func (p *Plan) sum(v *Evacuation, todo []Item) {
	index, spaces := map[string]int{}, map[string]int{}
	a := &agenda{rb: v.rb, now: v.opts.Now()}
	wave := func(name string) *WavePlan {
		n, ok := index[name]
		if !ok {
			w := v.rb.Wave(name)
			n = len(p.Waves)
			index[name] = n
			row := WavePlan{Name: name, After: w.After, Opens: "now"}
			if open, next := a.open(w); !open {
				row.Opens = next.Format(time.RFC3339)
			}
			p.Waves = append(p.Waves, row)
		}
		return &p.Waves[n]
	}
	for _, w := range v.rb.Waves {
		wave(w.Name)
	}
	for n, i := range p.Items {
		w := wave(i.Wave)
		w.Systems++
		if i.Error != nil {
			w.Refused++
			p.Refused++
		}
		if i.Plan == nil {
			p.Unknown++
			continue
		}
		w.Bytes += i.Plan.Bytes
		p.Bytes += i.Plan.Bytes
		if i.Plan.Estimate.Seconds == 0 && i.Plan.Bytes > 0 {
			p.Unknown++
		}
		w.Seconds += i.Plan.Estimate.Seconds
		to := todo[n].Destination
		m, ok := spaces[to]
		if !ok {
			m = len(p.Destinations)
			spaces[to] = m
			p.Destinations = append(p.Destinations, Space{Name: to, Free: -1})
		}
		s := &p.Destinations[m]
		s.Systems++
		s.Capacity += i.Plan.Space.Capacity
		s.Populated += i.Plan.Space.Populated
		s.Free = max(s.Free, i.Plan.Space.Free)
	}
	for n := range p.Waves {
		w := &p.Waves[n]
		// As many move at a time as the limits allow, and share the line: a
		// single System's rate is what was measured.
		limit := cmp.Or(v.rb.Limits.Systems, v.opts.Parallel)
		for _, l := range append(p.limits(v, todo, w.Name), v.rb.Wave(w.Name).Limits.Systems) {
			if l > 0 {
				limit = min(limit, l)
			}
		}
		w.Seconds = (w.Seconds + int64(limit) - 1) / int64(max(limit, 1))
		p.Seconds += w.Seconds
	}
	for _, s := range p.Destinations {
		switch {
		case s.Free < 0:
		case s.Populated > s.Free:
			p.find(ovf.Error, s, fmt.Sprintf("%d systems hold at least %s, %s are free", s.Systems, size(s.Populated), size(s.Free)))
		case s.Capacity > s.Free:
			p.find(ovf.Warning, s, fmt.Sprintf("the disks of %d systems are thin and have %s at most, %s are free", s.Systems, size(s.Capacity), size(s.Free)))
		}
	}
}

// limits are how many Systems of a wave its endpoints allow at a time, as far as
// all of it goes through one.
func (p *Plan) limits(v *Evacuation, todo []Item, wave string) []int {
	sources, destinations := map[string]bool{}, map[string]bool{}
	for _, i := range todo {
		if i.Wave == wave {
			sources[i.Source], destinations[i.Destination] = true, true
		}
	}
	var out []int
	for _, ends := range []map[string]bool{sources, destinations} {
		if len(ends) != 1 {
			continue
		}
		for e := range ends {
			out = append(out, v.rb.Endpoints[e].Limits.Systems)
		}
	}
	return out
}

func (p *Plan) find(severity ovf.Severity, s Space, message string) {
	p.Findings = append(p.Findings, ovf.Finding{ID: RuleSpace, Severity: severity, Object: s.Name, Message: message,
		Hint: "make room, move less, or --allow " + RuleSpace})
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// Text writes the plan as people read it; one writes what a System's plan says.
func (p *Plan) Text(w io.Writer, one func(io.Writer, *migrate.Plan) error) error {
	for _, i := range p.Items {
		if i.Plan != nil {
			if err := one(w, i.Plan); err != nil {
				return err
			}
		}
		if i.Error != nil {
			fmt.Fprintf(w, "%s: refused: %s\n", i.System, i.Error.Message)
		}
		fmt.Fprintln(w)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WAVE\tSYSTEMS\tREFUSED\tDISKS\tTIME\tOPENS")
	for _, wave := range p.Waves {
		name := wave.Name
		if name == "" {
			name = "(none)"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\n", name, wave.Systems, wave.Refused, size(wave.Bytes), took(wave.Seconds), wave.Opens)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, d := range p.Destinations {
		free := "free space is not known"
		if d.Free >= 0 {
			free = size(d.Free) + " free"
		}
		fmt.Fprintf(w, "to %s: %d systems, disks of %s at most, %s\n", d.Name, d.Systems, size(d.Capacity), free)
	}
	for _, f := range p.Findings {
		fmt.Fprintf(w, "%s %s: %s: %s\n", f.Severity, f.ID, f.Object, f.Message)
	}
	time := took(p.Seconds)
	if p.Unknown > 0 {
		time += fmt.Sprintf(" (not known for %d)", p.Unknown)
	}
	_, err := fmt.Fprintf(w, "%d systems, %d refused, disks of %s at most, time %s\n", len(p.Items), p.Refused, size(p.Bytes), time)
	return err
}

func took(seconds int64) string {
	if seconds == 0 {
		return "unknown"
	}
	return (time.Duration(seconds) * time.Second).String()
}

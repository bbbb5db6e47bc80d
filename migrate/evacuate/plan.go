package evacuate

import (
	"context"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cimimove/cimimove/migrate"
)

// Plan says what an evacuation would do before it starts: every System, in the
// order of the waves, with everything that blocks it at once.
type Plan struct {
	Runbook string     `json:"runbook"`
	Run     string     `json:"run"`
	Waves   []WavePlan `json:"waves"`
	Items   []ItemPlan `json:"items"`
	Refused int        `json:"refused"`
	Bytes   int64      `json:"bytes"`
}

// WavePlan sums up a wave.
type WavePlan struct {
	Name    string   `json:"name"`
	After   []string `json:"after,omitempty"`
	Systems int      `json:"systems"`
	Refused int      `json:"refused"`
	Bytes   int64    `json:"bytes"`
}

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
	p := &Plan{Runbook: v.rb.Name, Run: v.id, Waves: []WavePlan{}, Items: make([]ItemPlan, len(v.works))}
	var (
		mu    sync.Mutex
		first error
		at    = len(v.works)
	)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(planners)
	for n, w := range v.works {
		g.Go(func() error {
			item, err := v.planItem(gctx, w.item)
			p.Items[n] = item
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				if n < at {
					at, first = n, fmt.Errorf("%s: %w", w.item.System, err)
				}
			}
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	p.sum(v)
	return p, first
}

func (v *Evacuation) planItem(ctx context.Context, item Item) (ItemPlan, error) {
	out := ItemPlan{System: item.System, Wave: item.Wave}
	values, err := v.properties(ctx, item)
	if err == nil {
		var o migrate.Options
		if o, err = v.migration(ctx, item, values); err == nil {
			out.Plan, err = v.engine.Plan(ctx, o)
		}
	}
	out.Error = migrate.FailureOf(err)
	return out, err
}

func (p *Plan) sum(v *Evacuation) {
	index := map[string]int{}
	for _, w := range v.rb.Waves {
		index[w.Name] = len(p.Waves)
		p.Waves = append(p.Waves, WavePlan{Name: w.Name, After: w.After})
	}
	for _, i := range p.Items {
		n, ok := index[i.Wave]
		if !ok {
			n = len(p.Waves)
			index[i.Wave] = n
			p.Waves = append(p.Waves, WavePlan{Name: i.Wave})
		}
		w := &p.Waves[n]
		w.Systems++
		if i.Error != nil {
			w.Refused++
			p.Refused++
		}
		if i.Plan != nil {
			w.Bytes += i.Plan.Bytes
			p.Bytes += i.Plan.Bytes
		}
	}
}

// Text writes the plan as people read it; one writes what a System's plan says.
func (p *Plan) Text(w io.Writer, one func(io.Writer, *migrate.Plan) error) error {
	for n, i := range p.Items {
		if n > 0 {
			fmt.Fprintln(w)
		}
		if i.Plan != nil {
			if err := one(w, i.Plan); err != nil {
				return err
			}
		}
		if i.Error != nil {
			fmt.Fprintf(w, "%s: refused: %s\n", i.System, i.Error.Message)
		}
	}
	return nil
}

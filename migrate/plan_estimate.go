package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cimimove/cimimove/migrate/journal"
)

// Rate is what earlier runs moved: bytes of disk content a second, proof
// included, over so many runs.
type Rate struct {
	BytesPerSecond int64
	Runs           int
}

// Estimate is how long a move may take. Bytes is the most that there can be:
// disks are thin. Seconds is 0 where nothing is known.
type Estimate struct {
	Bytes          int64  `json:"bytes"`
	BytesPerSecond int64  `json:"bytesPerSecond,omitempty"`
	Seconds        int64  `json:"seconds,omitempty"`
	Basis          string `json:"basis"`
}

func (p *Plan) planEstimate() {
	p.Estimate = Estimate{Bytes: p.Bytes, Basis: "no earlier run between these endpoints was measured"}
	if p.opts.Measured == nil {
		return
	}
	rate, ok := p.opts.Measured(p.Source, p.Destination)
	if !ok || rate.BytesPerSecond <= 0 {
		return
	}
	p.Estimate.BytesPerSecond = rate.BytesPerSecond
	p.Estimate.Seconds = (p.Bytes + rate.BytesPerSecond - 1) / rate.BytesPerSecond
	p.Estimate.Basis = fmt.Sprintf("measured over %d earlier runs between these endpoints", rate.Runs)
	if rate.Runs == 1 {
		p.Estimate.Basis = "measured over the latest run between these endpoints"
	}
}

// rateRuns is how many earlier runs an estimate looks at.
const rateRuns = 10

// Plan is NewPlan with what the journal knows of earlier runs.
func (e *Engine) Plan(ctx context.Context, o Options) (*Plan, error) {
	if o.Survey == nil {
		o.Survey = &Survey{}
	}
	o.Measured = func(source, destination string) (Rate, bool) {
		rate, err := o.Survey.rates.get(source+"\x1f"+destination, func() (Rate, error) { return measured(ctx, e.Journal, source, destination) })
		return rate, err == nil && rate.Runs > 0 // an estimate is no reason to fail
	}
	o.MeasuredHash = func(source, destination string) (Rate, bool) {
		rate, err := measuredBy(ctx, e.Journal, source, destination, func(rep *Report) int64 {
			if rep.Warm == nil {
				return 0
			}
			return rep.Warm.HashBytesPerSecond
		})
		return rate, err == nil && rate.Runs > 0
	}
	o.Objects = e.Objects
	o.Throttled = e.Limits.throttles()
	return NewPlan(ctx, o)
}

// measured is the median rate of the latest runs between two endpoints.
func measured(ctx context.Context, j *journal.Journal, source, destination string) (Rate, error) {
	return measuredBy(ctx, j, source, destination, func(rep *Report) int64 {
		if took := rep.moving(); took > 0 && rep.Bytes.Logical > 0 {
			return int64(float64(rep.Bytes.Logical) / took.Seconds())
		}
		return 0
	})
}

// measuredBy is the median of a rate of their reports; 0 is none.
func measuredBy(ctx context.Context, j *journal.Journal, source, destination string, of func(*Report) int64) (Rate, error) {
	runs, err := j.RunsBetween(ctx, source, destination, rateRuns)
	if err != nil {
		return Rate{}, err
	}
	var rates []int64
	for _, row := range runs {
		var rep Report
		if json.Unmarshal(row.Report, &rep) != nil {
			continue
		}
		if rate := of(&rep); rate > 0 {
			rates = append(rates, rate)
		}
	}
	if len(rates) == 0 {
		return Rate{}, nil
	}
	slices.Sort(rates)
	return Rate{BytesPerSecond: rates[len(rates)/2], Runs: len(rates)}, nil
}

// moving is how long the steps took that grow with the disks.
func (rep *Report) moving() time.Duration {
	var sum time.Duration
	for _, s := range rep.Steps {
		if s.Ended != nil && (s.Name == string(StepTransfer) || s.Name == string(StepDelta) || s.Name == string(StepVerify)) {
			sum += s.Ended.Sub(s.Started)
		}
	}
	return sum
}

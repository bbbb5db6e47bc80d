package board

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/cimimove/cimimove/migrate/evacuate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// OfEvacuation is the Source of an evacuation: waves are lanes, Systems cards.
func OfEvacuation(v *evacuate.Evacuation) interface {
	Source
	Controller
} {
	return evacuation{v}
}

type evacuation struct{ v *evacuate.Evacuation }

func (e evacuation) Watch() (<-chan struct{}, func()) { return e.v.Watch() }

func (e evacuation) Do(ctx context.Context, verb, card string) error { return e.v.Do(ctx, verb, card) }

func (e evacuation) Log(_ context.Context, card string) ([]Line, error) {
	var out []Line
	for _, l := range e.v.Log(card) {
		out = append(out, Line(l))
	}
	return out, nil
}

func (e evacuation) Board(context.Context) (*Board, error) {
	b := OfReport(e.v.Report())
	b.throughput(e.v)
	for n := range b.Lanes {
		for m := range b.Lanes[n].Cards {
			e.bars(b, &b.Lanes[n].Cards[m])
		}
	}
	return b, nil
}

// Ended is the Board of an evacuation with what is proved of each System, and
// what happened to those that failed.
func Ended(ctx context.Context, v *evacuate.Evacuation) (*Board, error) {
	rep, err := v.Detailed(ctx)
	if err != nil {
		return nil, err
	}
	b := OfReport(rep)
	b.throughput(v)
	if b.State == "running" && !rep.Active {
		// What is not begun now is left to another run.
		b.State = "interrupted"
		if b.Totals.Failed > 0 {
			b.State = "failed"
		}
	}
	for n := range b.Lanes {
		for m := range b.Lanes[n].Cards {
			if c := &b.Lanes[n].Cards[m]; c.State == string(journal.Failed) {
				c.Log, _ = evacuation{v}.Log(ctx, c.ID)
			}
		}
	}
	return b, nil
}

func (b *Board) throughput(v *evacuate.Evacuation) {
	for _, s := range v.Throughput() {
		b.Rates = append(b.Rates, Sample(s))
	}
}

// bars adds what is seen of a System that moves.
func (e evacuation) bars(b *Board, c *Card) {
	if c.State != string(journal.Running) {
		return
	}
	var latest time.Time
	for _, p := range e.v.Progress(c.System) {
		if p.Time.After(latest) {
			latest, c.Step = p.Time, p.Phase
		}
		if p.Disk == "" {
			continue
		}
		c.Disks = append(c.Disks, Bar{Disk: p.Disk, Phase: p.Phase, Done: p.Done, Total: p.Total, Rate: p.Rate})
		if p.Done < p.Total {
			b.Totals.Rate += p.Rate
		}
	}
	// The latest phase of each disk.
	slices.SortFunc(c.Disks, func(x, y Bar) int {
		return cmp.Or(cmp.Compare(x.Disk, y.Disk), -cmp.Compare(order(x.Phase), order(y.Phase)))
	})
	c.Disks = slices.CompactFunc(c.Disks, func(x, y Bar) bool { return x.Disk == y.Disk })
}

func order(phase string) int { return slices.Index([]string{"export", "transfer", "verify"}, phase) }

// OfReport makes a Board of a report, as it stands or ended.
func OfReport(rep *evacuate.Report) *Board {
	b := &Board{Title: filepath.Base(rep.Runbook), State: "running", Things: "systems", Done: "verified", Failed: "failed", Time: time.Now(), Lanes: []Lane{}, Rates: []Sample{}}
	index := map[string]int{}
	for _, w := range rep.Waves {
		index[w.Name] = len(b.Lanes)
		b.Lanes = append(b.Lanes, Lane{Name: w.Name, State: w.State, Cards: []Card{}})
	}
	for _, i := range rep.Items {
		n, ok := index[i.Wave]
		if !ok {
			n = len(b.Lanes)
			index[i.Wave] = n
			b.Lanes = append(b.Lanes, Lane{Name: i.Wave, State: "running", Cards: []Card{}})
		}
		c := Card{ID: i.System, System: i.System, Name: i.Name, State: i.State, Reason: i.Reason, Bytes: i.Bytes, Started: i.Started, Ended: i.Ended}
		if i.Error != nil {
			c.Error, c.Hint = i.Error.Message, i.Error.Hint
		}
		c.Rate, c.Downtime = i.BytesPerSecond, i.DowntimeSeconds
		for _, d := range i.Disks {
			c.Proof = append(c.Proof, Proof{Disk: d.Name, Source: d.SourceDigest, Destination: d.DestinationDigest, Verified: d.Verified})
		}
		for _, f := range i.Findings {
			c.Findings = append(c.Findings, fmt.Sprintf("%s %s: %s: %s", f.Severity, f.ID, f.Object, f.Message))
		}
		b.Lanes[n].Cards = append(b.Lanes[n].Cards, c)
		b.count(i)
	}
	t := &b.Totals
	t.Seconds = rep.Seconds
	b.Subtitle = fmt.Sprintf("run %s: %d of %d verified", rep.Run, t.Done, t.Systems)
	switch {
	case rep.Paused:
		b.State = "paused"
	case t.Running+t.Waiting > 0:
	case t.Failed > 0:
		b.State = "failed"
	default:
		b.State = "ended"
	}
	return b
}

func (b *Board) count(i evacuate.ItemReport) {
	t := &b.Totals
	t.Systems++
	if i.Started != nil && (b.Started.IsZero() || i.Started.Before(b.Started)) {
		b.Started = *i.Started
	}
	switch journal.State(i.State) {
	case journal.Verified, journal.Done, journal.Skipped:
		t.Done++
		t.Bytes += i.Bytes
	case journal.Failed:
		t.Failed++
	case journal.Cancelled, journal.RolledBack:
		t.Cancelled++
	case journal.Running:
		t.Running++
	default:
		t.Waiting++
	}
}

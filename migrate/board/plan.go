package board

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/migrate/evacuate"
)

// OfPlan makes a Board of what an evacuation would do.
func OfPlan(p *evacuate.Plan) *Board {
	b := &Board{Title: "Plan of " + filepath.Base(p.Runbook), State: "planned", Things: "systems", Done: "ready", Failed: "refused", Time: time.Now(), Lanes: []Lane{}, Rates: []Sample{}}
	index := map[string]int{}
	for _, w := range p.Waves {
		index[w.Name] = len(b.Lanes)
		note := "opens " + w.Opens
		if len(w.After) > 0 {
			note = "after " + strings.Join(w.After, ", ") + ", " + note
		}
		if w.Seconds > 0 {
			note += fmt.Sprintf(", about %s", time.Duration(w.Seconds)*time.Second)
		}
		b.Lanes = append(b.Lanes, Lane{Name: w.Name, State: "planned", Note: note, Cards: []Card{}})
	}
	for _, i := range p.Items {
		c := Card{ID: i.System, System: i.System, State: "ready"}
		b.Totals.Systems++
		if i.Plan != nil {
			c.Name, c.Bytes = i.Plan.Name, i.Plan.Bytes
			c.Reason = fmt.Sprintf("via %s: %s", i.Plan.Via, i.Plan.Why)
			for _, f := range i.Plan.Findings {
				c.Findings = append(c.Findings, fmt.Sprintf("%s %s: %s: %s", f.Severity, f.ID, f.Object, f.Message))
			}
		}
		if i.Error != nil {
			c.State, c.Error, c.Hint = "refused", i.Error.Message, i.Error.Hint
			b.Totals.Failed++
		} else {
			b.Totals.Done++
			b.Totals.Bytes += c.Bytes
		}
		lane := &b.Lanes[index[i.Wave]]
		lane.Cards = append(lane.Cards, c)
	}
	b.Subtitle = fmt.Sprintf("%d systems, %d refused; nothing is written yet", b.Totals.Systems, p.Refused)
	if p.Seconds > 0 {
		b.Subtitle += fmt.Sprintf("; about %s", time.Duration(p.Seconds)*time.Second)
	}
	for _, d := range p.Destinations {
		free := "free space not known"
		if d.Free >= 0 {
			free = humanize.IBytes(uint64(d.Free)) + " free"
		}
		b.Subtitle += fmt.Sprintf("; to %s: %d systems, disks of %s at most, %s", d.Name, d.Systems, humanize.IBytes(uint64(max(d.Capacity, 0))), free)
	}
	for _, f := range p.Findings {
		b.Subtitle += fmt.Sprintf("; %s %s: %s", f.Severity, f.ID, f.Message)
	}
	return b
}

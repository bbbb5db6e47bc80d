package evacuate

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// Report is how an evacuation stands or ended: the document of the run command.
type Report struct {
	Run       string       `json:"run"`
	Runbook   string       `json:"runbook"`
	Paused    bool         `json:"paused,omitempty"`
	Items     []ItemReport `json:"items"`
	Waves     []WaveReport `json:"waves,omitempty"`
	Verified  int          `json:"verified"`
	Failed    int          `json:"failed"`
	Skipped   int          `json:"skipped"`
	Cancelled int          `json:"cancelled,omitempty"`
	Pending   int          `json:"pending,omitempty"`
	Bytes     int64        `json:"bytes"` // capacity of what is verified
}

// ItemReport is a System of a runbook. State is that of its run, or pending
// when it was not begun; then Reason says why.
type ItemReport struct {
	System        string           `json:"system"`
	Name          string           `json:"name,omitempty"`
	Wave          string           `json:"wave,omitempty"`
	Run           string           `json:"run,omitempty"`
	DestinationID string           `json:"destinationId"`
	State         string           `json:"state"`
	Reason        string           `json:"reason,omitempty"`
	Attempts      int              `json:"attempts,omitempty"`
	Bytes         int64            `json:"bytes,omitempty"`
	Started       *time.Time       `json:"started,omitempty"`
	Ended         *time.Time       `json:"ended,omitempty"`
	Error         *migrate.Failure `json:"error,omitempty"`
}

// WaveReport is how far a wave is.
type WaveReport struct {
	Name     string `json:"name"`
	State    string `json:"state"` // waiting, running, ended, stopped
	Systems  int    `json:"systems"`
	Verified int    `json:"verified"`
	Failed   int    `json:"failed"`
}

// Report is how the evacuation stands now.
func (v *Evacuation) Report() *Report {
	v.mu.Lock()
	defer v.mu.Unlock()
	rep := &Report{Run: v.id, Runbook: v.rb.Name, Paused: v.paused, Items: []ItemReport{}}
	a := &agenda{rb: v.rb, works: v.works, now: v.opts.Now()}
	states := a.waves()
	waves := map[string]*WaveReport{}
	for _, w := range v.rb.Waves {
		s := states[w.Name]
		r := &WaveReport{Name: w.Name, State: "running"}
		switch {
		case s.halted != "":
			r.State = "stopped"
		case s.waits != "":
			r.State = "waiting"
		case s.ended:
			r.State = "ended"
		}
		waves[w.Name] = r
	}
	for n, w := range v.works {
		rep.add(w.row, v.reasons[n])
		if r := waves[w.item.Wave]; r != nil {
			r.Systems++
			switch {
			case good(w.row.State):
				r.Verified++
			case w.row.State == journal.Failed:
				r.Failed++
			}
		}
	}
	for _, w := range v.rb.Waves {
		rep.Waves = append(rep.Waves, *waves[w.Name])
	}
	return rep
}

func (rep *Report) add(row journal.Item, reason string) {
	i := ItemReport{System: row.System, Name: row.Name, Wave: row.Wave, Run: row.Run, DestinationID: row.DestinationID, State: string(row.State),
		Attempts: row.Attempts, Bytes: row.Bytes, Started: moment(row.Started), Ended: moment(row.Ended)}
	if len(row.Error) > 0 {
		// What this program wrote; an item of another version has no error shown.
		_ = json.Unmarshal(row.Error, &i.Error)
	}
	switch {
	case row.State == journal.Verified:
		rep.Verified++
		rep.Bytes += row.Bytes
	case row.State == journal.Skipped:
		rep.Skipped++
	case row.State == journal.Cancelled:
		rep.Cancelled++
	case row.State == journal.Failed:
		rep.Failed++
	case row.State == journal.Done && i.Error != nil:
		rep.Failed++
	case unfinished(row.State):
		rep.Pending++
		i.Reason = reason
	}
	rep.Items = append(rep.Items, i)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Text writes the report as people read it.
func (rep *Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SYSTEM\tSTATE\tRUN\tDESTINATION")
	for _, i := range rep.Items {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", i.System, i.State, i.Run, i.DestinationID)
		switch {
		case i.Error != nil:
			fmt.Fprintf(t, "  %s\n", i.Error.Message)
			if i.Error.Hint != "" {
				fmt.Fprintf(t, "  %s\n", i.Error.Hint)
			}
		case i.Reason != "":
			fmt.Fprintf(t, "  %s\n", i.Reason)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	rest := ""
	if rep.Pending > 0 {
		rest += fmt.Sprintf(", %d not begun", rep.Pending)
	}
	if rep.Cancelled > 0 {
		rest += fmt.Sprintf(", %d cancelled", rep.Cancelled)
	}
	_, err := fmt.Fprintf(w, "%d verified, %d failed, %d skipped%s, of %d\n", rep.Verified, rep.Failed, rep.Skipped, rest, len(rep.Items))
	return err
}

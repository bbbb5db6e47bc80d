package evacuate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf"
)

// Report is how an evacuation stands or ended: the document of the run command.
type Report struct {
	Run     string `json:"run"`
	Runbook string `json:"runbook"`
	Paused  bool   `json:"paused,omitempty"`
	// Active: somebody carries the runbook out, or a System is under way.
	Active     bool         `json:"active"`
	Items      []ItemReport `json:"items"`
	Waves      []WaveReport `json:"waves,omitempty"`
	Verified   int          `json:"verified"`
	Failed     int          `json:"failed"`
	Skipped    int          `json:"skipped"`
	Cancelled  int          `json:"cancelled,omitempty"`
	RolledBack int          `json:"rolledBack,omitempty"`
	Pending    int          `json:"pending,omitempty"`
	Bytes      int64        `json:"bytes"` // capacity of what is verified
	// Started is when the first System was begun, Ended when the last ended that
	// has, Seconds what lies between (until now while one is under way).
	Started        *time.Time `json:"started,omitempty"`
	Ended          *time.Time `json:"ended,omitempty"`
	Seconds        float64    `json:"seconds,omitempty"`
	BytesPerSecond int64      `json:"bytesPerSecond,omitempty"` // of Bytes
}

// ItemReport is a System of a runbook. State is that of its run, or pending
// when it was not begun; then Reason says why.
type ItemReport struct {
	System        string `json:"system"`
	Name          string `json:"name,omitempty"`
	Wave          string `json:"wave,omitempty"`
	Run           string `json:"run,omitempty"`
	DestinationID string `json:"destinationId"`
	State         string `json:"state"`
	Reason        string `json:"reason,omitempty"`
	Attempts      int    `json:"attempts,omitempty"`
	Bytes         int64  `json:"bytes,omitempty"`
	// Done of Total bytes of the package have moved, while it is under way.
	Done    int64            `json:"done,omitempty"`
	Total   int64            `json:"total,omitempty"`
	Started *time.Time       `json:"started,omitempty"`
	Ended   *time.Time       `json:"ended,omitempty"`
	Error   *migrate.Failure `json:"error,omitempty"`
	// What the run's own report says; Detail adds it.
	Seconds         float64              `json:"seconds,omitempty"`
	BytesPerSecond  int64                `json:"bytesPerSecond,omitempty"`
	DowntimeSeconds float64              `json:"downtimeSeconds,omitempty"` // of machines that ran
	Disks           []migrate.DiskReport `json:"disks,omitempty"`
	Findings        []ovf.Finding        `json:"findings,omitempty"`
}

// WaveReport is how far a wave is.
type WaveReport struct {
	Name     string `json:"name"`
	State    string `json:"state"` // waiting, running, ended, stopped
	Systems  int    `json:"systems"`
	Verified int    `json:"verified"`
	Failed   int    `json:"failed"`
}

// Detailed is Report with what the reports of the runs say of each System:
// how long it took, the digests of its disks, its findings.
func (v *Evacuation) Detailed(ctx context.Context) (*Report, error) {
	rep := v.Report()
	for n := range rep.Items {
		i := &rep.Items[n]
		if i.Run == "" {
			continue
		}
		row, err := v.engine.Journal.Run(ctx, i.Run)
		if errors.Is(err, journal.ErrNoRun) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var of migrate.Report
		if len(row.Report) == 0 || json.Unmarshal(row.Report, &of) != nil {
			continue // it has not ended, or another version wrote it
		}
		i.detail(&of)
	}
	return rep, nil
}

// detail takes what a run's report says.
func (i *ItemReport) detail(of *migrate.Report) {
	i.Disks, i.Findings = of.Disks, of.Findings
	var first, stopped, last time.Time
	for _, s := range of.Steps {
		if first.IsZero() {
			first = s.Started
		}
		if s.Name == string(migrate.StepQuiesce) {
			stopped = s.Started
		}
		if s.Ended != nil && s.Ended.After(last) {
			last = *s.Ended
		}
	}
	if first.IsZero() || last.Before(first) {
		return
	}
	i.Seconds = last.Sub(first).Seconds()
	if i.Seconds > 0 {
		i.BytesPerSecond = int64(float64(of.Bytes.Logical) / i.Seconds)
	}
	ran := slices.ContainsFunc(of.Findings, func(f ovf.Finding) bool { return f.ID == migrate.RulePower })
	if ran && !stopped.IsZero() {
		i.DowntimeSeconds = last.Sub(stopped).Seconds()
	}
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
	rep.measure(v.opts.Now())
	return rep
}

// measure tells how long the whole took, and its rate.
func (rep *Report) measure(now time.Time) {
	for _, i := range rep.Items {
		if i.Started != nil && (rep.Started == nil || i.Started.Before(*rep.Started)) {
			rep.Started = i.Started
		}
		if i.Ended != nil && (rep.Ended == nil || i.Ended.After(*rep.Ended)) {
			rep.Ended = i.Ended
		}
	}
	until := rep.Ended
	if rep.Active {
		until = &now
	}
	if rep.Started == nil || until == nil || !until.After(*rep.Started) {
		return
	}
	rep.Seconds = until.Sub(*rep.Started).Seconds()
	rep.BytesPerSecond = int64(float64(rep.Bytes) / rep.Seconds)
}

func (rep *Report) add(row journal.Item, reason string) {
	i := ItemReport{System: row.System, Name: row.Name, Wave: row.Wave, Run: row.Run, DestinationID: row.DestinationID, State: string(row.State),
		Attempts: row.Attempts, Bytes: row.Bytes, Started: moment(row.Started), Ended: moment(row.Ended)}
	i.Error = failureOf(row)
	rep.Active = rep.Active || row.State == journal.Running
	switch {
	case row.State == journal.Verified:
		rep.Verified++
		rep.Bytes += row.Bytes
	case row.State == journal.Skipped:
		rep.Skipped++
	case row.State == journal.Cancelled:
		rep.Cancelled++
	case row.State == journal.RolledBack:
		rep.RolledBack++
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

// failureOf is an item's error, nil for none. It is what this program wrote; an
// item of another version has no error shown.
func failureOf(row journal.Item) (f *migrate.Failure) {
	if len(row.Error) > 0 {
		_ = json.Unmarshal(row.Error, &f)
	}
	return f
}

// say writes what there is to say of a System besides its row.
func (i *ItemReport) say(w io.Writer) {
	switch {
	case i.Error != nil:
		fmt.Fprintf(w, "  %s\n", i.Error.Message)
		if i.Error.Hint != "" {
			fmt.Fprintf(w, "  %s\n", i.Error.Hint)
		}
	case i.Reason != "":
		fmt.Fprintf(w, "  %s\n", i.Reason)
	}
}

// oneLine keeps a name from looking like rows of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Text writes the report as people read it: a table, with what there is to say
// of a System below its row.
func (rep *Report) Text(w io.Writer) error {
	if rep.Run != "" {
		fmt.Fprintf(w, "run %s of %s\n", rep.Run, oneLine(rep.Runbook))
	}
	var rows bytes.Buffer
	t := tabwriter.NewWriter(&rows, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SYSTEM\tWAVE\tSTATE\tRUN\tDESTINATION")
	for _, i := range rep.Items {
		state := i.State
		if i.Total > 0 {
			state += fmt.Sprintf(" %d %%", min(100*i.Done/i.Total, 100))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", oneLine(i.System), oneLine(cmp.Or(i.Wave, "-")), state, i.Run, i.DestinationID)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	n := -1 // of the item; the first line is the head
	for line := range strings.Lines(rows.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
		if n >= 0 {
			rep.Items[n].say(w)
		}
		n++
	}
	rest := ""
	if rep.Pending > 0 {
		rest += fmt.Sprintf(", %d not begun", rep.Pending)
	}
	if rep.Cancelled > 0 {
		rest += fmt.Sprintf(", %d cancelled", rep.Cancelled)
	}
	if rep.RolledBack > 0 {
		rest += fmt.Sprintf(", %d rolled back", rep.RolledBack)
	}
	_, err := fmt.Fprintf(w, "%d verified, %d failed, %d skipped%s, of %d\n", rep.Verified, rep.Failed, rep.Skipped, rest, len(rep.Items))
	return err
}

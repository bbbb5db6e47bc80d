package evacuate

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/cimimove/cimimove/migrate/journal"
)

// Summary is a runbook in a list of them. State is running, paused,
// interrupted (something is left, and nobody is at it), failed, or verified;
// ended where operators have taken Systems out.
type Summary struct {
	Run      string    `json:"run"`
	Runbook  string    `json:"runbook"`
	State    string    `json:"state"`
	Systems  int       `json:"systems"`
	Verified int       `json:"verified"` // or skipped
	Failed   int       `json:"failed"`
	Started  time.Time `json:"started"`
	Updated  time.Time `json:"updated"`
}

// Summaries are of all runbooks of a journal, oldest first.
type Summaries []Summary

// List tells how all runbooks stand, also while processes carry them out.
func List(ctx context.Context, j *journal.Journal) (Summaries, error) {
	batches, err := j.Batches(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := j.Counts(ctx)
	if err != nil {
		return nil, err
	}
	workers, err := j.Workers(ctx)
	if err != nil {
		return nil, err
	}
	out := Summaries{}
	for _, b := range batches {
		s := Summary{Run: b.ID, Runbook: b.Name, Started: b.Created, Updated: b.Updated}
		left, taken := 0, 0
		for state, n := range counts[b.ID] {
			s.Systems += n
			switch {
			case good(state):
				s.Verified += n
			case state == journal.Failed:
				s.Failed += n
			case unfinished(state):
				left += n
			default:
				taken += n
			}
		}
		switch {
		case left > 0 && b.Paused:
			s.State = "paused"
		case j.Locked(journal.BatchLock(b.ID)) || left > 0 && workers > 0:
			s.State = "running"
		case s.Failed > 0:
			s.State = "failed"
		case left > 0:
			s.State = "interrupted"
		case taken > 0:
			s.State = "ended"
		default:
			s.State = "verified"
		}
		out = append(out, s)
	}
	return out, nil
}

// Text writes the list as people read it; nothing where it is empty.
func (l Summaries) Text(w io.Writer) error {
	if len(l) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RUN\tSTATE\tSYSTEMS\tRUNBOOK")
	for _, s := range l {
		done := fmt.Sprintf("%d of %d", s.Verified, s.Systems)
		if s.Failed > 0 {
			done += fmt.Sprintf(", %d failed", s.Failed)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Run, s.State, done, oneLine(s.Runbook))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

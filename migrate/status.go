package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/cimimove/cimimove/migrate/journal"
)

// StatusList is the document of the status command.
type StatusList struct {
	Runs []RunStatus `json:"runs"`
}

// RunStatus is a run as it is now. Done and Total are in bytes.
type RunStatus struct {
	Run         string    `json:"run"`
	State       string    `json:"state"`
	System      string    `json:"system"`
	Source      string    `json:"source"`
	Destination string    `json:"destination"`
	Done        int64     `json:"done"`
	Total       int64     `json:"total"`
	Step        string    `json:"step,omitempty"` // begun and not ended
	Started     time.Time `json:"started"`
	Updated     time.Time `json:"updated"`
	Error       *Failure  `json:"error,omitempty"`
}

// Status lists runs, oldest first: all, or those named. It can be called while
// another process works on them.
func (e *Engine) Status(ctx context.Context, ids ...string) (*StatusList, error) {
	var rows []*journal.Run
	if len(ids) == 0 {
		var err error
		if rows, err = e.Journal.Runs(ctx); err != nil {
			return nil, err
		}
	}
	for _, id := range ids {
		row, err := e.Journal.Run(ctx, id)
		if err != nil {
			return nil, &Error{Class: ClassUsage, Object: id, Err: err, Advice: "cimimove status lists the runs"}
		}
		rows = append(rows, row)
	}
	list := &StatusList{Runs: []RunStatus{}}
	for _, row := range rows {
		s := RunStatus{Run: row.ID, State: string(row.State), System: row.System, Source: row.Source, Destination: row.Destination,
			Done: row.Done, Total: row.Total, Started: row.Created, Updated: row.Updated}
		if row.State == journal.Running && !e.Journal.Locked(row.ID) {
			s.State = string(journal.Interrupted)
		}
		if row.State.Ended() {
			s.Done = s.Total
		}
		if len(row.Error) > 0 && row.State != journal.Verified {
			if err := json.Unmarshal(row.Error, &s.Error); err != nil {
				return nil, fmt.Errorf("run %s: %w", row.ID, err)
			}
		}
		steps, err := e.Journal.Steps(ctx, row.ID)
		if err != nil {
			return nil, err
		}
		for _, st := range steps {
			if st.State == journal.Begun {
				s.Step = st.Name
			}
		}
		list.Runs = append(list.Runs, s)
	}
	return list, nil
}

// Report is what a run has recorded as its report; one that has not ended, or
// died, has none yet.
func (e *Engine) Report(ctx context.Context, id string) (*Report, error) {
	row, err := e.Journal.Run(ctx, id)
	if err != nil {
		return nil, &Error{Class: ClassUsage, Object: id, Err: err, Advice: "cimimove status lists the runs"}
	}
	if len(row.Report) == 0 {
		return nil, &Error{Class: ClassRefused, Object: "run " + id, Err: errors.New("has no report yet: it is at work, or its process died"), Advice: "cimimove status " + id + " shows it; cimimove resume goes on"}
	}
	return decodeReport(row)
}

// Text writes the list as people read it.
func (l *StatusList) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RUN\tSTATE\tSYSTEM\tFROM\tTO\tSTEP\tDONE")
	for _, r := range l.Runs {
		done := ""
		if r.Total > 0 {
			done = fmt.Sprintf("%d %%", r.Done*100/r.Total)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Run, r.State, r.System, r.Source, r.Destination, r.Step, done)
	}
	return t.Flush()
}

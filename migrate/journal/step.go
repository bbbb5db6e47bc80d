package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// StepState is how far a step has come.
type StepState string

const (
	Begun   StepState = "begun"
	Ended   StepState = "done"
	Broken  StepState = "failed"
	Undone  StepState = "undone"
	Dropped StepState = "dropped" // begun again under a later number
)

// Step is one step of a run. Notes grow while it is taken; Undo is what
// rolling back needs to know.
type Step struct {
	Seq     int
	Name    string
	State   StepState
	Started time.Time
	Ended   time.Time // zero while begun
	Notes   json.RawMessage
	Undo    json.RawMessage
}

// Begin records that a step is about to be taken, and how to undo it.
func (j *Journal) Begin(ctx context.Context, run, name string, notes, undo any) (seq int, err error) {
	n, u, err := encode(notes, undo)
	if err != nil {
		return 0, err
	}
	err = j.writeRun(ctx, run, "begin "+name, func(tx *tx) error {
		if err := tx.QueryRow(`SELECT coalesce(max(seq),0)+1 FROM step WHERE run=?`, run).Scan(&seq); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO step (run, seq, name, state, started, notes, undo) VALUES (?,?,?,?,?,?,?)`,
			run, seq, name, Begun, j.stamp(), n, u)
		return err
	})
	return seq, err
}

// Note replaces the notes of a step that is being taken.
func (j *Journal) Note(ctx context.Context, run string, seq int, name string, notes any) error {
	n, _, err := encode(notes, nil)
	if err != nil {
		return err
	}
	return j.writeRun(ctx, run, "note "+name, func(tx *tx) error {
		_, err := tx.Exec(`UPDATE step SET notes=? WHERE run=? AND seq=?`, n, run, seq)
		return err
	})
}

// End records how a step ended; nil notes leave those it has.
func (j *Journal) End(ctx context.Context, run string, seq int, name string, state StepState, notes any) error {
	n, _, err := encode(notes, nil)
	if err != nil {
		return err
	}
	return j.writeRun(ctx, run, string(state)+" "+name, func(tx *tx) error {
		_, err := tx.Exec(`UPDATE step SET state=?, ended=?, notes=coalesce(?, notes) WHERE run=? AND seq=?`, state, j.stamp(), n, run, seq)
		return err
	})
}

// Steps lists the steps of a run in the order they were begun.
func (j *Journal) Steps(ctx context.Context, run string) ([]Step, error) {
	rows, err := j.query(ctx, `SELECT seq, name, state, started, coalesce(ended,''), notes, undo FROM step WHERE run=? ORDER BY seq`, run)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer rows.Close()
	var out []Step
	for rows.Next() {
		var (
			s              Step
			started, ended string
			notes, undo    []byte
		)
		if err := rows.Scan(&s.Seq, &s.Name, &s.State, &started, &ended, &notes, &undo); err != nil {
			return nil, err
		}
		s.Started, s.Notes, s.Undo = moment(started), notes, undo
		if ended != "" {
			s.Ended = moment(ended)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// encode gives NULL for what is absent.
func encode(notes, undo any) (n, u any, err error) {
	if n, err = encodeOne(notes); err == nil {
		u, err = encodeOne(undo)
	}
	return n, u, err
}

func encodeOne(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	b, err := json.Marshal(v)
	return b, err
}

package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// State of a run. A run that is Running and whose lock is free was interrupted.
type State string

const (
	Running     State = "running"
	Interrupted State = "interrupted" // stopped, or its process died; resumable
	Staged      State = "staged"      // the package waits; resumable
	Failed      State = "failed"      // ended; see Run.Error
	Verified    State = "verified"    // done, and verified as asked
	Done        State = "done"        // done, verification not asked for or not possible
	Skipped     State = "skipped"     // the System was there already
	RolledBack  State = "rolled-back" // undone
)

// Ended tells whether nothing is left to do.
func (s State) Ended() bool { return s == Verified || s == Done || s == Skipped || s == RolledBack }

// Run is one migration.
type Run struct {
	ID               string
	Created, Updated time.Time
	State            State
	System           string // name at the source
	Source           string // endpoints, as the user named them
	Destination      string
	Via              string
	Plan             json.RawMessage // what Resume needs; no secrets
	Report           json.RawMessage
	Error            json.RawMessage
	Done, Total      int64 // bytes
}

// Create records a new run and gives it an id. item, which may be nil, is the
// runbook item that it is the run of; it is recorded together with it.
func (j *Journal) Create(ctx context.Context, r Run, item *Item) (string, error) {
	for {
		id := NewID(j.Now())
		// Two machines may begin a run in the same millisecond, and chance give both
		// the same id.
		if err := j.create(ctx, id, r, item); !errors.Is(err, errTaken) {
			return id, err
		}
	}
}

// errTaken: another run has the id.
var errTaken = errors.New("another run has that id")

func (j *Journal) create(ctx context.Context, id string, r Run, item *Item) error {
	now := j.stamp()
	return j.write(ctx, "run", func(tx *tx) error {
		res, err := tx.Exec(`INSERT INTO run (id, created, updated, state, system, source, destination, via, plan, total) VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING`,
			id, now, now, r.State, r.System, r.Source, r.Destination, r.Via, []byte(r.Plan), r.Total)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			// A write whose answer was lost is made again.
			var ours bool
			err := tx.QueryRow(`SELECT created=? AND system=? AND source=? AND destination=? FROM run WHERE id=?`, now, r.System, r.Source, r.Destination, id).Scan(&ours)
			if err == nil && !ours {
				err = errTaken
			}
			if err != nil {
				return err
			}
		}
		if item == nil {
			return nil
		}
		item.Run = id
		change, err := bump(tx, item.Batch, -1)
		if err != nil {
			return err
		}
		return putItem(tx, *item, change)
	})
}

// Change is what SetState records; nil fields stay as they are.
type Change struct {
	State         State
	Plan          json.RawMessage
	Report, Error json.RawMessage
	Via           string
}

// Set records a new state of a run.
func (j *Journal) Set(ctx context.Context, id string, c Change) error {
	return j.writeRun(ctx, id, "state "+string(c.State), func(tx *tx) error {
		res, err := tx.Exec(`UPDATE run SET updated=?, state=coalesce(nullif(?,''), state), plan=coalesce(?, plan), report=coalesce(?, report), error=coalesce(?, error), via=coalesce(nullif(?,''), via) WHERE id=?`,
			j.stamp(), string(c.State), blob(c.Plan), blob(c.Report), blob(c.Error), c.Via, id)
		return one(res, err, id)
	})
}

// Progress records how many of how many bytes have moved.
func (j *Journal) Progress(ctx context.Context, id string, done, total int64) error {
	return j.writeRun(ctx, id, "progress", func(tx *tx) error {
		res, err := tx.Exec(`UPDATE run SET updated=?, done=?, total=? WHERE id=?`, j.stamp(), done, total, id)
		return one(res, err, id)
	})
}

const runColumns = `id, created, updated, state, system, source, destination, via, plan, report, error, done, total`

// Run reads one run; ErrNoRun when it is not there.
func (j *Journal) Run(ctx context.Context, id string) (*Run, error) {
	r, err := scanRun(j.queryRow(ctx, `SELECT `+runColumns+` FROM run WHERE id=?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, noRun(id)
	}
	return r, err
}

// briefColumns are runColumns without what is long: thousands of runs may be kept.
const briefColumns = `id, created, updated, state, system, source, destination, via, NULL, NULL, error, done, total`

// Runs lists all runs, oldest first, without their plans and reports, which Run
// reads.
func (j *Journal) Runs(ctx context.Context) ([]*Run, error) {
	return j.runs(ctx, `SELECT `+briefColumns+` FROM run ORDER BY id`)
}

func (j *Journal) runs(ctx context.Context, query string, args ...any) ([]*Run, error) {
	rows, err := j.query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer rows.Close()
	var out []*Run
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Forget removes a run and all that belongs to it.
func (j *Journal) Forget(ctx context.Context, id string) error {
	return j.write(ctx, "forget", func(tx *tx) error {
		res, err := tx.Exec(`DELETE FROM run WHERE id=?`, id)
		return one(res, err, id)
	})
}

func scanRun(row interface{ Scan(...any) error }) (*Run, error) {
	var (
		r                   Run
		created, updated    string
		plan, report, cause []byte
	)
	if err := row.Scan(&r.ID, &created, &updated, &r.State, &r.System, &r.Source, &r.Destination, &r.Via, &plan, &report, &cause, &r.Done, &r.Total); err != nil {
		return nil, err
	}
	r.Plan, r.Report, r.Error = plan, report, cause
	r.Created, r.Updated = moment(created), moment(updated)
	return &r, nil
}

func noRun(id string) error { return fmt.Errorf("run %s: %w", id, ErrNoRun) }

func one(res sql.Result, err error, id string) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return noRun(id)
	}
	return nil
}

// blob keeps NULL and empty apart.
func blob(b json.RawMessage) any {
	if b == nil {
		return nil
	}
	return []byte(b)
}

func moment(s string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, s)
	return t
}

// RunsBetween lists the latest runs between two endpoints that have ended well,
// newest first.
func (j *Journal) RunsBetween(ctx context.Context, source, destination string, limit int) ([]*Run, error) {
	return j.runs(ctx, `SELECT `+runColumns+` FROM run WHERE source=? AND destination=? AND state IN (?,?) ORDER BY id DESC LIMIT ?`,
		source, destination, Verified, Done, limit)
}

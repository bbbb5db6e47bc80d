package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// batchSchema: change counts what happened to a batch's items, so that a
// decision about them can be made on what was read and recorded only if
// nothing else happened in between.
const batchSchema = `
CREATE TABLE IF NOT EXISTS batch (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL,
  submitted TEXT NOT NULL, paused INTEGER NOT NULL DEFAULT 0, change INTEGER NOT NULL DEFAULT 0, document BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS item (
  batch TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, change INTEGER NOT NULL,
  system TEXT NOT NULL, name TEXT NOT NULL, wave TEXT NOT NULL, source TEXT NOT NULL, destination TEXT NOT NULL,
  run TEXT NOT NULL, state TEXT NOT NULL, wish TEXT NOT NULL, attempts INTEGER NOT NULL, not_before TEXT NOT NULL,
  destination_id TEXT NOT NULL, disks INTEGER NOT NULL, bytes INTEGER NOT NULL,
  started TEXT NOT NULL, ended TEXT NOT NULL, updated TEXT NOT NULL, error BLOB,
  PRIMARY KEY (batch, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS item_change ON item (batch, change);
`

// States of items that runs do not have.
const (
	Pending   State = "pending"   // not begun, or to be begun again
	Cancelled State = "cancelled" // taken out by an operator, and undone
)

// Batch is a runbook that is, or was, carried out.
type Batch struct {
	ID, Name         string
	Created, Updated time.Time
	// Submitted is when its document was recorded last.
	Submitted time.Time
	// Paused: nothing more is begun.
	Paused bool
	// Change grows with every change of the batch or its items.
	Change int64
	// Document is the runbook with its Systems named; no secrets. It may be large,
	// and Document reads it.
	Document json.RawMessage
}

// Item is one entry of a runbook. Batch names the runbook, Key the entry: both
// stay the same when the runbook is run again.
type Item struct {
	Batch, Key          string
	Seq                 int
	System, Name, Wave  string
	Source, Destination string // as the runbook names them
	Run                 string // id of its latest run; empty before the first
	State               State
	Wish                string    // what an operator asked for: cancel
	Attempts            int       // runs begun or taken up since it was last asked for
	NotBefore           time.Time // of a retry
	DestinationID       string
	Disks               int
	Bytes               int64 // capacity of its disks
	Started, Ended      time.Time
	Updated             time.Time
	Error               json.RawMessage
	Change              int64
}

// ErrStale: something else happened since the decision was made.
var ErrStale = errors.New("the batch has changed meanwhile")

// ErrNoBatch: the journal has no batch of that id.
var ErrNoBatch = errors.New("no such batch")

// PutBatch records a runbook and the items that are new to it; what is known
// of the others stays, but for what the runbook says of them.
func (j *Journal) PutBatch(ctx context.Context, b Batch, items []Item) error {
	return j.write(ctx, "batch", func(tx *tx) error {
		now := j.stamp()
		if _, err := tx.Exec(`INSERT INTO batch (id, name, created, updated, submitted, document) VALUES (?,?,?,?,?,?)
			ON CONFLICT (id) DO UPDATE SET updated=excluded.updated, submitted=excluded.submitted, document=excluded.document, paused=0`,
			b.ID, b.Name, now, now, now, []byte(b.Document)); err != nil {
			return err
		}
		change, err := bump(tx, b.ID, -1)
		if err != nil {
			return err
		}
		for _, i := range items {
			i.Batch = b.ID
			if _, err := tx.Exec(itemInsert+` ON CONFLICT (batch, key) DO UPDATE SET seq=excluded.seq, change=excluded.change, system=excluded.system,
				name=excluded.name, wave=excluded.wave, source=excluded.source, destination=excluded.destination`, i.values(change, now)...); err != nil {
				return err
			}
		}
		return nil
	})
}

const itemColumns = `batch, key, seq, change, system, name, wave, source, destination, run, state, wish, attempts, not_before,
	destination_id, disks, bytes, started, ended, updated, error`

const itemInsert = `INSERT INTO item (` + itemColumns + `) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`

func (i *Item) values(change int64, now string) []any {
	return []any{i.Batch, i.Key, i.Seq, change, i.System, i.Name, i.Wave, i.Source, i.Destination, i.Run, string(i.State), i.Wish, i.Attempts,
		stampOf(i.NotBefore), i.DestinationID, i.Disks, i.Bytes, stampOf(i.Started), stampOf(i.Ended), now, blob(i.Error)}
}

// stampOf is how times are kept; empty for none.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// bump counts a change; expect is the count that the change was decided on, -1 for any.
func bump(tx *tx, batch string, expect int64) (int64, error) {
	var change int64
	err := tx.QueryRow(`UPDATE batch SET change=change+1, updated=? WHERE id=? AND (CAST(? AS BIGINT)<0 OR change=?) RETURNING change`, tx.j.stamp(), batch, expect, expect).Scan(&change)
	if errors.Is(err, sql.ErrNoRows) {
		if expect < 0 {
			return 0, fmt.Errorf("%w: %s", ErrNoBatch, batch)
		}
		return 0, ErrStale
	}
	return change, err
}

// SetItem records an item as it is now and gives the batch's new count of
// changes. With expect of 0 or more it does so only when nothing has changed
// since that count, else the error wraps ErrStale.
func (j *Journal) SetItem(ctx context.Context, i Item, expect int64) (int64, error) {
	var change int64
	err := j.writeRun(ctx, ItemLock(i.Batch, i.Key), "item "+string(i.State), func(tx *tx) error {
		var err error
		if change, err = bump(tx, i.Batch, expect); err != nil {
			return err
		}
		return putItem(tx, i, change)
	})
	return change, err
}

// putItem leaves the wish of an operator alone: it is set by Wish, and taken by TakeWish.
func putItem(tx *tx, i Item, change int64) error {
	_, err := tx.Exec(itemInsert+` ON CONFLICT (batch, key) DO UPDATE SET seq=excluded.seq, change=excluded.change, system=excluded.system,
		run=excluded.run, state=excluded.state, attempts=excluded.attempts, not_before=excluded.not_before, destination_id=excluded.destination_id,
		disks=excluded.disks, bytes=excluded.bytes, started=excluded.started, ended=excluded.ended, updated=excluded.updated, error=excluded.error`,
		i.values(change, tx.j.stamp())...)
	return err
}

// Wish records what an operator asks of an item; empty when it is done.
func (j *Journal) Wish(ctx context.Context, batch, key, wish string) error {
	return j.write(ctx, "wish "+wish, func(tx *tx) error {
		change, err := bump(tx, batch, -1)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE item SET wish=?, change=? WHERE batch=? AND key=?`, wish, change, batch, key)
		return err
	})
}

// Pause records whether more of a batch may be begun.
func (j *Journal) Pause(ctx context.Context, batch string, paused bool) error {
	return j.write(ctx, "pause", func(tx *tx) error {
		if _, err := bump(tx, batch, -1); err != nil {
			return err
		}
		n := 0
		if paused {
			n = 1
		}
		_, err := tx.Exec(`UPDATE batch SET paused=? WHERE id=?`, n, batch)
		return err
	})
}

// Document reads the runbook of a batch; ErrNoBatch when there is none.
func (j *Journal) Document(ctx context.Context, id string) (json.RawMessage, error) {
	var document []byte
	err := j.queryRow(ctx, `SELECT document FROM batch WHERE id=?`, id).Scan(&document)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: %s", ErrNoBatch, id)
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return document, nil
}

// Batch reads a batch without its Document; ErrNoBatch when there is none.
func (j *Journal) Batch(ctx context.Context, id string) (*Batch, error) {
	all, err := j.batches(ctx, `WHERE id=?`, id)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: %s", ErrNoBatch, id)
	}
	if err != nil {
		return nil, err
	}
	return &all[0], nil
}

// Batches lists them without their Documents, oldest first.
func (j *Journal) Batches(ctx context.Context) ([]Batch, error) { return j.batches(ctx, ``) }

func (j *Journal) batches(ctx context.Context, where string, args ...any) ([]Batch, error) {
	rows, err := j.query(ctx, `SELECT id, name, created, updated, submitted, paused, change FROM batch `+where+` ORDER BY created`, args...)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer rows.Close()
	var out []Batch
	for rows.Next() {
		var (
			b                           Batch
			created, updated, submitted string
		)
		if err := rows.Scan(&b.ID, &b.Name, &created, &updated, &submitted, &b.Paused, &b.Change); err != nil {
			return nil, err
		}
		b.Created, b.Updated, b.Submitted = moment(created), moment(updated), moment(submitted)
		out = append(out, b)
	}
	return out, rows.Err()
}

// Items lists the items of a batch that changed after a count of changes, -1
// for all, in the order of the runbook.
func (j *Journal) Items(ctx context.Context, batch string, after int64) ([]Item, error) {
	rows, err := j.query(ctx, `SELECT `+itemColumns+` FROM item WHERE batch=? AND change>? ORDER BY seq, key`, batch, after)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer rows.Close()
	var out []Item
	for rows.Next() {
		var (
			i                                  Item
			notBefore, started, ended, updated string
			cause                              []byte
		)
		if err := rows.Scan(&i.Batch, &i.Key, &i.Seq, &i.Change, &i.System, &i.Name, &i.Wave, &i.Source, &i.Destination, &i.Run, &i.State, &i.Wish,
			&i.Attempts, &notBefore, &i.DestinationID, &i.Disks, &i.Bytes, &started, &ended, &updated, &cause); err != nil {
			return nil, err
		}
		i.NotBefore, i.Started, i.Ended, i.Updated, i.Error = moment(notBefore), moment(started), moment(ended), moment(updated), cause
		out = append(out, i)
	}
	return out, rows.Err()
}

// Counts tells of each batch how many of its items are in each state, those
// included that its runbook named before and does not any more.
func (j *Journal) Counts(ctx context.Context) (map[string]map[State]int, error) {
	rows, err := j.query(ctx, `SELECT batch, state, count(*) FROM item GROUP BY batch, state`)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer rows.Close()
	out := map[string]map[State]int{}
	for rows.Next() {
		var (
			batch string
			state State
			n     int
		)
		if err := rows.Scan(&batch, &state, &n); err != nil {
			return nil, err
		}
		if out[batch] == nil {
			out[batch] = map[State]int{}
		}
		out[batch][state] = n
	}
	return out, rows.Err()
}

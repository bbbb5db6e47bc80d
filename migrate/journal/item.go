package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

// Item is one entry of a runbook. Batch names the runbook, Key the entry: both
// stay the same when the runbook is run again.
type Item struct {
	Batch, Key    string
	Seq           int
	System        string
	Run           string // id of its latest run; empty before the first
	State         State
	DestinationID string
	Error         json.RawMessage
}

// SetItem records an item as it is now.
func (j *Journal) SetItem(ctx context.Context, i Item) error {
	return j.write(ctx, "item", func(tx *sql.Tx) error { return putItem(tx, i) })
}

func putItem(tx *sql.Tx, i Item) error {
	_, err := tx.Exec(`INSERT INTO item (batch, key, seq, system, run, state, destination_id, error, updated) VALUES (?,?,?,?,?,?,?,?,?)
		ON CONFLICT (batch, key) DO UPDATE SET seq=excluded.seq, system=excluded.system, run=excluded.run, state=excluded.state,
		destination_id=excluded.destination_id, error=excluded.error, updated=excluded.updated`,
		i.Batch, i.Key, i.Seq, i.System, i.Run, i.State, i.DestinationID, blob(i.Error), stamp())
	return err
}

// Items lists the items of a batch in the order of the runbook.
func (j *Journal) Items(ctx context.Context, batch string) ([]Item, error) {
	rows, err := j.db.QueryContext(ctx, `SELECT batch, key, seq, system, run, state, destination_id, error FROM item WHERE batch=? ORDER BY seq, key`, batch)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer rows.Close()
	var out []Item
	for rows.Next() {
		var (
			i     Item
			cause []byte
		)
		if err := rows.Scan(&i.Batch, &i.Key, &i.Seq, &i.System, &i.Run, &i.State, &i.DestinationID, &cause); err != nil {
			return nil, err
		}
		i.Error = cause
		out = append(out, i)
	}
	return out, rows.Err()
}

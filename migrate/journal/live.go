package journal

import (
	"context"
	"database/sql"
	"errors"
)

// liveSchema: what a worker shows of a run to whoever looks on elsewhere.
const liveSchema = `
CREATE TABLE IF NOT EXISTS live (run TEXT PRIMARY KEY REFERENCES run(id) ON DELETE CASCADE, shown BYTEA NOT NULL);
`

// Show keeps, in a shared journal, what people see of a run while it moves; nil
// removes it. It is for people alone: it waits for no database that does not
// answer, and whoever lost the run writes in vain or is written over.
func (j *Journal) Show(ctx context.Context, run string, shown []byte) error {
	if j.shared == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, j.shared.opts.Heartbeat)
	defer cancel()
	if shown == nil {
		_, err := j.db.ExecContext(ctx, `DELETE FROM live WHERE run=$1`, run)
		return err
	}
	_, err := j.db.ExecContext(ctx, `INSERT INTO live (run, shown) VALUES ($1, $2) ON CONFLICT (run) DO UPDATE SET shown=excluded.shown`, run, shown)
	return err
}

// Shown is what Show kept last; nil for nothing.
func (j *Journal) Shown(ctx context.Context, run string) (shown []byte, err error) {
	if j.shared == nil {
		return nil, nil
	}
	err = j.db.QueryRowContext(ctx, `SELECT shown FROM live WHERE run=$1`, run).Scan(&shown)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return shown, err
}

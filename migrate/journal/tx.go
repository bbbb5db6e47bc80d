package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// tx is a transaction in the dialect of its database.
type tx struct {
	t *sql.Tx
	j *Journal
}

func (t *tx) Exec(query string, args ...any) (sql.Result, error) {
	return t.t.Exec(t.j.dialect(query), args...)
}

func (t *tx) QueryRow(query string, args ...any) *sql.Row {
	return t.t.QueryRow(t.j.dialect(query), args...)
}

// dialect writes parameters as the database wants them: ? or $1, $2, …
func (j *Journal) dialect(query string) string {
	if j.shared == nil {
		return query
	}
	var out strings.Builder
	n := 0
	for _, c := range query {
		if c == '?' {
			n++
			out.WriteString("$" + strconv.Itoa(n))
			continue
		}
		out.WriteRune(c)
	}
	return out.String()
}

func (j *Journal) query(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	err = j.patiently(ctx, func() error {
		rows, err = j.db.QueryContext(ctx, j.dialect(query), args...) //nolint:sqlclosecheck // the caller closes it
		return err
	})
	return rows, err
}

// row is one row, or why there is none.
type row struct {
	scan func(...any) error
}

func (r row) Scan(into ...any) error { return r.scan(into...) }

func (j *Journal) queryRow(ctx context.Context, query string, args ...any) row {
	return row{func(into ...any) error {
		return j.patiently(ctx, func() error { return j.db.QueryRowContext(ctx, j.dialect(query), args...).Scan(into...) })
	}}
}

// write runs one transaction.
func (j *Journal) write(ctx context.Context, what string, f func(*tx) error) error {
	return j.writeRun(ctx, "", what, f)
}

// writeRun runs one transaction about what the lock of that name guards: it
// fails with ErrLost when somebody else has that lock now.
func (j *Journal) writeRun(ctx context.Context, lock, what string, f func(*tx) error) error {
	// What has happened must be recorded even when the caller is being
	// interrupted: a cancelled context does not stop a journal write.
	ctx = context.WithoutCancel(ctx)
	err := j.patiently(ctx, func() error {
		t, err := j.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		in := &tx{t, j}
		if err = j.fence(in, lock); err == nil {
			err = f(in)
		}
		if err != nil {
			t.Rollback()
			return err
		}
		return t.Commit()
	})
	if errors.Is(err, ErrNoRun) || errors.Is(err, ErrLost) || errors.Is(err, ErrStale) {
		return err
	}
	if err != nil {
		return fmt.Errorf("journal: %s: %w", what, j.full(err))
	}
	if j.afterWrite != nil {
		j.afterWrite(what)
	}
	return nil
}

package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// SharedOptions of OpenShared. Zero values are the defaults named.
type SharedOptions struct {
	// Dir is where this machine keeps what is its own.
	Dir string
	// Heartbeat is how often leases must be renewed; default 5 s. One that was
	// not renewed for one and a half is free.
	Heartbeat time.Duration
	// Patience is how long a database that does not answer is waited for;
	// default 30 minutes.
	Patience time.Duration
	// Clock is this machine's, of which only how fast it runs matters; nil is
	// time.Now.
	Clock func() time.Time
}

// OpenShared opens a journal that many machines share, in PostgreSQL. Its
// tables are made, in the schema that the URL's search_path names first, when
// absent. Locks are leases in a table, renewed by a heartbeat and judged by the
// database's clock alone.
func OpenShared(ctx context.Context, url string, o SharedOptions) (*Journal, error) {
	if o.Heartbeat <= 0 {
		o.Heartbeat = 5 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = 30 * time.Minute
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("queue: not the URL of a PostgreSQL database") // the library's error shows the password
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		// A worker that is suspended, or cut off, in the middle of a transaction
		// holds its rows no longer than a lease: others wait for them.
		_, err := c.Exec(ctx, fmt.Sprintf("SET idle_in_transaction_session_timeout = %d", max(2*o.Heartbeat, time.Second).Milliseconds()))
		return err
	}))
	db.SetMaxOpenConns(8)
	j := &Journal{db: db, dir: o.Dir, shared: &shared{owner: uuid.NewString(), opts: o, held: map[string]*Lock{}}}
	if err := j.prepareShared(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("queue %s: %w", config.Host, err)
	}
	j.shared.j = j
	if j.shared.clock.read = o.Clock; o.Clock == nil {
		j.shared.clock.read = time.Now
	}
	if err := j.shared.clock.set(ctx, j); err != nil {
		db.Close()
		return nil, fmt.Errorf("queue %s: %w", config.Host, err)
	}
	j.shared.start()
	return j, nil
}

const leaseSchema = `
CREATE TABLE IF NOT EXISTS lease (
  name TEXT PRIMARY KEY, owner TEXT NOT NULL, fence BIGINT NOT NULL, expires TIMESTAMPTZ NOT NULL
);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value BYTEA NOT NULL);
`

// schemaLock keeps two workers that start at once from making the tables twice.
const schemaLock = 0x63696d696d6f7665

func (j *Journal) prepareShared(ctx context.Context) error {
	t, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback()
	if _, err := t.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(schemaLock)); err != nil {
		return err
	}
	tables := strings.NewReplacer("WITHOUT ROWID", "", "BLOB", "BYTEA", "INTEGER", "BIGINT").Replace(schema + batchSchema)
	if _, err := t.ExecContext(ctx, tables+leaseSchema+shareSchema+liveSchema); err != nil {
		return err
	}
	return t.Commit()
}

// patiently does f again while a shared database does not answer. What f does
// must bear being done twice, as the answer to it may be what was lost.
func (j *Journal) patiently(ctx context.Context, f func() error) error {
	err := f()
	if j.shared == nil || !unreachable(err) {
		return err
	}
	slog.Warn("queue: the database does not answer; waiting for it", "error", err)
	wait := backoff.NewExponentialBackOff()
	wait.MaxInterval = 5 * time.Second
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		err := f()
		if err != nil && !unreachable(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(j.shared.opts.Patience))
	return err
}

// unreachable tells errors of the connection, and of a database that starts or
// stops, from those of a statement.
func unreachable(err error) bool {
	var (
		server  *pgconn.PgError
		connect *pgconn.ConnectError
		network net.Error
	)
	switch {
	case err == nil:
		return false
	case errors.As(err, &server):
		// 57P01 to 57P03: stopped by an administrator or a crash, or starting.
		// 08: connection. 40: a transaction that lost against another. 25P03: one
		// that was idle for too long, as this process did not run.
		return server.Code == "25P03" || strings.HasPrefix(server.Code, "57P") || strings.HasPrefix(server.Code, "08") || strings.HasPrefix(server.Code, "40") || server.Code == "53300"
	case errors.As(err, &connect), errors.As(err, &network), pgconn.SafeToRetry(err), errors.Is(err, sql.ErrConnDone):
		return true
	}
	text := err.Error()
	return strings.Contains(text, "unexpected EOF") || strings.Contains(text, "conn closed") || strings.Contains(text, "broken pipe") || strings.Contains(text, "driver: bad connection")
}

// Setting reads a value that all machines share; make gives it when there is
// none yet.
func (j *Journal) Setting(ctx context.Context, name string, make func() []byte) ([]byte, error) {
	if j.shared == nil {
		return nil, errors.ErrUnsupported
	}
	var value []byte
	err := j.write(ctx, "setting "+name, func(tx *tx) error {
		if _, err := tx.Exec(`INSERT INTO setting (name, value) VALUES (?,?) ON CONFLICT (name) DO NOTHING`, name, make()); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT value FROM setting WHERE name=?`, name).Scan(&value)
	})
	return value, err
}

// Shared tells whether other machines work on the same journal.
func (j *Journal) Shared() bool { return j.shared != nil }

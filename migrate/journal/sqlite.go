package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver named sqlite
)

// Open opens the journal in dir, which is made, for its owner only, when absent.
func Open(ctx context.Context, dir string) (*Journal, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, "locks"), 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", j.full(err))
	}
	file := filepath.Join(dir, "journal.db")
	// For its owner only before anything is in it: what SQLite puts beside it is
	// for those whom the file is for, and the folder may be open to others.
	own, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = errors.Join(own.Chmod(0o600), own.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", j.full(err))
	}
	// A busy timeout lets several processes write their runs in turn.
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath()}).String() +
		"?_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	// One connection for writers and readers of this process: SQLite has one
	// writer anyway, and memory stays small.
	db.SetMaxOpenConns(1)
	j.db = db
	if err := j.prepare(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("%s: %w", file, j.full(err))
	}
	return j, nil
}

func (j *Journal) prepare(ctx context.Context) error {
	var version int
	if err := j.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version > schemaVersion:
		return fmt.Errorf("journal is of version %d, this program knows %d: use the newer program", version, schemaVersion)
	case version == schemaVersion:
		return nil
	}
	_, err := j.db.ExecContext(ctx, schema+batchSchema+fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion))
	return err
}

// Dir is the state directory.
func (j *Journal) Dir() string { return j.dir }

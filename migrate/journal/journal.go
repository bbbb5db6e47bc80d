// Package journal keeps what migrations intend and have done, so that a run
// can be resumed, undone or reported by a later process.
//
// # Crash model
//
// The journal is one SQLite database in a state directory on a local file
// system, in WAL mode with synchronous=FULL. It assumes that a write that
// fsync acknowledged survives the death of the process and the loss of power,
// that the file system does not reorder past an fsync, and that file locks
// end with the process. It assumes nothing about when the process dies: every
// method that writes is one transaction, so after any kill -9 a record is there
// wholly or not at all, and what was recorded last is the newest that can be
// read. A step is recorded before it is taken (Begin) and after it is done
// (End); a crash between the two leaves a step that is begun and not ended,
// which means that it may or may not have taken effect: whoever resumes must
// find out from the clouds, with the notes the step left. Block digests
// (Blocks) are recorded in batches; a crash loses at most the last batch, whose
// blocks are then read again.
//
// One process works on a run at a time: Lock holds a lock of the operating
// system on a file beside the database, which ends with the process, so there
// is no lease to wait for. Readers need no lock and see the run while it writes.
//
// The journal holds no secrets: callers pass none, and credentials are asked
// for again when a run is resumed.
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

var (
	// ErrNoRun: the journal has no run of that id.
	ErrNoRun = errors.New("no such run")
	// ErrLocked: another process works on it.
	ErrLocked = errors.New("another process is working on it")
)

// Journal is an open journal. Methods may be called concurrently.
type Journal struct {
	db  *sql.DB
	dir string
	// afterWrite is called after each transaction; tests end the process there.
	afterWrite func(what string)
}

// DefaultDir is where the journal lives when nothing else is said:
// $XDG_STATE_HOME/cimimove, else ~/.local/state/cimimove.
func DefaultDir() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "cimimove"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("state directory: %w; name one with --state-dir", err)
	}
	return filepath.Join(home, ".local", "state", "cimimove"), nil
}

const schema = `
CREATE TABLE IF NOT EXISTS run (
  id TEXT PRIMARY KEY, created TEXT NOT NULL, updated TEXT NOT NULL,
  state TEXT NOT NULL, system TEXT NOT NULL, source TEXT NOT NULL, destination TEXT NOT NULL,
  via TEXT NOT NULL DEFAULT '', plan BLOB, report BLOB, error BLOB,
  done INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS step (
  run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE,
  seq INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
  started TEXT NOT NULL, ended TEXT, notes BLOB, undo BLOB,
  PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocks (
  run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE,
  disk TEXT NOT NULL, seq INTEGER NOT NULL, upto INTEGER NOT NULL, sums BLOB NOT NULL,
  PRIMARY KEY (run, disk, seq)
) WITHOUT ROWID;
`

// schemaVersion is raised when the tables change in a way that older programs
// cannot read.
const schemaVersion = 1

// Open opens the journal in dir, which is made, for its owner only, when absent.
func Open(ctx context.Context, dir string) (*Journal, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "locks"), 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	file := filepath.Join(dir, "journal.db")
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
	j := &Journal{db: db, dir: dir}
	if err := j.prepare(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		db.Close()
		return nil, err
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

// AfterWrite sets a function to be called after each transaction with the name
// of what was written, for tests of the crash model.
func (j *Journal) AfterWrite(f func(what string)) { j.afterWrite = f }

// Close releases the database.
func (j *Journal) Close() error { return j.db.Close() }

// write runs one transaction.
func (j *Journal) write(ctx context.Context, what string, f func(*sql.Tx) error) error {
	// What has happened must be recorded even when the caller is being
	// interrupted: a cancelled context does not stop a journal write.
	ctx = context.WithoutCancel(ctx)
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("journal: %s: %w", what, err)
	}
	if err := f(tx); err != nil {
		tx.Rollback()
		if errors.Is(err, ErrNoRun) {
			return err
		}
		return fmt.Errorf("journal: %s: %w", what, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("journal: %s: %w", what, err)
	}
	if j.afterWrite != nil {
		j.afterWrite(what)
	}
	return nil
}

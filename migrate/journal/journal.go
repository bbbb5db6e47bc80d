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
// Where many machines work together the same tables stand in a PostgreSQL
// database (OpenShared), with the same promises. There the locks are leases in a
// table, renewed by a heartbeat; one that was not renewed for one and a half can be
// taken by another worker. Every write about a run is fenced: it fails with
// ErrLost, in the same transaction, when the lease has been taken, so a worker
// that was suspended or cut off cannot record, and so cannot begin, a step of a
// run that another has taken over. Expiry is judged by the database's clock,
// by which every time is written too (Now).
// A database that stops and comes back is waited for.
//
// The journal holds no secrets: callers pass none, and credentials are asked
// for again when a run is resumed.
package journal

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	// shared is what a database of many machines needs besides; nil for SQLite.
	shared *shared
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

// AfterWrite sets a function to be called after each transaction with the name
// of what was written, for tests of the crash model.
func (j *Journal) AfterWrite(f func(what string)) { j.afterWrite = f }

// Close releases the database, and every lock that is still held.
func (j *Journal) Close() error {
	if j.shared != nil {
		j.shared.close()
	}
	return j.db.Close()
}

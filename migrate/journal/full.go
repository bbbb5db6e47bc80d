package journal

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
)

// FullError: there is no room for the journal. What it holds is whole, and
// nothing of a run is lost: it goes on when there is room. It is
// syscall.ENOSPC to errors.Is.
type FullError struct {
	Dir string // the state directory
	Err error
}

func (e *FullError) Error() string {
	return fmt.Sprintf("state directory %s: no space left for the journal: %v", e.Dir, e.Err)
}

func (e *FullError) Unwrap() error        { return e.Err }
func (e *FullError) Is(target error) bool { return target == syscall.ENOSPC }

// Hint is what to do.
func (e *FullError) Hint() string {
	return "make room in " + e.Dir + "; nothing is lost, and cimimove resume goes on with what was begun"
}

// Primary result codes of SQLite.
const (
	sqliteIOErr = 10
	sqliteFull  = 13
)

// full tells errors for want of room from others: SQLite says so itself, or
// that a file could not be written, extended or mapped where nothing is left.
func (j *Journal) full(err error) error {
	var (
		already *FullError
		db      *sqlite.Error
	)
	if err == nil || errors.As(err, &already) {
		return err
	}
	noRoom := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if errors.As(err, &db) {
		code := db.Code() & 0xff
		noRoom = code == sqliteFull || code == sqliteIOErr && exhausted(j.dir)
	}
	if !noRoom {
		return err
	}
	return &FullError{Dir: j.dir, Err: err}
}

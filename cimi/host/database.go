package host

import (
	"errors"
	"fmt"
	"syscall"
)

// Result codes of SQLite that say that a file cannot grow. The second is of the
// index of its journal, for which the database itself may still have had room.
const (
	sqliteFull    = 13
	sqliteShmSize = 10 | 19<<8
)

// databaseFull: the file system of a database has no room.
type databaseFull struct {
	name string
	err  error
}

func (e *databaseFull) Error() string { return fmt.Sprintf("%s: no space left: %v", e.name, e.err) }
func (e *databaseFull) Unwrap() error { return e.err }

func (e *databaseFull) Is(target error) bool {
	return target == ErrNoSpace || target == syscall.ENOSPC
}

// DatabaseFull makes an error of SQLite for want of room an ErrNoSpace, as that of
// any other file is one.
func DatabaseFull(name string, err error) error {
	var code interface{ Code() int }
	if err == nil || errors.Is(err, ErrNoSpace) || !errors.As(err, &code) {
		return err
	}
	if c := code.Code(); c&0xff == sqliteFull || c == sqliteShmSize {
		return &databaseFull{name, err}
	}
	return err
}

// DatabaseError names the database that an error is about.
func DatabaseError(name string, err error) error {
	if err = DatabaseFull(name, err); err == nil || errors.Is(err, ErrNoSpace) {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

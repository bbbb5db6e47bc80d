package provider

import (
	"context"
	"database/sql"
	"errors"

	"github.com/cimimove/cimimove/cimi/host"
)

// maxTogether is how many changes are committed at once at most.
const maxTogether = 128

// write is one change of the store on its way.
type write struct {
	do  func(*sql.Tx) error
	err chan error
}

var errStoreClosed = errors.New("the provider is closed")

// change runs do in a transaction and waits until it is durable. Changes that
// come together are committed together: a disk syncs a few hundred times a
// second, however much each sync holds. do must use nothing but its transaction.
func (s *store) change(do func(*sql.Tx) error) error {
	w := &write{do: do, err: make(chan error, 1)}
	select {
	case s.writes <- w:
		return <-w.err
	case <-s.quit:
		return errStoreClosed
	}
}

func (s *store) writeAll() {
	defer close(s.closed)
	for {
		var batch []*write
		select {
		case w := <-s.writes:
			batch = append(batch, w)
		case <-s.quit:
			return
		}
	more:
		for len(batch) < maxTogether {
			select {
			case w := <-s.writes:
				batch = append(batch, w)
			default:
				break more
			}
		}
		s.commit(batch)
	}
}

// commit makes changes durable in one transaction; one that fails takes
// nothing with it.
func (s *store) commit(batch []*write) {
	failed := make([]error, len(batch))
	err := func() error {
		tx, err := s.db.BeginTx(context.Background(), nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // nothing after a commit
		for i, w := range batch {
			if _, err := tx.Exec("SAVEPOINT one"); err != nil {
				return err
			}
			if failed[i] = w.do(tx); failed[i] != nil {
				if _, err := tx.Exec("ROLLBACK TO one"); err != nil {
					return err
				}
			}
			if _, err := tx.Exec("RELEASE one"); err != nil {
				return err
			}
		}
		return tx.Commit()
	}()
	for i, w := range batch {
		if failed[i] == nil {
			failed[i] = err
		}
		w.err <- host.DatabaseFull("the cloud's database", failed[i])
	}
}

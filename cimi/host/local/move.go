package local

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/cimimove/cimimove/cimi/host"
)

// Move changes two Systems in one step; see host.Mover. The files of disks stay
// where they are.
func (h *Host) Move(ctx context.Context, from, to string, change func(from, to *host.System) error) error {
	if from == to {
		return fmt.Errorf("system %s: moved into itself: %w", from, host.ErrUnsupported)
	}
	h.write.Lock()
	defer h.write.Unlock()
	err := transact(ctx, h.db, func(tx *sql.Tx) error {
		a, err := txRecord(ctx, tx, from)
		if err != nil {
			return err
		}
		b, err := txRecord(ctx, tx, to)
		if err != nil {
			return err
		}
		before := paths(a, b)
		dates := host.DatesOf(a, b)
		if err := change(a, b); err != nil {
			return err
		}
		after := paths(a, b)
		for p := range before {
			if !after[p] {
				return fmt.Errorf("a disk was lost on the way from system %s to %s: %w", from, to, host.ErrUnsupported)
			}
		}
		if len(after) != len(before) {
			return fmt.Errorf("a disk was added on the way from system %s to %s: %w", from, to, host.ErrUnsupported)
		}
		b.Updated = time.Now().UTC()
		a.Updated = b.Updated
		dates.Keep(a, a.Updated)
		dates.Keep(b, b.Updated)
		for d := range b.AllDisks() {
			if _, err := tx.ExecContext(ctx, "UPDATE disks SET system = ? WHERE id = ?", to, d.ID); err != nil {
				return err
			}
		}
		for d := range a.AllDisks() {
			if _, err := tx.ExecContext(ctx, "UPDATE disks SET system = ? WHERE id = ?", from, d.ID); err != nil {
				return err
			}
		}
		if err := putRecord(ctx, tx, b); err != nil {
			return err
		}
		if a.Holder != "" && a.Empty() {
			_, err := tx.ExecContext(ctx, "DELETE FROM systems WHERE id = ?", from)
			return err
		}
		return putRecord(ctx, tx, a)
	})
	if err != nil {
		return err
	}
	h.changed(from, to)
	return nil
}

// paths are the files of the disks of Systems.
func paths(systems ...*host.System) map[string]bool {
	out := map[string]bool{}
	for _, s := range systems {
		for d := range s.AllDisks() {
			out[diskPath(d)] = true
		}
	}
	return out
}

package local

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/cimimove/cimimove/cimi/host"
)

// schema: systems hold their record as JSON, the kept descriptor, manifest and
// certificate beside it; objects lead from the id of a part to its System;
// unowned lists files that are being made or removed.
const schema = `
CREATE TABLE IF NOT EXISTS systems (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	record BLOB NOT NULL,
	descriptor BLOB,
	manifest BLOB,
	certificate BLOB
);
CREATE TABLE IF NOT EXISTS disks (
	id TEXT PRIMARY KEY,
	system TEXT NOT NULL REFERENCES systems(id) ON DELETE CASCADE,
	size INTEGER NOT NULL,
	changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS disks_system ON disks(system);
CREATE TABLE IF NOT EXISTS unowned (path TEXT PRIMARY KEY) WITHOUT ROWID;
PRAGMA user_version = 1;`

// openStore opens the database. Every commit is synced: what the store says is
// promised to have happened.
func openStore(ctx context.Context, path string) (*sql.DB, error) {
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}.Encode()}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(8)
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		db.Close()
		return nil, host.DatabaseError("state.db", err)
	}
	if version > 1 {
		db.Close()
		return nil, fmt.Errorf("state.db has layout %d, this program knows 1: use a newer one", version)
	}
	if version == 0 {
		if _, err := db.ExecContext(ctx, schema); err != nil {
			db.Close()
			return nil, host.DatabaseError("state.db", err)
		}
	}
	if _, err := db.ExecContext(ctx, arrivalsSchema); err != nil {
		db.Close()
		return nil, host.DatabaseError("state.db", err)
	}
	return db, nil
}

// transact runs f in one transaction, which is synced when it is committed.
func transact(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return full(err)
	}
	if err := f(tx); err != nil {
		tx.Rollback() // the error before it is the one that counts
		return full(err)
	}
	return full(tx.Commit())
}

// full makes a full file system under the database an ErrNoSpace.
func full(err error) error { return host.DatabaseFull("state.db", err) }

func unowned(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT path FROM unowned WHERE path NOT IN (SELECT path FROM arrivals)")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var p string
		if err := rows.Scan(&p); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

func disown(ctx context.Context, tx *sql.Tx, paths []string) error {
	for _, p := range paths {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO unowned(path) VALUES (?)", p); err != nil {
			return err
		}
	}
	return nil
}

func own(ctx context.Context, tx *sql.Tx, paths []string) error {
	for _, p := range paths {
		if _, err := tx.ExecContext(ctx, "DELETE FROM unowned WHERE path = ?", p); err != nil {
			return err
		}
	}
	return nil
}

func forgetUnowned(ctx context.Context, db *sql.DB, paths []string) error {
	return transact(ctx, db, func(tx *sql.Tx) error { return own(ctx, tx, paths) })
}

// stamp is what a disk's file looked like when it was last known to be sound.
type stamp struct {
	Size    int64 // bytes
	Changed int64 // modification time, nanoseconds since 1970
}

// kept is what the store holds of a System beside its record.
type kept struct {
	manifest, certificate []byte
}

func insertSystem(ctx context.Context, tx *sql.Tx, s *host.System, k kept, stamps map[string]stamp) error {
	record, err := encodeRecord(s)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO systems(id, record, descriptor, manifest, certificate) VALUES (?,?,?,?,?)",
		s.ID, record, s.Descriptor, k.manifest, k.certificate); err != nil {
		return err
	}
	return insertStamps(ctx, tx, s.ID, stamps)
}

func insertStamps(ctx context.Context, tx *sql.Tx, system string, stamps map[string]stamp) error {
	for id, st := range stamps {
		if _, err := tx.ExecContext(ctx, `INSERT INTO disks(id, system, size, changed) VALUES (?,?,?,?)
			ON CONFLICT(id) DO UPDATE SET size = excluded.size, changed = excluded.changed`, id, system, st.Size, st.Changed); err != nil {
			return err
		}
	}
	return nil
}

// txRecord reads a record within a transaction.
func txRecord(ctx context.Context, tx *sql.Tx, id string) (*host.System, error) {
	var record []byte
	err := tx.QueryRowContext(ctx, "SELECT record FROM systems WHERE id = ?", id).Scan(&record)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("system %s: %w", id, host.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return decodeRecord(id, record)
}

func putRecord(ctx context.Context, tx *sql.Tx, s *host.System) error {
	record, err := encodeRecord(s)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE systems SET record = ? WHERE id = ?", record, s.ID)
	return err
}

// record reads a System without its descriptor.
func (h *Host) record(ctx context.Context, id string) (*host.System, error) {
	var record []byte
	err := h.db.QueryRowContext(ctx, "SELECT record FROM systems WHERE id = ?", id).Scan(&record)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("system %s: %w", id, host.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return decodeRecord(id, record)
}

func decodeRecord(id string, record []byte) (*host.System, error) {
	s := new(host.System)
	if err := json.Unmarshal(record, s); err != nil {
		return nil, fmt.Errorf("system %s: its record: %w", id, err)
	}
	return s, nil
}

// encodeRecord leaves the descriptor out: it stands in a column of its own.
func encodeRecord(s *host.System) ([]byte, error) {
	c := *s
	c.Descriptor = nil
	return json.Marshal(&c)
}

// Systems lists the Systems in the order they came. Descriptors are left out;
// System reads them.
func (h *Host) Systems(ctx context.Context) iter.Seq2[*host.System, error] {
	return func(yield func(*host.System, error) bool) {
		rows, err := h.db.QueryContext(ctx, "SELECT record FROM systems ORDER BY seq")
		if err != nil {
			yield(nil, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var record []byte
			s := new(host.System)
			err := rows.Scan(&record)
			if err == nil {
				err = json.Unmarshal(record, s)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(s, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// System reads one System, its descriptor included.
func (h *Host) System(ctx context.Context, id string) (*host.System, error) {
	s, _, err := h.system(ctx, id)
	return s, err
}

func (h *Host) system(ctx context.Context, id string) (*host.System, kept, error) {
	var record, descriptor []byte
	var k kept
	err := h.db.QueryRowContext(ctx, "SELECT record, descriptor, manifest, certificate FROM systems WHERE id = ?", id).
		Scan(&record, &descriptor, &k.manifest, &k.certificate)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, k, fmt.Errorf("system %s: %w", id, host.ErrNotFound)
	}
	if err != nil {
		return nil, k, err
	}
	s, err := decodeRecord(id, record)
	if err != nil {
		return nil, k, err
	}
	s.Descriptor = descriptor
	return s, k, nil
}

// Update stores what a consumer may write of a System; everything else must
// be as it is here, else the error wraps host.ErrUnsupported.
func (h *Host) Update(ctx context.Context, s *host.System) error {
	h.write.Lock()
	defer h.write.Unlock()
	old, _, err := h.system(ctx, s.ID)
	if err != nil {
		return err
	}
	next, err := host.ApplyUpdate(old, s)
	if err != nil {
		return err
	}
	next.Updated = time.Now().UTC()
	record, err := encodeRecord(next)
	if err != nil {
		return err
	}
	if _, err := h.db.ExecContext(ctx, "UPDATE systems SET record = ? WHERE id = ?", record, s.ID); err != nil {
		return err
	}
	h.changed(s.ID)
	return nil
}

// Delete removes a System and its files. Exports that are open keep their
// files until they are closed.
func (h *Host) Delete(ctx context.Context, id string) error {
	h.write.Lock()
	defer h.write.Unlock()
	s, _, err := h.system(ctx, id)
	if err != nil {
		return err
	}
	paths := []string{filesPath(id)}
	for d := range s.AllDisks() {
		paths = append(paths, diskPath(d))
	}
	if err := transact(ctx, h.db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM systems WHERE id = ?", id); err != nil {
			return err
		}
		return disown(ctx, tx, paths)
	}); err != nil {
		return err
	}
	h.changed(id)
	// It is gone by now; that a file resists is made good at the next Open.
	return h.removeUnowned(context.WithoutCancel(ctx), paths...)
}

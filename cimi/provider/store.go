package provider

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/cimimove/cimimove/cimi"
)

// schema: resources are those that the host has no place for, as JSON, with
// write-only values apart; overlays add properties to what the host holds.
const schema = `
CREATE TABLE IF NOT EXISTS resources (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	collection TEXT NOT NULL,
	type TEXT NOT NULL,
	body BLOB NOT NULL,
	secret BLOB
);
CREATE INDEX IF NOT EXISTS resources_collection ON resources(collection, seq);
CREATE TABLE IF NOT EXISTS overlays (id TEXT PRIMARY KEY, properties BLOB NOT NULL, updated INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS exports (
	id TEXT PRIMARY KEY,
	system TEXT NOT NULL,
	state BLOB NOT NULL,
	used INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;`

type store struct{ db *sql.DB }

func openStore(ctx context.Context, path string) (*store, error) {
	dsn := "file::memory:"
	query := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)"}}
	if path != "" {
		dsn = "file:" + (&url.URL{Path: path}).EscapedPath()
	}
	db, err := sql.Open("sqlite", dsn+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	if path == "" {
		db.SetMaxOpenConns(1) // each connection would have a memory of its own
	} else {
		db.SetMaxOpenConns(8)
	}
	var version int
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	if err == nil && version > 1 {
		err = fmt.Errorf("layout %d, this program knows 1: use a newer one", version)
	}
	if err == nil && version == 0 {
		_, err = db.ExecContext(ctx, schema)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return &store{db}, nil
}

func (s *store) close() error { return s.db.Close() }

// put stores a resource, new or changed.
func (s *store) put(ctx context.Context, collection string, r cimi.Resource) error {
	secret, err := json.Marshal(secretsOf(r))
	if err != nil {
		return err
	}
	shown := cimi.Clone(r)
	cimi.Public(shown)
	shown.Base().Operations = nil
	body, err := cimi.MarshalJSON(shown)
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `INSERT INTO resources(id, collection, type, body, secret) VALUES (?,?,?,?,?)
		ON CONFLICT(id) DO UPDATE SET body = excluded.body, secret = excluded.secret`, r.Base().ID, collection, r.TypeName(), body, secret)
	return err
}

// secrets are write-only attributes: kept, never shown.
type secrets struct {
	Password string `json:"password,omitempty"`
	Key      string `json:"key,omitempty"`
}

func secretsOf(r cimi.Resource) secrets {
	switch c := r.(type) {
	case *cimi.Credential:
		return secrets{c.Password, c.Key}
	case *cimi.CredentialTemplate:
		return secrets{c.Password, c.Key}
	}
	return secrets{}
}

func (x secrets) restore(r cimi.Resource) {
	switch c := r.(type) {
	case *cimi.Credential:
		c.Password, c.Key = x.Password, x.Key
	case *cimi.CredentialTemplate:
		c.Password, c.Key = x.Password, x.Key
	}
}

// get reads a resource with its secrets; nil when it is not there.
func (s *store) get(ctx context.Context, id string) (cimi.Resource, string, error) {
	var collection, typ string
	var body, secret []byte
	err := s.db.QueryRowContext(ctx, "SELECT collection, type, body, secret FROM resources WHERE id = ?", id).Scan(&collection, &typ, &body, &secret)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	r, err := cimi.DecodeJSONAs(body, typ)
	if err != nil {
		return nil, "", fmt.Errorf("stored %s: %w", id, err)
	}
	var x secrets
	if err := json.Unmarshal(secret, &x); err != nil {
		return nil, "", fmt.Errorf("stored %s: %w", id, err)
	}
	x.restore(r)
	return r, collection, nil
}

// list reads a collection without secrets, in the order of creation.
func (s *store) list(ctx context.Context, collection string) ([]cimi.Resource, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, type, body FROM resources WHERE collection = ? ORDER BY seq", collection)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []cimi.Resource
	for rows.Next() {
		var id, typ string
		var body []byte
		if err := rows.Scan(&id, &typ, &body); err != nil {
			return nil, err
		}
		r, err := cimi.DecodeJSONAs(body, typ)
		if err != nil {
			return nil, fmt.Errorf("stored %s: %w", id, err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// remove tells whether the resource was there.
func (s *store) remove(ctx context.Context, id string) (bool, error) {
	res, err := s.db.ExecContext(ctx, "DELETE FROM resources WHERE id = ?", id)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// overlay is what a consumer added to a resource of the host.
type overlay struct {
	properties map[string]string
	updated    time.Time
}

func (s *store) overlays(ctx context.Context) (map[string]overlay, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, properties, updated FROM overlays")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]overlay{}
	for rows.Next() {
		var id string
		var b []byte
		var updated int64
		if err := rows.Scan(&id, &b, &updated); err != nil {
			return nil, err
		}
		o := overlay{updated: time.Unix(0, updated).UTC()}
		if err := json.Unmarshal(b, &o.properties); err != nil {
			return nil, fmt.Errorf("stored properties of %s: %w", id, err)
		}
		out[id] = o
	}
	return out, rows.Err()
}

func (s *store) setOverlay(ctx context.Context, id string, properties map[string]string) error {
	if len(properties) == 0 {
		_, err := s.db.ExecContext(ctx, "DELETE FROM overlays WHERE id = ?", id)
		return err
	}
	b, err := json.Marshal(properties)
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, "INSERT OR REPLACE INTO overlays(id, properties, updated) VALUES (?,?,?)", id, b, time.Now().UnixNano())
	return err
}

func (s *store) removeOverlays(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if err := s.setOverlay(ctx, id, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) putJobs(ctx context.Context, js ...*cimi.Job) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, j := range js {
		b, err := cimi.MarshalJSON(j)
		if err == nil {
			_, err = tx.ExecContext(ctx, "INSERT INTO jobs(id, body) VALUES (?,?) ON CONFLICT(id) DO UPDATE SET body = excluded.body", j.ID, b)
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func (s *store) removeJobs(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if _, err := s.db.ExecContext(ctx, "DELETE FROM jobs WHERE id = ?", id); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) loadJobs(ctx context.Context) ([]*cimi.Job, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, body FROM jobs ORDER BY seq")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*cimi.Job
	for rows.Next() {
		var id string
		var b []byte
		if err := rows.Scan(&id, &b); err != nil {
			return nil, err
		}
		r, err := cimi.DecodeJSONAs(b, "Job")
		if err != nil {
			return nil, fmt.Errorf("stored %s: %w", id, err)
		}
		out = append(out, r.(*cimi.Job))
	}
	return out, rows.Err()
}

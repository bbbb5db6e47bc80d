package provider

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// schema: resources are those that the host has no place for, as JSON, with
// write-only values apart; refs lead from the href in a resource to it, so that
// a deleted one is forgotten everywhere (5.10.1); overlays add attributes to
// what the host holds; links are entries of collections that neither the host
// nor a parent tells; making are Systems of the host that a change has not
// finished yet.
const schema = `
CREATE TABLE IF NOT EXISTS resources (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	collection TEXT NOT NULL,
	parent TEXT NOT NULL DEFAULT '',
	type TEXT NOT NULL,
	body BLOB NOT NULL,
	secret BLOB
);
CREATE INDEX IF NOT EXISTS resources_collection ON resources(collection, seq);
CREATE INDEX IF NOT EXISTS resources_parent ON resources(parent);
CREATE TABLE IF NOT EXISTS refs (target TEXT, source TEXT, PRIMARY KEY (target, source)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refs_source ON refs(source);
CREATE TABLE IF NOT EXISTS attributes (id TEXT PRIMARY KEY, type TEXT NOT NULL, body BLOB NOT NULL, updated INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	collection TEXT NOT NULL,
	member TEXT NOT NULL,
	extra BLOB,
	UNIQUE (collection, member)
);
CREATE TABLE IF NOT EXISTS jobs (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	body BLOB NOT NULL,
	ended INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_ended ON jobs(ended);
CREATE TABLE IF NOT EXISTS events (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	log TEXT NOT NULL,
	at INTEGER NOT NULL,
	severity TEXT NOT NULL,
	body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS events_log ON events(log, seq);
CREATE TABLE IF NOT EXISTS samples (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	meter TEXT NOT NULL,
	at INTEGER NOT NULL,
	value TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS samples_meter ON samples(meter, seq);
CREATE TABLE IF NOT EXISTS making (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exports (
	id TEXT PRIMARY KEY,
	system TEXT NOT NULL,
	state BLOB NOT NULL,
	used INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 2;`

// upgrade1 brings a database of layout 1 to what schema takes.
const upgrade1 = `
ALTER TABLE resources ADD COLUMN parent TEXT NOT NULL DEFAULT '';
UPDATE resources SET parent = collection;
ALTER TABLE jobs ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET ended = strftime('%s', 'now') * 1000000000 WHERE json_extract(CAST(body AS TEXT), '$.state') IN ('SUCCESS', 'FAILED', 'STOPPED');
CREATE TABLE attributes (id TEXT PRIMARY KEY, type TEXT NOT NULL, body BLOB NOT NULL, updated INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO attributes SELECT id, '', '{"properties":' || CAST(properties AS TEXT) || '}', updated FROM overlays;
DROP TABLE overlays;`

type store struct {
	db     *sql.DB
	fresh  bool // the tables were made just now
	writes chan *write
	quit   chan struct{} // closed when no more writes are taken
	closed chan struct{} // closed when the last one is durable
	once   sync.Once
}

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
	fresh, err := layOut(ctx, db)
	if err != nil {
		return nil, errors.Join(host.DatabaseError(path, err), db.Close())
	}
	s := &store{db: db, fresh: fresh, writes: make(chan *write), quit: make(chan struct{}), closed: make(chan struct{})}
	go s.writeAll()
	return s, nil
}

// layOut makes the tables, or brings those of an older program up to date;
// fresh tells that it did.
func layOut(ctx context.Context, db *sql.DB) (fresh bool, err error) {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return false, err
	}
	if version > 2 {
		return false, fmt.Errorf("layout %d, this program knows 2: use a newer one", version)
	}
	if version == 2 {
		return false, nil
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	if version == 1 {
		_, err = tx.ExecContext(ctx, upgrade1)
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, schema)
	}
	if err != nil {
		return false, errors.Join(err, tx.Rollback())
	}
	return true, tx.Commit()
}

func (s *store) close() error {
	s.once.Do(func() { close(s.quit) })
	<-s.closed
	return s.db.Close()
}

// putResource stores a resource, new or changed, and where it refers to.
func putResource(tx *sql.Tx, collection string, r cimi.Resource) error {
	secret, err := json.Marshal(secretsOf(r))
	if err != nil {
		return err
	}
	shown := cimi.Clone(r)
	cimi.Public(shown)
	b := shown.Base()
	b.Operations = nil
	body, err := cimi.MarshalJSONIn(shown, 0)
	if err != nil {
		return err
	}
	if _, err = tx.Exec(`INSERT INTO resources(id, collection, parent, type, body, secret) VALUES (?,?,?,?,?,?)
		ON CONFLICT(id) DO UPDATE SET parent = excluded.parent, body = excluded.body, secret = excluded.secret`,
		b.ID, collection, cimi.HrefOf(b.Parent), r.TypeName(), body, secret); err != nil {
		return err
	}
	if _, err := tx.Exec("DELETE FROM refs WHERE source = ?", b.ID); err != nil {
		return err
	}
	for _, target := range cimi.Targets(shown) {
		if target == b.ID {
			continue
		}
		if _, err := tx.Exec("INSERT OR IGNORE INTO refs(target, source) VALUES (?,?)", target, b.ID); err != nil {
			return err
		}
	}
	return nil
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
func (s *store) get(ctx context.Context, id string) (cimi.Resource, error) {
	return scanResource(s.db.QueryRowContext(ctx, "SELECT id, type, body, secret FROM resources WHERE id = ?", id))
}

func scanResource(row interface{ Scan(...any) error }) (cimi.Resource, error) {
	var id, typ string
	var body, secret []byte
	err := row.Scan(&id, &typ, &body, &secret)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := cimi.DecodeJSONAs(body, typ)
	if err != nil {
		return nil, fmt.Errorf("stored %s: %w", id, err)
	}
	var x secrets
	if err := json.Unmarshal(secret, &x); err != nil {
		return nil, fmt.Errorf("stored %s: %w", id, err)
	}
	x.restore(r)
	return r, nil
}

// list reads resources of a collection without secrets, in the order of
// creation, from the first on (counted from 0); limit -1 reads all.
func (s *store) list(ctx context.Context, collection string, first, limit int) ([]cimi.Resource, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, type, body, '{}' FROM resources WHERE collection = ? ORDER BY seq LIMIT ? OFFSET ?", collection, limit, first)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []cimi.Resource
	for rows.Next() {
		r, err := scanResource(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func (s *store) count(ctx context.Context, query string, args ...any) (n int, err error) {
	err = s.db.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// texts reads one column of text.
func texts(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args ...any) ([]string, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

func now() *cimi.Time { return cimi.TimeOf(time.Now()) }

package provider_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
)

// layout1 is the database as the first program wrote it.
const layout1 = `
CREATE TABLE resources (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, collection TEXT NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL, secret BLOB);
CREATE INDEX resources_collection ON resources(collection, seq);
CREATE TABLE overlays (id TEXT PRIMARY KEY, properties BLOB NOT NULL, updated INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE jobs (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL);
CREATE TABLE exports (id TEXT PRIMARY KEY, system TEXT NOT NULL, state BLOB NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO resources(id, collection, type, body, secret) VALUES ('machineConfigs/old', 'machineConfigs', 'MachineConfiguration', '{"id":"machineConfigs/old","name":"old","cpu":2}', 'null');
INSERT INTO jobs(id, body) VALUES ('jobs/done', '{"id":"jobs/done","state":"SUCCESS","action":"add","progress":100}'), ('jobs/cut', '{"id":"jobs/cut","state":"RUNNING","action":"add","progress":5}');
PRAGMA user_version = 1;`

// TestOlderDatabase: what the first layout held is there after the program was
// replaced, and can be changed; one of a newer program is refused.
func TestOlderDatabase(t *testing.T) {
	dir := t.TempDir()
	p, sample := open(t, dir, provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	system := succeeded(t, p, sample, nil)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "old.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(layout1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO overlays VALUES (?, '{"owner":"ops"}', 5)`, system); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and once more, as the new layout
		p = openWith(t, dir, file)
		if s := get[*cimi.System](t, p, system); s.Properties["owner"] != "ops" {
			t.Errorf("properties of the System: %v", s.Properties)
		}
		if c := get[*cimi.MachineConfiguration](t, p, "machineConfigs/old"); c.Name != "old" || *c.CPU != 2 || cimi.HrefOf(c.Parent) == "" {
			t.Errorf("the configuration is %+v", c)
		}
		if a, b := get[*cimi.Job](t, p, "jobs/done").State, get[*cimi.Job](t, p, "jobs/cut").State; a != cimi.JobSuccess || b != cimi.JobFailed {
			t.Errorf("the Jobs are %s and %s", a, b)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	p = openWith(t, dir, file)
	if _, err := p.Delete(t.Context(), "machineConfigs/old"); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = sql.Open("sqlite", file); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	h := openHost(t, dir)
	defer h.Close()
	if _, err := provider.New(t.Context(), h, provider.Options{Database: file}); err == nil {
		t.Error("a database of a newer program was taken")
	}
}

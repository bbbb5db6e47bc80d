package migrate_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
)

// TestNoSecretsKept: values of properties and the relay's URL are in no file
// of the state directory, no plan and no report (AC-38).
func TestNoSecretsKept(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry-s3cret"
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.remote(), b.remote()
	e := newEngine(t, src, dst)
	var seen []byte
	for _, props := range []map[string]string{nil, {"no.such.property": canary}} {
		plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop", Via: migrate.ViaRelay, Properties: props, IfExists: migrate.ExistsRename, Allow: []string{migrate.RuleProperty}})
		if err != nil {
			t.Fatal(err)
		}
		rep, err := e.Start(t.Context(), plan)
		if (err != nil) != (props != nil) {
			t.Errorf("properties %v: %v", props, err)
		}
		if err != nil {
			seen = append(seen, err.Error()...)
		}
		for _, doc := range []any{plan, rep} {
			text, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, text...)
		}
	}
	err := filepath.WalkDir(e.Journal.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		seen = append(seen, text...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(seen, []byte("no.such.property")) {
		t.Error("the key is not there either: the test looks at the wrong place")
	}
	for _, secret := range []string{canary, "/package.ova"} {
		if bytes.Contains(seen, []byte(secret)) {
			t.Errorf("%s is kept", secret)
		}
	}
}

// noSecrets fails when a secret is in a file of the folder.
func noSecrets(t *testing.T, dir string, secrets ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds %s", path, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

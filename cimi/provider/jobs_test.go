package provider_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
)

// hung begins an import that gets half of the sample's second disk and then
// nothing until it is stopped, and gives its Job when it has come so far.
func hung(t *testing.T, p *provider.Provider, sample *hosttest.Sample) *cimi.Accepted {
	t.Helper()
	archive := sample.OVA(t)
	off, size := sample.File(t, "disk2.vmdk")
	reached := make(chan struct{}, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(archive[:off+size/2])
		w.(http.Flusher).Flush()
		reached <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(srv.Close)
	acc, err := p.Invoke(context.Background(), "systems", &cimi.Action{Action: cimi.ActionImport, Source: srv.URL + "/app.ova"})
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	return acc
}

func TestStop(t *testing.T) {
	dir := t.TempDir()
	p, sample := open(t, dir, provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	acc := hung(t, p, sample)
	if _, err := p.Delete(context.Background(), acc.Location); !cimi.IsConflict(err) {
		t.Errorf("deleting a System that is being created: %v", err)
	}
	if _, err := p.Invoke(context.Background(), acc.Job, &cimi.Action{Action: cimi.ActionStop}); err != nil {
		t.Fatal(err)
	}
	if j := get[*cimi.Job](t, p, acc.Job); j.State != cimi.JobStopped || *j.Progress != 100 {
		t.Errorf("%s %s", j.State, j.StatusMessage)
	}
	nothingLeft(t, p, dir)
	if _, err := p.Delete(context.Background(), acc.Job); err != nil {
		t.Error(err)
	}
	if _, err := p.Get(context.Background(), acc.Job, cimi.ReadOptions{}); !cimi.IsNotFound(err) {
		t.Errorf("a deleted Job: %v", err)
	}
}

func nothingLeft(t testing.TB, p cimi.Provider, dir string) {
	t.Helper()
	if n := len(list(t, p, "systems")); n != 0 {
		t.Errorf("%d systems are left", n)
	}
	for _, sub := range []string{"disks", "files"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil || len(entries) != 0 {
			t.Errorf("%s: %d entries are left, %v", sub, len(entries), err)
		}
	}
}

// TestRestart: what was running is FAILED, what was ready goes on.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	p, sample := open(t, dir, provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	id := succeeded(t, p, sample, nil)
	location, archive := export(t, p, id)
	acc := hung(t, p, sample)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open(t, dir, provider.Options{})
	if j := get[*cimi.Job](t, p, acc.Job); j.State != cimi.JobFailed || *j.ReturnCode != 10007 {
		t.Errorf("the interrupted Job is %s %s", j.State, j.StatusMessage)
	}
	if n := len(list(t, p, "systems")); n != 1 {
		t.Errorf("%d systems, want 1", n)
	}
	if !bytes.Equal(fetch(t, p, location), archive) {
		t.Error("the export gives other bytes after a restart")
	}
	if _, err := p.Delete(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Open(context.Background(), location); !cimi.IsNotFound(err) {
		t.Errorf("the export of a deleted System: %v", err)
	}
	nothingLeft(t, p, dir)
}

// TestDied: what ran when the process died is FAILED afterwards. The state is
// copied while the Job runs, as kill -9 would leave it.
func TestDied(t *testing.T) {
	dir, after := t.TempDir(), t.TempDir()
	p, sample := open(t, dir, provider.Options{}), hosttest.NewSample(t, "appliance", 1)
	acc := hung(t, p, sample)
	for _, name := range []string{"cimi.db", "cimi.db-wal"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(after, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil { // ends the request that the server waits for
		t.Error(err)
	}
	q := open(t, after, provider.Options{})
	j := get[*cimi.Job](t, q, acc.Job)
	if j.State != cimi.JobFailed || *j.ReturnCode != 10007 || *j.Progress != 100 || len(j.AffectedResources) != 1 {
		t.Errorf("%s %d %s", j.State, *j.ReturnCode, j.StatusMessage)
	}
}

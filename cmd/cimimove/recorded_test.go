package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/cimi/server"
)

// TestDryRunSendsNoChange: what plan and --dry-run send to clouds on the
// network is recorded, and is reads only (AC-35).
func TestDryRunSendsNoChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var mu sync.Mutex
	var changes []string
	reads := 0
	serve := func(name string) string {
		cloud, err := endpoint.Open(t.Context(), "local:"+filepath.Join(dir, name), endpoint.Options{AllowSources: loopback()})
		if err != nil {
			t.Fatal(err)
		}
		inner, err := server.New(cloud.Provider, server.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				reads++
			} else {
				changes = append(changes, r.Method+" "+r.URL.Path)
			}
			mu.Unlock()
			inner.ServeHTTP(w, r)
		}))
		t.Cleanup(func() { s.Close(); cloud.Close() })
		return s.URL + "/cloudEntryPoint"
	}
	east, west := serve("east"), serve("west")
	command := func(want int, args ...string) string {
		t.Helper()
		var out, stderr bytes.Buffer
		args = append([]string{"cimimove"}, args...)
		if code := run(context.Background(), args, strings.NewReader(""), &out, &stderr); code != want {
			t.Fatalf("%v: exit %d, want %d\n%s%s", args, code, want, out.String(), stderr.String())
		}
		return out.String()
	}
	p, err := newTestPackage("testdata/descriptor")
	if err != nil {
		t.Fatal(err)
	}
	pkg := filepath.Join(dir, "machine.ova")
	if err := p.write(pkg); err != nil {
		t.Fatal(err)
	}
	command(0, "import", pkg, east, "--name", "app", "-q")
	if len(changes) == 0 {
		t.Fatal("the import was not recorded")
	}
	changes, reads = nil, 0
	state := []string{"--state-dir", filepath.Join(dir, "state"), "-q"}
	command(0, append([]string{"plan", east, "app", west}, state...)...)
	command(0, append([]string{"migrate", east, "app", west, "--dry-run", "--power-on", "--source-after", "delete"}, state...)...)
	command(5, append([]string{"migrate", east, "app", west, "--dry-run", "--net", "nothing=nowhere"}, state...)...)
	if len(changes) > 0 || reads == 0 {
		t.Errorf("%d reads, and changes: %v", reads, changes)
	}
	command(0, append([]string{"migrate", east, "app", west}, state...)...)
	if len(changes) == 0 {
		t.Error("a move changed nothing")
	}
}

package queue

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/host/local"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/provider"
	"github.com/cimimove/cimimove/cimi/server"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/evacuate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/journal/pgtest"
	"github.com/cimimove/cimimove/migrate/runbook"
)

func newCloud(t *testing.T) (*provider.Provider, string) {
	t.Helper()
	dir := t.TempDir()
	h, err := local.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider.New(t.Context(), h, provider.Options{Database: filepath.Join(dir, "provider.db"), AllowSources: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := server.New(p, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.Close()
		p.Close()
	})
	return p, s.URL + "/cloudEntryPoint"
}

// member is a machine that takes part: a journal and an engine of its own.
func member(t *testing.T, url string) *migrate.Engine {
	t.Helper()
	j, err := journal.OpenShared(t.Context(), url, journal.SharedOptions{Dir: t.TempDir(), Heartbeat: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return &migrate.Engine{Journal: j, StallTimeout: 10 * time.Second, Dial: func(ctx context.Context, url string, _ migrate.Side) (migrate.Endpoint, error) {
		p, err := client.New(ctx, url, client.Options{})
		return migrate.Endpoint{Name: url, URL: url, Provider: p}, err
	}}
}

// TestWorkers: three workers carry out one runbook; one stops in the middle,
// and the others go on with what it had. No System comes twice, none is missing,
// and no more move at a time than the runbook allows.
func TestWorkers(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).URL("night")
	src, from := newCloud(t)
	dst, to := newCloud(t)
	const systems = 8
	text := fmt.Sprintf("version: 1\nendpoints:\n  old: {url: %q, limits: {systems: 2}}\n  new: {url: %q}\ndefaults: {source: old, destination: new}\nsystems:\n", from, to)
	var want []string
	for n := range systems {
		name := fmt.Sprintf("app-%d", n)
		s := hosttest.NewSample(t, name, byte(n))
		acc, err := src.ImportPackage(t.Context(), "systems", hosttest.Package(t, s.OVA(t)), &cimi.Action{Action: cimi.ActionImport})
		if err == nil {
			_, err = cimi.Wait(t.Context(), src, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
		}
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("  - {system: %s}\n", name)
		want = append(want, name)
	}
	rb, err := runbook.Parse(t.Name(), []byte(text+"  - {system: nowhere}\n"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := evacuate.New(t.Context(), member(t, db), rb, evacuate.Options{Poll: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.Submit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	first, stopFirst := context.WithCancel(t.Context())
	rest, stopRest := context.WithCancel(t.Context())
	defer stopRest()
	defer stopFirst()
	for n := range 3 {
		e := member(t, db)
		ctx := rest
		if n == 0 {
			ctx = first
			var once sync.Once
			e.Journal.AfterWrite(func(what string) {
				if what == "note import" {
					once.Do(stopFirst)
				}
			})
		}
		w, err := New(t.Context(), Options{URL: db, Engine: e, Heartbeat: 200 * time.Millisecond, Evacuation: evacuate.Options{Poll: 50 * time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	most := 0
	watch := time.NewTicker(20 * time.Millisecond)
	defer watch.Stop()
	done := make(chan struct{})
	var rep *evacuate.Report
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		rep, err = v.Follow(ctx)
	}()
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		case <-watch.C:
			running := 0
			for _, i := range v.Report().Items {
				if i.State == "running" {
					running++
				}
			}
			most = max(most, running)
		}
	}
	if migrate.ExitCode(err) != 9 || rep.Verified != systems || rep.Failed != 1 || rep.Pending != 0 {
		t.Errorf("%d verified, %d failed, %d not begun: %v", rep.Verified, rep.Failed, rep.Pending, err)
		for _, i := range rep.Items {
			if i.Error != nil {
				t.Errorf("%s, attempt %d: %+v", i.System, i.Attempts, *i.Error)
			}
		}
	}
	if most > 2 {
		t.Errorf("%d move at a time, the runbook allows 2", most)
	}
	var got []string
	for r, err := range cimi.All(t.Context(), dst, "systems", cimi.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Base().Name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the destination holds %v", got)
	}
}

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/client"
	"github.com/cimimove/cimimove/cimi/endpoint"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal/pgtest"
)

// evacuated is two served clouds, the first with Systems of two disks each,
// and a runbook over all of them in which some are made to fail.
type evacuated struct {
	t          *testing.T
	dir        string
	from, to   string
	good       []string
	bad        map[string]string // System to what its error says
	taken      []string          // at the destination from the start
	sourceHeld int
}

// newEvacuated makes n Systems, one in twenty of which fails, each in one of
// the ways that a night brings.
func newEvacuated(t *testing.T, n int) *evacuated {
	t.Helper()
	e := &evacuated{t: t, dir: t.TempDir(), bad: map[string]string{}}
	archives := make([][]byte, 4)
	for i := range archives {
		archives[i] = hosttest.NewSample(t, "sample", byte(i)).OVA(t)
	}
	// In this process: a command for each would take as long as the night.
	clouds := &endpoint.Pool{}
	load := func(archive []byte, cloud, name string) {
		o, err := clouds.Open(t.Context(), "local:"+filepath.Join(e.dir, cloud), endpoint.Options{Side: endpoint.Destination})
		if err == nil {
			_, err = migrate.ImportPackage(t.Context(), hosttest.Package(t, archive), migrate.Endpoint{Name: cloud, Provider: o.Provider}, migrate.ImportOptions{Name: name})
		}
		if err != nil {
			t.Fatalf("%s into %s: %v", name, cloud, err)
		}
	}
	ways := []struct{ entry, says string }{
		{"{system: NAME-gone}", "no such System"},
		{"{system: NAME, name: taken}", "there already"},
		{"{system: NAME, net: {front: nowhere}, wave: second}", "nowhere"},
		{"{system: NAME, prop: {no-such-key: x}}", "no-such-key"},
		{"{system: NAME, prop: {key: {env: CIMIMOVE_E2E_UNSET}}}", "CIMIMOVE_E2E_UNSET"},
		{"{system: NAME, hooks: [{on: before transfer, run: [sh, -c, 'echo no-freeze >&2; exit 3']}]}", "no-freeze"},
		{"{system: NAME, destination: dead}", "destination"},
		{"{system: NAME, via: stage, stage: /proc/nowhere}", "stage"},
		{"{system: NAME, mac: keep, net: {'*': absent}}", "absent"},
		{"{system: NAME, name: taken, ifExists: fail}", "there already"},
	}
	var text strings.Builder

	for i := range n {
		name := fmt.Sprintf("app-%03d", i)
		held := true
		entry := "{system: " + name + "}"
		if i%20 == 7 {
			w := ways[i/20%len(ways)]
			entry = strings.ReplaceAll(w.entry, "NAME", name)
			held = !strings.Contains(entry, "-gone")
			system := name
			if !held {
				system += "-gone"
			}
			e.bad[system] = w.says
		} else {
			e.good = append(e.good, name)
		}
		if held {
			load(archives[i%len(archives)], "old", name)
			e.sourceHeld++
		}
		fmt.Fprintf(&text, "  - %s\n", entry)
	}
	load(archives[0], "new", "taken")
	if err := clouds.Close(); err != nil {
		t.Fatal(err)
	}
	e.taken = []string{"taken"}
	e.from, _ = serving(t, e.dir, "old")
	e.to, _ = serving(t, e.dir, "new")
	book := fmt.Sprintf(`version: 1
endpoints:
  old: {url: %q}
  new: {url: %q, limits: {systems: 3}}
  dead: {url: "http://127.0.0.1:9/cloudEntryPoint"}
defaults: {source: old, destination: new}
waves: [{name: second, after: []}]
limits: {systems: 6}
systems:
%s`, e.from, e.to, text.String())
	if err := os.WriteFile(filepath.Join(e.dir, "night.yaml"), []byte(book), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

// check looks at the report and at both clouds: every good System verified and
// there once, every other failed with its cause, nothing else left anywhere.
func (e *evacuated) check(doc map[string]any) {
	e.t.Helper()
	if doc == nil {
		e.t.Fatal("no report")
	}
	if v, f := doc["verified"], doc["failed"]; v != float64(len(e.good)) || f != float64(len(e.bad)) {
		e.t.Errorf("%v verified, %v failed; want %d, %d", v, f, len(e.good), len(e.bad))
	}
	for _, i := range doc["items"].([]any) {
		item := i.(map[string]any)
		name := item["system"].(string)
		says, bad := e.bad[name]
		switch {
		case !bad && item["state"] != "verified":
			e.t.Errorf("%s is %v: %v", name, item["state"], item["error"])
		case bad:
			failure, _ := item["error"].(map[string]any)
			message, _ := failure["message"].(string)
			hint, _ := failure["hint"].(string)
			if item["state"] != "failed" || !strings.Contains(message+" "+hint, says) {
				e.t.Errorf("%s is %v: %q (%q), want %q", name, item["state"], message, hint, says)
			}
		}
	}
	want := append(slices.Clone(e.good), e.taken...)
	slices.Sort(want)
	if got := e.names(e.to); !slices.Equal(got, want) {
		e.t.Errorf("the destination holds %d Systems, want %d: %v", len(got), len(want), diffOf(got, want))
	}
	if got := e.names(e.from); len(got) != e.sourceHeld {
		e.t.Errorf("the source holds %d Systems, it had %d", len(got), e.sourceHeld)
	}
}

func diffOf(got, want []string) []string {
	var out []string
	for _, n := range got {
		if !slices.Contains(want, n) || len(slices.DeleteFunc(slices.Clone(got), func(o string) bool { return o != n })) > 1 {
			out = append(out, "+"+n)
		}
	}
	for _, n := range want {
		if !slices.Contains(got, n) {
			out = append(out, "-"+n)
		}
	}
	return out
}

func (e *evacuated) names(url string) []string {
	e.t.Helper()
	p, err := client.New(e.t.Context(), url, client.Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	defer p.Close()
	cep, err := p.EntryPoint(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	var out []string
	for r, err := range cimi.All(e.t.Context(), p, cimi.HrefOf(cep.Systems), cimi.ListOptions{}) {
		if err != nil {
			e.t.Fatal(err)
		}
		out = append(out, r.Base().Name)
	}
	slices.Sort(out)
	return out
}

// most is how many imports the cloud had under way at a time, by its own Jobs.
func (e *evacuated) most(url string) int {
	e.t.Helper()
	p, err := client.New(e.t.Context(), url, client.Options{})
	if err != nil {
		e.t.Fatal(err)
	}
	defer p.Close()
	cep, err := p.EntryPoint(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	type edge struct {
		at time.Time
		n  int
	}
	var edges []edge
	for r, err := range cimi.All(e.t.Context(), p, cimi.HrefOf(cep.Jobs), cimi.ListOptions{}) {
		if err != nil {
			e.t.Fatal(err)
		}
		j := r.(*cimi.Job)
		if j.ParentJob == nil && strings.HasSuffix(j.Action, "import") && j.Created != nil && j.TimeOfStatusChange != nil {
			edges = append(edges, edge{j.Created.Time, 1}, edge{j.TimeOfStatusChange.Time, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.n - b.n
	})
	now, most := 0, 0
	for _, x := range edges {
		now += x.n
		most = max(most, now)
	}
	if len(edges) == 0 {
		e.t.Error("the cloud tells of no imports")
	}
	return most
}

// systemsOfNight is how many Systems a night has: 200, or what
// CIMIMOVE_E2E_SYSTEMS says.
func systemsOfNight(t *testing.T) int {
	t.Helper()
	n := 200
	if s := os.Getenv("CIMIMOVE_E2E_SYSTEMS"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestE2EEvacuationKilled: 200 Systems, ten of which fail in different ways; the
// process is killed ten times at random moments, and the end is that of an
// undisturbed night.
func TestE2EEvacuationKilled(t *testing.T) {
	endToEnd(t)
	t.Parallel()
	e := newEvacuated(t, systemsOfNight(t))
	began := time.Now()
	kills := 0
	for kills < 10 {
		p := start(t, e.dir, "run", "night.yaml", "--quiet")
		done := make(chan error, 1)
		go func() { done <- p.Wait() }()
		select {
		case <-done:
			t.Fatalf("it ended after %d kills: %s", kills, p.diagnostics.String())
		case <-time.After(500*time.Millisecond + rand.N(1500*time.Millisecond)):
			p.Process.Kill()
			<-done
			kills++
		}
	}
	doc := cimimove(t, e.dir, 9, "run", "night.yaml", "--quiet")
	e.check(doc)
	if n := e.most(e.to); n > 3 {
		t.Errorf("%d imports at a time, the limit is 3", n)
	}
	if left := cimimove(t, e.dir, 0, "gc", "--dry-run"); len(left["removed"].([]any)) != 0 {
		t.Errorf("left behind: %v", left)
	}
	t.Logf("%d Systems, %d kills, %v", len(e.good)+len(e.bad), kills, time.Since(began).Round(time.Second))
}

// TestE2EEvacuationWorkers: the same with four worker processes on PostgreSQL,
// one of which is killed every few seconds; the database is killed too and
// comes back.
func TestE2EEvacuationWorkers(t *testing.T) {
	endToEnd(t)
	t.Parallel()
	e := newEvacuated(t, systemsOfNight(t))
	db := pgtest.Start(t)
	queue := []string{"--queue", db.URL("night"), "--heartbeat", "1s"}
	worker := func() *process {
		p := start(t, e.dir, append([]string{"worker", "--parallel-systems", "2", "--quiet"}, queue...)...)
		t.Cleanup(func() { p.Process.Kill() })
		return p
	}
	workers := make([]*process, 4)
	for i := range workers {
		workers[i] = worker()
	}
	stop := make(chan struct{})
	killed := make(chan int)
	go func() {
		kills := 0
		defer func() { killed <- kills }()
		for {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Second):
			}
			if kills == 2 {
				db.Kill()
				time.Sleep(time.Second)
				db.Run()
			}
			i := kills % len(workers)
			workers[i].Process.Kill()
			workers[i].Wait()
			workers[i] = worker()
			kills++
		}
	}()
	began := time.Now()
	doc := cimimove(t, e.dir, 9, append([]string{"run", "night.yaml", "--quiet"}, queue...)...)
	close(stop)
	kills := <-killed
	for _, w := range workers {
		w.Process.Kill()
		w.Wait()
	}
	e.check(doc)
	if n := e.most(e.to); n > 3 {
		t.Errorf("%d imports at a time, the limit is 3", n)
	}
	if kills < 4 {
		t.Errorf("only %d workers were killed", kills)
	}
	t.Logf("%d Systems, %d workers killed, the database once, %v", len(e.good)+len(e.bad), kills, time.Since(began).Round(time.Second))
}

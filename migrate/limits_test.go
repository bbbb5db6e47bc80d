package migrate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/metrics"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestBandwidth: what is read from either cloud keeps to the limit (AC-10).
func TestBandwidth(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.remote(), b.remote()
	for _, by := range []string{"engine", "endpoint"} {
		e := newEngine(t, src, dst)
		e.Limits = &migrate.Limits{}
		const limit = 400 << 10
		if by == "engine" {
			e.Limits.Bandwidth = limit
		} else {
			src.Limits.Bandwidth = limit
		}
		started := time.Now()
		rep, err := move(t, e, migrate.Options{Source: src, Destination: dst, Name: by})
		if err != nil {
			t.Fatal(err)
		}
		// The proof reads the destination anew, which counts too.
		moved := 2*rep.Bytes.Read - limit/2
		if least := time.Duration(float64(moved) / limit * float64(time.Second)); time.Since(started) < least {
			t.Errorf("%s: %d bytes in %s; at %d a second that takes %s", by, moved, time.Since(started), limit, least)
		}
	}
}

// TestImportBandwidth: a package is read no faster than was asked for, or than
// the cloud's own limit allows, whichever way it comes in (AC-10).
func TestImportBandwidth(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	archive := hosttest.NewSample(t, "shop", 1).OVA(t)
	limit := int64(len(archive))
	for _, by := range []string{"option", "endpoint"} {
		for way, endpoint := range map[string]func(*cloud) migrate.Endpoint{"in process": (*cloud).inProcess, "over HTTP": (*cloud).remote} {
			for from, pkg := range map[string]ovf.Package{"file": hosttest.Package(t, archive), "stream": hosttest.Stream(t, bytes.NewReader(archive))} {
				t.Run(by+" "+way+" "+from, func(t *testing.T) {
					t.Parallel()
					dst, o := endpoint(newCloud(t)), migrate.ImportOptions{}
					if by == "option" {
						o.Bandwidth = limit
					} else {
						dst.Limits.Bandwidth = limit
					}
					started := time.Now()
					if _, err := migrate.ImportPackage(t.Context(), pkg, dst, o); err != nil {
						t.Fatal(err)
					}
					// A quarter of a second's passes at once, and the descriptor was read before.
					if took := time.Since(started); took < time.Second/2 {
						t.Errorf("%d bytes in %s; at %d a second that takes one", len(archive), took, limit)
					}
				})
			}
		}
	}
}

// TestImportBandwidthMoves: a limit so low that a buffer takes longer than the cloud
// waits for a byte does not look like a stall.
func TestImportBandwidthMoves(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	archive := hosttest.NewSample(t, "shop", 1).OVA(t)
	for from, pkg := range map[string]ovf.Package{"file": hosttest.Package(t, archive), "stream": hosttest.Stream(t, bytes.NewReader(archive))} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			const stall = 1500 * time.Millisecond
			p, err := openImpatient(t.Context(), dir, stall)
			if err != nil {
				t.Fatal(err)
			}
			started := time.Now()
			_, err = migrate.ImportPackage(t.Context(), pkg, serveCloud(t, dir, p).remote(), migrate.ImportOptions{Bandwidth: int64(len(archive)) / 6})
			if took := time.Since(started); err != nil || took < 2*stall {
				t.Errorf("%d bytes in %s: %v", len(archive), took, err)
			}
		})
	}
}

// TestTransfersWithin: a move within one cloud takes one of its places, not two.
func TestTransfersWithin(t *testing.T) {
	t.Parallel()
	a := newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	end := a.inProcess()
	end.Limits.Transfers = 1
	e := newEngine(t, end)
	e.Limits = &migrate.Limits{}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p, err := e.Plan(ctx, migrate.Options{System: "shop", Source: end, Destination: end, Name: "again"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Start(ctx, p); err != nil {
		t.Error(err)
	}
}

// TestTransfersPerEndpoint: no more transfers at a time than an endpoint
// allows, and who waits says for what (AC-10, AC-03).
func TestTransfersPerEndpoint(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	src, dst := a.inProcess(), b.inProcess()
	src.Limits.Transfers = 1
	var mu sync.Mutex
	var notes []string
	e := newEngine(t, src, dst)
	e.Limits = &migrate.Limits{}
	e.Events = func(ev migrate.Event) {
		mu.Lock()
		defer mu.Unlock()
		if ev.Note != "" {
			notes = append(notes, ev.Phase+" "+ev.Note)
		}
	}
	var inside, most atomic.Int64
	e.Journal.AfterWrite(func(what string) {
		switch what {
		case "begin transfer":
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(100 * time.Millisecond)
		case "done transfer":
			inside.Add(-1)
		}
	})
	var plans []*migrate.Plan
	for i, name := range []string{"one", "two", "three"} {
		a.load(hosttest.NewSample(t, name, byte(i)))
		plan, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: name})
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, plan)
	}
	var wait sync.WaitGroup
	for _, plan := range plans {
		wait.Go(func() {
			if _, err := e.Start(t.Context(), plan); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if most.Load() != 1 || len(b.systems()) != 3 {
		t.Errorf("%d transfers at a time; the destination holds %v", most.Load(), b.systems())
	}
	if len(notes) == 0 || !strings.Contains(notes[0], "waiting for other transfers of local:") || !strings.Contains(notes[0], "since") {
		t.Errorf("who waited said %q", notes)
	}
}

// TestLogAndMetrics: steps and their outcome are logged with run and System,
// and counted.
func TestLogAndMetrics(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	src, dst := a.remote(), b.remote()
	e := newEngine(t, src, dst)
	var log lockedBuffer
	e.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	m := metrics.New()
	e.Observer = m
	rep, err := move(t, e, migrate.Options{Source: src, Destination: dst})
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]bool{}
	for line := range strings.Lines(log.String()) {
		var x struct{ Run, System, Step string }
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		if x.Run != rep.Run || x.System != "shop" {
			t.Errorf("of which run? %s", line)
		}
		steps[x.Step] = true
	}
	for _, s := range rep.Steps {
		if s.Name != "import" && !steps[s.Name] {
			t.Errorf("step %s is not in the log", s.Name)
		}
	}
	s := httptest.NewServer(m.Handler())
	defer s.Close()
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`cimimove_runs_total{class="done",destination="` + dst.Name + `",source="` + src.Name + `",state="verified"} 1`,
		`cimimove_runs_running{destination="` + dst.Name + `",source="` + src.Name + `"} 0`,
		`cimimove_step_seconds_count{step="transfer"} 1`, `cimimove_bytes_total{`,
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %s in\n%.3000s", want, text)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

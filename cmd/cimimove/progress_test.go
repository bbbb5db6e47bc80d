package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/cimimove/cimimove/migrate"
)

// TestPlainProgress: at most a line in ten seconds, in the unit that is counted.
func TestPlainProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	p := &plainProgress{w: &out, now: func() time.Time { return now }, last: now}
	for i := range 100 {
		now = now.Add(time.Second)
		p.event(migrate.Event{System: "web", Disk: "disk1", Phase: "transfer", Done: int64(i) << 20, Total: 100 << 20, Rate: 1 << 20})
	}
	p.event(migrate.Event{System: "web", Phase: "import", Done: 50, Total: 100})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 10 {
		t.Errorf("%d lines in 100 seconds, want 10:\n%s", len(lines), out.String())
	}
	if want := "web disk1: transfer 9 % of 100 MiB, 1.0 MiB/s"; lines[0] != want {
		t.Errorf("got  %s\nwant %s", lines[0], want)
	}
	if got, want := describe(migrate.Event{System: "web", Phase: "import", Done: 50, Total: 100}), "web: import 50 %"; got != want {
		t.Errorf("percent: got %q, want %q", got, want)
	}
}

// TestBars: what is full stays above what moves, which is drawn over; no more
// lines than a terminal has.
func TestBars(t *testing.T) {
	var out bytes.Buffer
	// As if begun, but drawn only when the test says so.
	p := &barProgress{w: &out, width: 80, stopped: make(chan struct{}), ended: make(chan struct{})}
	close(p.ended)
	for i := range 2 * mostBars {
		p.event(migrate.Event{System: "web", Disk: fmt.Sprint("disk", i), Phase: "transfer", Done: 1 << 20, Total: 4 << 20})
	}
	p.draw()
	if n := strings.Count(out.String(), "\n"); n != mostBars || p.drawn != n {
		t.Errorf("%d lines, %d to draw over, want %d", n, p.drawn, mostBars)
	}
	for line := range strings.Lines(strings.TrimSuffix(out.String(), "\x1b[J")) {
		if !strings.Contains(line, "[") || !strings.Contains(line, "25.00%") {
			t.Errorf("no bar: %q", line)
		}
	}
	out.Reset()
	p.event(migrate.Event{System: "web", Disk: "disk3", Phase: "transfer", Done: 4 << 20, Total: 4 << 20})
	p.draw()
	if s := out.String(); !strings.HasPrefix(s, fmt.Sprintf("\x1b[%dA\rtransfer web/disk3", mostBars)) || !strings.Contains(s, "100.00%") {
		t.Errorf("drawn: %q", s)
	}
	if len(p.active) != 2*mostBars-1 {
		t.Errorf("%d bars are active", len(p.active))
	}
}

// TestJSONProgress: each line is one document; the first, the last and the result
// are there, and each says when it was, though what is shown does not.
func TestJSONProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress("json", true, &out)
	began := time.Now().Add(-time.Second)
	p.event(migrate.Event{Time: began, System: "web", Disk: "disk2", Phase: "convert", Total: 1 << 20})
	for i := range 1001 {
		p.event(migrate.Event{Run: "r", System: "web", Disk: "disk1", Phase: "transfer", Done: int64(i), Total: 1000})
	}
	p.event(migrate.Event{System: "web", Disk: "disk2", Phase: "convert", Done: 1 << 20, Total: 1 << 20})
	p.result(nil)
	var phases []string
	var last, rate int64
	for line := range strings.Lines(out.String()) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		phases = append(phases, e["phase"].(string))
		if at, err := time.Parse(time.RFC3339Nano, e["time"].(string)); err != nil || at.Before(began.Add(-time.Minute)) {
			t.Errorf("the time is %v (%v) in %s", e["time"], err, line)
		}
		if d, ok := e["done"].(float64); ok && e["phase"] == "transfer" {
			last = int64(d)
		}
		if r, ok := e["rate"].(float64); ok && e["phase"] == "convert" {
			rate = int64(r)
		}
	}
	if len(phases) < 3 || phases[len(phases)-1] != "result" || last != 1000 {
		t.Errorf("phases %v, last done %d", phases, last)
	}
	if rate <= 0 || rate > 1<<20 {
		t.Errorf("the rate of 1 MiB in more than a second is %d", rate)
	}
}

// TestJSONProgressStartsOver: a disk whose first bytes were sent in vain is told
// of at a rate that is never below nothing.
func TestJSONProgressStartsOver(t *testing.T) {
	var out bytes.Buffer
	p := newProgress("json", true, &out)
	for i, done := range []int64{600, 900, 0, 300, 1000} {
		p.event(migrate.Event{Time: time.Unix(int64(i), 0), System: "web", Disk: "disk1", Phase: "transfer", Done: done, Total: 1000})
		p.(*jsonProgress).last = map[string]time.Time{} // as if time had passed
	}
	var rates []int64
	for line := range strings.Lines(out.String()) {
		var e eventLine
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		rates = append(rates, e.Rate)
	}
	if want := []int64{0, 300, 0, 300, 500}; !slices.Equal(rates, want) {
		t.Errorf("the rates are %v, want %v", rates, want)
	}
}

// TestFlagNamesAgree: a name takes a value in every command or in none, which
// is what options that stand anywhere rest on.
func TestFlagNamesAgree(t *testing.T) {
	app := newApp(&bytes.Buffer{}, &bytes.Buffer{}, func(string, action) cli.ActionFunc { return nil })
	takes := map[string]bool{}
	each(app, func(command string, f cli.Flag) {
		v, ok := f.(interface{ TakesValue() bool })
		for _, name := range f.Names() {
			value := ok && v.TakesValue()
			if before, seen := takes[name]; seen && before != value {
				t.Errorf("--%s of %s takes a value: %v; elsewhere it is otherwise", name, command, value)
			}
			takes[name] = value
		}
	})
	if len(takes) < 40 {
		t.Errorf("only %d options were seen", len(takes))
	}
}

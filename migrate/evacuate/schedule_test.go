package evacuate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
	"github.com/cimimove/cimimove/ovf"
)

// TestDecide: what may begin, by the states of all, in a notation: a letter
// for each item, p pending, r running here, v verified, f failed, h recorded as
// pending while who tried it still holds it.
func TestDecide(t *testing.T) {
	night := time.Date(2026, 11, 28, 23, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		rest   string
		states string
		now    time.Time
		paused bool
		start  string // indexes
		wake   string
		over   bool
		reason string // of the first that is not begun
	}{
		"limit of all":         {rest: "limits: {systems: 2}", states: "pppp", start: "01", reason: "waits for others"},
		"limit counts running": {rest: "limits: {systems: 2}", states: "rppp", start: "1"},
		"no limit but ours":    {states: "pppppp", start: "0123"},
		"limit of disks":       {rest: "limits: {systems: 9, disks: 3}", states: "dddp", start: "0", reason: "others"},
		"large moves alone":    {rest: "limits: {systems: 9, disks: 1}", states: "dp", start: "0"},
		"limit of an endpoint": {rest: "endpoints: {a: {url: x, limits: {systems: 1}}, b: {url: y}}", states: "ppp", start: "0"},
		"failed goes on":       {states: "fpp", start: "12"},
		"stop":                 {rest: "onFailure: stop", states: "fpp", over: true, reason: "s0 failed, and the runbook says stop"},
		"stop waits for ends":  {rest: "onFailure: stop", states: "frp", reason: "not begun"},
		"paused":               {states: "rp", paused: true, reason: "paused"},
		"all done":             {states: "vvfv", over: true},
		"after":                {rest: "after: 1=0", states: "pp", start: "0", reason: "waits for s0"},
		"after verified":       {rest: "after: 1=0", states: "vp", start: "1"},
		"after failed":         {rest: "after: 1=0", states: "fp", over: true, reason: "s0, which it is after, is failed"},
		"waves in order":       {rest: "waves: [{name: w0}, {name: w1}]", states: "pppp", start: "02", reason: "waits for wave w0"},
		"next wave":            {rest: "waves: [{name: w0}, {name: w1}]", states: "vpfp", start: "13"},
		"waves side by side":   {rest: "waves: [{name: w0}, {name: w1, after: []}]", states: "pppp", start: "0123"},
		"wave stops":           {rest: "waves: [{name: w0, onFailure: stop-wave}, {name: w1}]", states: "fppp", over: true, reason: "wave w0 was stopped"},
		"other wave goes on":   {rest: "waves: [{name: w0, onFailure: stop-wave}, {name: w1, after: []}]", states: "fppp", start: "13"},
		"limit of a wave":      {rest: "waves: [{name: w0, limits: {systems: 1}}, {name: w1, after: []}]", states: "pppp", start: "013"},
		"window shut":          {rest: "window: n", states: "pp", now: night.Add(-3 * time.Hour), wake: "2026-11-28T22:00:00Z", reason: "opens 2026-11-28T22:00:00Z"},
		"window open":          {rest: "window: n", states: "pp", now: night, start: "01"},
		"not over while held":  {states: "vh", over: false},
		"held counts":          {rest: "limits: {systems: 2}", states: "hpp", start: "1"},
		"retry waits":          {states: "wp", now: night, start: "1", wake: "2026-11-28T23:01:00Z", reason: "tried again"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "version: 1\n" + c.rest + "\n"
			if !strings.Contains(c.rest, "endpoints") {
				text += "endpoints: {a: {url: x}, b: {url: y}}\n"
			}
			dep := map[int]string{}
			if rest, ok := strings.CutPrefix(c.rest, "after: "); ok {
				text = strings.Replace(text, c.rest, "", 1)
				var n, m int
				fmt.Sscanf(rest, "%d=%d", &n, &m)
				dep[n] = fmt.Sprintf("after: [s%d], ", m)
			}
			if strings.Contains(c.rest, "window: n") {
				text += "windows: {n: {from: \"22:00\", to: \"06:00\"}}\n"
			}
			text += "defaults: {source: a, destination: b}\nsystems:\n"
			for n := range c.states {
				wave := ""
				if strings.Contains(c.rest, "waves") {
					wave = fmt.Sprintf("wave: w%d, ", n%2)
				}
				text += fmt.Sprintf("  - {%s%ssystem: s%d}\n", wave, dep[n], n)
			}
			rb, err := runbook.Parse(t.Name(), []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			a := &agenda{rb: rb, now: c.now, paused: c.paused, parallel: 4}
			states := map[rune]journal.State{'p': journal.Pending, 'h': journal.Pending, 'd': journal.Pending, 'w': journal.Pending, 'r': journal.Running, 'v': journal.Verified, 'f': journal.Failed}
			for n, letter := range c.states {
				w := &work{item: rb.Items[n], row: journal.Item{State: states[letter]}, held: letter == 'r' || letter == 'h'}
				switch letter {
				case 'd':
					w.row.Disks = 3
				case 'w':
					w.row.NotBefore = night.Add(time.Minute)
				}
				a.works = append(a.works, w)
			}
			d := a.decide()
			var start string
			for _, n := range d.start {
				start += fmt.Sprint(n)
			}
			if start != c.start || d.over != c.over {
				t.Errorf("start %q, over %v; want %q, %v (reasons %v)", start, d.over, c.start, c.over, d.reasons)
			}
			var wake string
			if !d.wake.IsZero() {
				wake = d.wake.UTC().Format(time.RFC3339)
			}
			if wake != c.wake {
				t.Errorf("wake %q, want %q", wake, c.wake)
			}
			var reason string
			for n := range a.works {
				if r := d.reasons[n]; r != "" {
					reason = r
					break
				}
			}
			if !strings.Contains(reason, c.reason) {
				t.Errorf("reason %q, want %q", reason, c.reason)
			}
		})
	}
}

// TestSpace: what goes to a destination is compared with what is free there,
// for all Systems together.
func TestSpace(t *testing.T) {
	rb, err := runbook.Parse(t.Name(), []byte("version: 1\nendpoints: {a: {url: x}, b: {url: y}}\ndefaults: {source: a, destination: b}\nwaves: [{name: w, limits: {systems: 2}, systems: [{system: s0}, {system: s1}]}]\nsystems: [{system: s2}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	v := prepare(&migrate.Engine{Journal: &journal.Journal{}}, rb, Options{})
	for _, c := range []struct {
		capacity, populated, free int64
		severity                  ovf.Severity
		code                      int
	}{
		{100, 10, 1000, "", 0}, {400, 10, 1000, ovf.Warning, 0}, {400, 400, 1000, ovf.Error, 5}, {400, 400, -1, "", 0},
	} {
		p := &Plan{}
		for _, i := range rb.Items {
			one := &migrate.Plan{Bytes: c.capacity, Space: migrate.Space{Capacity: c.capacity, Populated: c.populated, Free: c.free}, Estimate: migrate.Estimate{Seconds: 10}}
			p.Items = append(p.Items, ItemPlan{System: i.System, Wave: i.Wave, Plan: one})
		}
		p.sum(v, rb.Items)
		var severity ovf.Severity
		if len(p.Findings) > 0 {
			severity = p.Findings[0].Severity
		}
		if severity != c.severity || migrate.ExitCode(p.refused(v.opts)) != c.code {
			t.Errorf("%+v: findings %+v", c, p.Findings)
		}
		if p.refused(Options{Allow: []string{RuleSpace}}) != nil {
			t.Error("refused though allowed")
		}
		// Two at a time in the wave, then the one outside: 10 s each.
		if p.Bytes != 3*c.capacity || p.Waves[0].Seconds != 10 || p.Seconds != 15 || p.Destinations[0].Systems != 3 {
			t.Errorf("%+v", p)
		}
	}
}

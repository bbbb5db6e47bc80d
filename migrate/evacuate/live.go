package evacuate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cimimove/cimimove/migrate"
)

// What is kept for people to look at is bounded: of each System so many lines,
// of the throughput so many samples, which grow further apart as time passes.
const (
	maxLines   = 200
	maxSamples = 600
	firstStep  = time.Second
)

// Line is a line of a System's log.
type Line struct {
	Time time.Time
	Text string
}

// Sample is the throughput in bytes a second at a moment.
type Sample struct {
	Time time.Time
	Rate int64
}

// live is what is seen of the migrations of this process: the latest progress
// of each disk, what was said of each System, and the throughput.
type live struct {
	now func() time.Time

	mu      sync.Mutex
	moved   map[string]map[string]migrate.Event // by System, then disk and phase
	lines   map[string][]Line
	shown   map[string]int       // how many events of a System others see
	shownAt map[string]time.Time // and since when
	samples []Sample
	step    time.Duration
	bytes   int64 // moved so far, by all disks
	atLast  int64 // bytes at the last sample
	last    time.Time
}

func newLive(now func() time.Time) *live {
	return &live{now: now, moved: map[string]map[string]migrate.Event{}, lines: map[string][]Line{}, shown: map[string]int{}, shownAt: map[string]time.Time{}, step: firstStep}
}

// event takes one event of the engine.
func (l *live) event(e migrate.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.moved[e.System]
	if of == nil {
		of = map[string]migrate.Event{}
		l.moved[e.System] = of
	}
	key := e.Disk + "\x00" + e.Phase
	was, seen := of[key]
	of[key] = e
	if e.Disk != "" && e.Done > was.Done {
		l.bytes += e.Done - was.Done
	}
	if !seen {
		text := e.Phase
		if e.Disk != "" {
			text += " of " + e.Disk
		}
		l.say(e.System, text)
	} else if e.Disk != "" && e.Total > 0 && e.Done >= e.Total && was.Done < e.Total {
		l.say(e.System, fmt.Sprintf("%s of %s: %d bytes", e.Phase, e.Disk, e.Done))
	}
	l.sample()
}

// say adds a line; l.mu is held.
func (l *live) say(system, text string) {
	lines := append(l.lines[system], Line{l.now(), text})
	if len(lines) > maxLines {
		lines = lines[len(lines)-maxLines:]
	}
	l.lines[system] = lines
}

// tell adds a line to a System's log.
func (l *live) tell(system, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say(system, fmt.Sprintf(format, args...))
}

// done forgets the progress of a System that has ended.
func (l *live) done(system string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.moved, system)
	delete(l.shown, system)
	delete(l.shownAt, system)
}

// sample measures the throughput when a step has passed; l.mu is held.
func (l *live) sample() {
	now := l.now()
	if l.last.IsZero() {
		l.last = now
		l.samples = append(l.samples, Sample{now, 0})
		return
	}
	d := now.Sub(l.last)
	if d < l.step {
		return
	}
	l.samples = append(l.samples, Sample{now, int64(float64(l.bytes-l.atLast) / d.Seconds())})
	l.last, l.atLast = now, l.bytes
	if len(l.samples) > maxSamples {
		// Two become one, and the next are twice as far apart.
		half := l.samples[:0]
		for i := 0; i+1 < len(l.samples); i += 2 {
			half = append(half, Sample{l.samples[i+1].Time, (l.samples[i].Rate + l.samples[i+1].Rate) / 2})
		}
		l.samples = half
		l.step *= 2
	}
}

// Log is what happened to a System in this process, oldest first.
func (v *Evacuation) Log(system string) []Line {
	v.live.mu.Lock()
	defer v.live.mu.Unlock()
	return append([]Line(nil), v.live.lines[system]...)
}

// Throughput of the migrations of this process over time.
func (v *Evacuation) Throughput() []Sample {
	v.live.mu.Lock()
	defer v.live.mu.Unlock()
	v.live.sample()
	return append([]Sample(nil), v.live.samples...)
}

// Progress of a System's disks in this process.
func (v *Evacuation) Progress(system string) []migrate.Event {
	v.live.mu.Lock()
	defer v.live.mu.Unlock()
	var out []migrate.Event
	for _, e := range v.live.moved[system] {
		out = append(out, e)
	}
	return out
}

// Do carries out an operator's request: pause, continue, cancel or retry.
func (v *Evacuation) Do(ctx context.Context, verb, system string) error {
	c := Control{v.engine.Journal}
	switch verb {
	case "pause":
		return c.Pause(ctx, v.id)
	case "continue":
		return c.Continue(ctx, v.id)
	case "cancel":
		return c.Cancel(ctx, v.id, system)
	case "retry":
		return c.Retry(ctx, v.id, system)
	}
	return fmt.Errorf("no such request: %s", verb)
}

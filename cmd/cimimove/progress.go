package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/cimimove/cimimove/migrate"
)

// plainInterval is how often progress is written where there is no terminal:
// logs of a night's work stay readable.
const plainInterval = 10 * time.Second

// progress shows the engine's events. Its methods may be called concurrently
// and never wait for anything slower than a terminal.
type progress interface {
	event(migrate.Event)
	// stop ends the display, before anything else is printed.
	stop()
	// result is told how the command ended, after all else was printed; nil: well.
	result(*failure)
}

// newProgress chooses by --progress and by what w is.
func newProgress(mode string, quiet bool, w io.Writer) progress {
	width, tty := terminal(w)
	switch {
	case mode == "json":
		return &jsonProgress{w: w, last: map[string]time.Time{}, first: map[string]firstEvent{}}
	case mode == "none", quiet:
		return noProgress{}
	case mode == "tty", mode == "auto" && tty:
		return &barProgress{w: unwrapped(w), width: width}
	}
	return &plainProgress{w: w, now: time.Now, last: time.Now()}
}

type noProgress struct{}

func (noProgress) event(migrate.Event) {}
func (noProgress) stop()               {}
func (noProgress) result(*failure)     {}

// jsonProgress writes an event a line, at most four a second for each disk
// but always the first and the last, and at the very end one for the result.
type jsonProgress struct {
	mu    sync.Mutex
	w     io.Writer
	last  map[string]time.Time
	first map[string]firstEvent
	run   string
}

// firstEvent is when a phase of a disk was first told of, and how far it was: what
// its rate is counted from.
type firstEvent struct {
	at   time.Time
	done int64
}

func (p *jsonProgress) event(e migrate.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = e.Run
	key := e.System + "\x00" + e.Disk + "\x00" + e.Phase
	now := time.Now().UTC()
	// Commands without a run tell of their disks as they go, without a clock.
	if e.Time.IsZero() {
		e.Time = now
	}
	begun, seen := p.first[key]
	if !seen || e.Done < begun.done { // a disk that starts over counts from there
		begun = firstEvent{e.Time, e.Done}
		p.first[key] = begun
	}
	if took := e.Time.Sub(begun.at); took > 0 && e.Rate == 0 && countsBytes(e) {
		e.Rate = int64(float64(e.Done-begun.done) / took.Seconds())
	}
	if seen, ok := p.last[key]; ok && e.Done < e.Total && now.Sub(seen) < 250*time.Millisecond {
		return
	}
	p.last[key] = now
	p.line(eventLine{e.Time, e.Run, e.System, e.Disk, e.Phase, e.Done, e.Total, e.Rate})
}

// eventLine is an event with every field that cli.md names, empty ones too.
type eventLine struct {
	Time   time.Time `json:"time"`
	Run    string    `json:"run"`
	System string    `json:"system"`
	Disk   string    `json:"disk"`
	Phase  string    `json:"phase"`
	Done   int64     `json:"done"`
	Total  int64     `json:"total"`
	Rate   int64     `json:"rate"`
}

type resultLine struct {
	Time    time.Time `json:"time"`
	Run     string    `json:"run"`
	Phase   string    `json:"phase"`
	Code    int       `json:"code"`
	Outcome string    `json:"outcome"` // "done" or the class of the error
	Error   *failure  `json:"error,omitempty"`
}

func (p *jsonProgress) line(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return
	}
	p.w.Write(append(b, '\n'))
}

func (p *jsonProgress) stop() {}

func (p *jsonProgress) result(f *failure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := resultLine{time.Now().UTC(), p.run, "result", 0, migrate.ClassDone.String(), f}
	if f != nil {
		l.Code, l.Outcome = f.Code, f.Class
	}
	p.line(l)
}

// plainProgress writes at most one line every plainInterval; what takes less
// time than that writes none.
type plainProgress struct {
	mu   sync.Mutex
	w    io.Writer
	now  func() time.Time
	last time.Time
}

func (p *plainProgress) event(e migrate.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.last) < plainInterval {
		return
	}
	p.last = now
	fmt.Fprintln(p.w, describe(e))
}

func (p *plainProgress) stop()           {}
func (p *plainProgress) result(*failure) {}

// countsBytes: an event that names a disk counts bytes, others steps or percent.
func countsBytes(e migrate.Event) bool { return e.Disk != "" }

func describe(e migrate.Event) string {
	s := strings.TrimSpace(e.System + " " + e.Disk)
	s += ": " + e.Phase
	if e.Note != "" {
		s += " " + e.Note
	}
	if e.Total > 0 {
		s += fmt.Sprintf(" %d %%", int64(float64(e.Done)*100/float64(e.Total)))
		if countsBytes(e) {
			s += " of " + humanize.IBytes(uint64(e.Total))
		}
	}
	if e.Rate > 0 {
		s += fmt.Sprintf(", %s/s", humanize.IBytes(uint64(e.Rate)))
	}
	return s
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/cheggaaa/pb/v3"
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
	// done ends the display; outcome is "ok" or the class of the error.
	done(outcome string)
}

// newProgress chooses by --progress and by what w is.
func newProgress(mode string, quiet bool, w io.Writer) (progress, error) {
	width, tty := terminal(w)
	switch {
	case mode == "json":
		return &jsonProgress{w: w, last: map[string]time.Time{}}, nil
	case mode == "none", quiet && (mode == "auto" || mode == "plain" || mode == "tty"):
		return noProgress{}, nil
	case mode == "tty", mode == "auto" && tty:
		return &barProgress{w: w, width: width, bars: map[string]*pb.ProgressBar{}}, nil
	case mode == "plain", mode == "auto":
		return &plainProgress{w: w, now: time.Now, last: time.Now()}, nil
	}
	return nil, usage("--progress is auto, tty, plain, json or none, not %q", mode)
}

type noProgress struct{}

func (noProgress) event(migrate.Event) {}
func (noProgress) done(string)         {}

// jsonProgress writes an event a line, at most four a second for each disk
// but always the first and the last.
type jsonProgress struct {
	mu   sync.Mutex
	w    io.Writer
	last map[string]time.Time
	run  string
}

func (p *jsonProgress) event(e migrate.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run = e.Run
	key := e.System + "\x00" + e.Disk + "\x00" + e.Phase
	now := time.Now()
	if seen, ok := p.last[key]; ok && e.Done < e.Total && now.Sub(seen) < 250*time.Millisecond {
		return
	}
	p.last[key] = now
	p.line(e)
}

func (p *jsonProgress) line(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return
	}
	p.w.Write(append(b, '\n'))
}

func (p *jsonProgress) done(outcome string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(struct {
		Time    time.Time `json:"time"`
		Run     string    `json:"run,omitempty"`
		Phase   string    `json:"phase"`
		Outcome string    `json:"outcome"`
	}{time.Now().UTC(), p.run, "result", outcome})
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

func (p *plainProgress) done(string) {}

// countsBytes: an event that names a disk counts bytes, others steps or percent.
func countsBytes(e migrate.Event) bool { return e.Disk != "" }

func describe(e migrate.Event) string {
	s := strings.TrimSpace(e.System + " " + e.Disk)
	s += ": " + e.Phase
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

// stepTemplate is for what counts steps, not bytes.
const stepTemplate pb.ProgressBarTemplate = `{{string . "name"}} {{bar . "[" "=" ">" " " "]"}} {{percent . }}`

// barTemplate fits 80 columns: name, bar, share, rate and time left.
const barTemplate pb.ProgressBarTemplate = `{{string . "name"}} {{bar . "[" "=" ">" " " "]"}} {{percent . }} {{speed . "%s/s" " "}} {{rtime . "ETA %s" "%s" " "}}`

// barProgress shows a bar for each disk that moves.
type barProgress struct {
	mu    sync.Mutex
	w     io.Writer
	width int
	pool  *pb.Pool
	bars  map[string]*pb.ProgressBar
}

func (p *barProgress) event(e migrate.Event) {
	if e.Total <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := e.System + "\x00" + e.Disk + "\x00" + e.Phase
	bar := p.bars[key]
	if bar == nil {
		name := e.Phase + " " + e.System
		if e.Disk != "" && e.System != "" {
			name += "/"
		}
		name += e.Disk
		bar = pb.New64(e.Total).SetTemplate(stepTemplate)
		if countsBytes(e) {
			bar.SetTemplate(barTemplate).Set(pb.Bytes, true)
		}
		bar.Set("name", fit(name, 28)).SetWidth(p.width)
		p.bars[key] = bar
		if p.pool == nil {
			p.pool = pb.NewPool()
			p.pool.Output = p.w
			if err := p.pool.Start(); err != nil {
				p.pool = nil
				bar.SetWriter(p.w).Start()
			}
		}
		if p.pool != nil {
			p.pool.Add(bar)
		}
	}
	bar.SetCurrent(e.Done)
	if e.Done >= e.Total {
		bar.Finish()
	}
}

func (p *barProgress) done(string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.bars {
		b.Finish()
	}
	if p.pool != nil {
		p.pool.Stop()
	}
}

// fit shortens a name in the middle, where names differ least.
func fit(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return fmt.Sprintf("%-*s", width, s)
	}
	half := (width - 1) / 2
	return string(r[:half]) + "…" + string(r[len(r)-(width-1-half):])
}

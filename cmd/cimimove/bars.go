package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cheggaaa/pb/v3"

	"github.com/cimimove/cimimove/migrate"
)

const (
	// drawEvery is how often bars are drawn anew.
	drawEvery = 200 * time.Millisecond
	// mostBars are drawn at once: terminals have 24 rows at least, and what
	// scrolled away cannot be drawn over.
	mostBars = 20
)

// stepTemplate is for what counts steps, not bytes.
const stepTemplate pb.ProgressBarTemplate = `{{string . "name"}} {{bar . "[" "=" ">" " " "]"}} {{percent . }}`

// barTemplate fits 80 columns: name, bar, share, rate and time left.
const barTemplate pb.ProgressBarTemplate = `{{string . "name"}} {{bar . "[" "=" ">" " " "]"}} {{percent . }} {{speed . "%s/s" " "}} {{rtime . "ETA %s" "%s" " "}}`

// barProgress shows a bar for each disk that moves. Those that are full scroll
// up and stay; the others are drawn below them, again and again. pb's own pool
// is not used: it reads the size of the controlling terminal, which may have
// none, and puts it into raw mode.
type barProgress struct {
	w              io.Writer
	width          int
	stopped, ended chan struct{}

	mu     sync.Mutex
	active []*shownBar // in the order in which they began
	drawn  int         // lines that the next drawing replaces
}

type shownBar struct {
	*pb.ProgressBar
	of migrate.Event // what it counts, without numbers
}

// begin draws from the first bar on.
func (p *barProgress) begin() {
	p.stopped, p.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(p.ended)
		for tick := time.NewTicker(drawEvery); ; {
			select {
			case <-tick.C:
				p.draw()
			case <-p.stopped:
				tick.Stop()
				p.draw()
				return
			}
		}
	}()
}

func (p *barProgress) event(e migrate.Event) {
	if e.Total <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	of := migrate.Event{System: e.System, Disk: e.Disk, Phase: e.Phase}
	i := slices.IndexFunc(p.active, func(b *shownBar) bool { return b.of == of })
	if i < 0 {
		if p.stopped == nil {
			p.begin()
		}
		i = len(p.active)
		p.active = append(p.active, p.newBar(e, of))
	}
	p.active[i].SetTotal(e.Total).SetCurrent(e.Done)
}

func (p *barProgress) newBar(e, of migrate.Event) *shownBar {
	name := e.Phase + " " + e.System
	if e.Disk != "" && e.System != "" {
		name += "/"
	}
	name += e.Disk
	bar := pb.New64(e.Total).SetTemplate(stepTemplate)
	if countsBytes(e) {
		bar.SetTemplate(barTemplate).Set(pb.Bytes, true)
	}
	// Static: it writes nothing of its own.
	bar.Set(pb.Static, true).Set("name", fit(oneLineOf(name), 28)).SetWidth(p.width)
	return &shownBar{bar.Start(), of}
}

// draw replaces what was drawn by the bars as they are now.
func (p *barProgress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.active) == 0 {
		return
	}
	var out strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", p.drawn)
	}
	line := func(b *shownBar) { fmt.Fprintf(&out, "\r%s\x1b[K\n", b.String()) }
	moving := p.active[:0]
	for _, b := range p.active {
		if b.Current() < b.Total() {
			moving = append(moving, b)
			continue
		}
		b.Finish()
		line(b)
	}
	clear(p.active[len(moving):])
	p.active = moving
	shown := moving[:min(len(moving), mostBars)]
	for _, b := range shown {
		line(b)
	}
	// Fewer lines than before: the rest is wiped.
	out.WriteString("\x1b[J")
	p.drawn = len(shown)
	io.WriteString(p.w, out.String())
}

func (p *barProgress) stop() {
	if p.stopped == nil {
		return
	}
	close(p.stopped)
	<-p.ended
}

func (p *barProgress) result(*failure) {}

// fit shortens a name in the middle, where names differ least.
func fit(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return fmt.Sprintf("%-*s", width, s)
	}
	half := (width - 1) / 2
	return string(r[:half]) + "…" + string(r[len(r)-(width-1-half):])
}

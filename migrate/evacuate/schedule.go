package evacuate

import (
	"fmt"
	"time"

	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/migrate/runbook"
)

// work is an item with what the journal knows of it.
type work struct {
	item runbook.Item
	row  journal.Item
	// held: somebody works on it, in this process or another.
	held bool
}

// agenda is all that a decision is made on.
type agenda struct {
	rb     *runbook.Runbook
	works  []*work // in the order of the runbook
	paused bool
	now    time.Time
	// parallel is the default of Limits.Systems, 0 for none.
	parallel int
}

// decision says what to begin now, and when to look again.
type decision struct {
	start []int // indexes of works
	// wake is when a window, or the time to wait before a retry, allows more;
	// zero when only the end of something under way does.
	wake time.Time
	// over: nothing is under way and nothing can be begun any more.
	over bool
	// reasons tells of works that are not begun why, for status and report.
	reasons map[int]string
}

// good tells whether an item ended as it should.
func good(s journal.State) bool {
	return s == journal.Verified || s == journal.Done || s == journal.Skipped
}

// settled tells whether nothing more happens to an item unless it is asked for.
func settled(s journal.State) bool {
	return good(s) || s == journal.Failed || s == journal.Cancelled || s == journal.RolledBack
}

// load counts what moves.
type load struct{ systems, disks int }

func (l load) bears(limit runbook.Limits, disks int) bool {
	// A System with more disks than the limit moves alone.
	return (limit.Systems == 0 || l.systems < limit.Systems) && (limit.Disks == 0 || l.disks == 0 || l.disks+disks <= limit.Disks)
}

// decide is the whole policy of an evacuation, without any effect.
func (a *agenda) decide() decision {
	d := decision{reasons: map[int]string{}}
	var (
		total  load
		byEnd  = map[string]load{} // by endpoint
		byWave = map[string]load{}
		active int
	)
	count := func(w *work) {
		n := max(1, w.row.Disks)
		add := func(l load) load { return load{l.systems + 1, l.disks + n} }
		total = add(total)
		for _, e := range endpoints(w.item) {
			byEnd[e] = add(byEnd[e])
		}
		byWave[w.item.Wave] = add(byWave[w.item.Wave])
		active++
	}
	for _, w := range a.works {
		// Whoever holds a work is not done with it, though its row may already
		// say how the attempt ended.
		if w.held {
			count(w)
		}
	}
	waves := a.waves()
	verified := map[string]bool{}
	fate := map[string]string{} // of Systems that ended badly
	for _, w := range a.works {
		switch {
		case good(w.row.State):
			verified[w.item.System] = true
		case settled(w.row.State):
			fate[w.item.System] = string(w.row.State)
		}
	}
	stopped := a.stopped()
	wake := func(t time.Time) {
		if !t.IsZero() && (d.wake.IsZero() || t.Before(d.wake)) {
			d.wake = t
		}
	}
	resting := false
	limits := a.rb.Limits
	if limits.Systems == 0 {
		limits.Systems = a.parallel
	}
	for n, w := range a.works {
		if settled(w.row.State) || w.held {
			continue
		}
		wave := waves[w.item.Wave]
		switch {
		case a.paused:
			resting = true
			d.reasons[n] = "the runbook is paused"
			continue
		case stopped != "":
			d.reasons[n] = "not begun: " + stopped + " failed, and the runbook says stop"
			continue
		case wave.halted != "":
			d.reasons[n] = "not begun: " + wave.halted
			continue
		case wave.waits != "":
			d.reasons[n] = "waits for wave " + wave.waits
			continue
		}
		if reason := after(w.item, verified, fate); reason != "" {
			d.reasons[n] = reason
			continue
		}
		if at := w.row.NotBefore; at.After(a.now) {
			d.reasons[n] = "is tried again at " + at.Format(time.RFC3339)
			wake(at)
			continue
		}
		if open, at := a.open(wave.Wave); !open {
			d.reasons[n] = "waits for its window, which opens " + at.Format(time.RFC3339)
			wake(at)
			continue
		}
		disks := max(1, w.row.Disks)
		bears := total.bears(limits, disks) && byWave[w.item.Wave].bears(wave.Limits, disks)
		for _, e := range endpoints(w.item) {
			bears = bears && byEnd[e].bears(a.rb.Endpoints[e].Limits, disks)
		}
		if !bears {
			d.reasons[n] = "waits for others to end"
			continue
		}
		d.start = append(d.start, n)
		count(w)
	}
	d.over = active == 0 && d.wake.IsZero() && !resting
	return d
}

// endpoints of an item: one, when it moves within a cloud.
func endpoints(i runbook.Item) []string {
	if i.Source == i.Destination {
		return []string{i.Source}
	}
	return []string{i.Source, i.Destination}
}

// waveState is a wave and why nothing of it may be begun.
type waveState struct {
	runbook.Wave
	waits  string // a wave that has not ended
	halted string // why it never will
	ended  bool
}

// waves looks at every wave, in the order they run in.
func (a *agenda) waves() map[string]waveState {
	open, failed := map[string]int{}, map[string]string{}
	for _, w := range a.works {
		if !settled(w.row.State) {
			open[w.item.Wave]++
		}
		if w.row.State == journal.Failed && failed[w.item.Wave] == "" {
			failed[w.item.Wave] = w.item.System
		}
	}
	out := map[string]waveState{"": {Wave: runbook.Wave{OnFailure: a.rb.OnFailure}}}
	for _, w := range a.rb.Waves {
		s := waveState{Wave: w}
		for _, name := range w.After {
			before := out[name]
			switch {
			case before.halted != "":
				s.halted = "wave " + name + " was stopped"
			case !before.ended:
				s.waits = name
			}
		}
		if f := failed[w.Name]; f != "" && w.OnFailure == runbook.StopWave && s.halted == "" {
			s.halted = f + " failed, and its wave is stopped"
		}
		s.ended = s.waits == "" && s.halted == "" && open[w.Name] == 0
		out[w.Name] = s
	}
	return out
}

// stopped names the failed System that stops everything, empty for none.
func (a *agenda) stopped() string {
	for _, w := range a.works {
		if w.row.State != journal.Failed {
			continue
		}
		policy := a.rb.OnFailure
		if w.item.Wave != "" {
			policy = a.rb.Wave(w.item.Wave).OnFailure
		}
		if policy == runbook.Stop {
			return w.item.System
		}
	}
	return ""
}

// after tells why an item must wait for others; empty when it need not.
func after(i runbook.Item, verified map[string]bool, fate map[string]string) string {
	for _, s := range i.After {
		if verified[s] {
			continue
		}
		if f := fate[s]; f != "" {
			return fmt.Sprintf("not begun: %s, which it is after, is %s", s, f)
		}
		return "waits for " + s
	}
	return ""
}

// open tells whether the windows of the runbook and of a wave are both open,
// else when to look again.
func (a *agenda) open(w runbook.Wave) (bool, time.Time) {
	all, _, _, next := runbook.OpenAt(a.rb.Windows, a.now)
	if !all {
		return false, next
	}
	own, _, _, next := runbook.OpenAt(w.Windows, a.now)
	return own, next
}

// closes is when the windows of a wave close for what is under way; false when
// they do not, or let it finish.
func (a *agenda) closes(w runbook.Wave) (time.Time, bool) {
	var at time.Time
	for _, windows := range [][]runbook.Window{a.rb.Windows, w.Windows} {
		open, finish, until, _ := runbook.OpenAt(windows, a.now)
		if open && !finish && !until.IsZero() && (at.IsZero() || until.Before(at)) {
			at = until
		}
	}
	return at, !at.IsZero()
}

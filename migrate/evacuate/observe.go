package evacuate

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/migrate/journal"
)

// maxShown bounds how much of a run is shown to others, in bytes: some
// thousands of disks.
const maxShown = 1 << 20

// show keeps what is seen of a System that moves here in the journal, where it
// is one of many machines: at once when a phase begins, else every so often.
// What cannot be written is seen the next time.
func (v *Evacuation) show(e migrate.Event) {
	if !v.engine.Journal.Shared() || e.Run == "" {
		return
	}
	l := v.live
	l.mu.Lock()
	events := slices.Collect(maps.Values(l.moved[e.System]))
	due := l.shown[e.System] != len(events) || l.now().Sub(l.shownAt[e.System]) >= v.opts.Poll
	if due {
		l.shown[e.System], l.shownAt[e.System] = len(events), l.now()
	}
	l.mu.Unlock()
	if !due {
		return
	}
	doc, err := json.Marshal(events)
	if err == nil && len(doc) <= maxShown {
		_ = v.engine.Journal.Show(context.Background(), e.Run, doc)
	}
}

// observe keeps for those who watch what the journal knows of Systems that other
// processes move. What cannot be read is seen the next time.
func (v *Evacuation) observe(ctx context.Context) {
	var running []journal.Item
	v.mu.Lock()
	for _, w := range v.works {
		row := w.row
		if _, ours := v.stops[row.Key]; ours {
			continue
		}
		if was := v.seen[row.Key]; was != row.State {
			v.seen[row.Key] = row.State
			v.live.state(row)
		}
		if row.State == journal.Running && row.Run != "" {
			running = append(running, row)
		}
	}
	v.mu.Unlock()
	for _, row := range running {
		doc, err := v.engine.Journal.Shown(ctx, row.Run)
		if err != nil || len(doc) == 0 {
			continue
		}
		var events []migrate.Event
		if json.Unmarshal(doc, &events) != nil {
			continue // another version wrote it
		}
		slices.SortStableFunc(events, func(a, b migrate.Event) int { return a.Time.Compare(b.Time) })
		for _, e := range events {
			if e.System == row.System {
				v.live.elsewhere(e)
			}
		}
	}
	if len(running) > 0 {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.changed()
	}
}

// state tells how a System stands that another process moves.
func (l *live) state(row journal.Item) {
	switch {
	case row.State == journal.Running:
		l.tell(row.System, "begun by a worker, attempt %d", row.Attempts)
		return
	case row.State == journal.Pending && row.Attempts == 0:
		return // nothing has happened yet
	}
	l.done(row.System)
	l.tell(row.System, "%s", row.State)
	if f := failureOf(row); f != nil {
		l.tell(row.System, "%s", f.Message)
	}
}

// elsewhere takes what another process has moved, once.
func (l *live) elsewhere(e migrate.Event) {
	l.mu.Lock()
	was, seen := l.moved[e.System][e.Disk+"\x00"+e.Phase]
	l.mu.Unlock()
	if !seen || e.Time.After(was.Time) {
		l.event(e)
	}
}

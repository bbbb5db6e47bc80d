package runbook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	_ "time/tzdata" // zones on machines that have no database of them
)

// Window is a time of the week in which Systems may move: on Days, from From
// to To in Zone; a To that is not after From is on the next day.
type Window struct {
	Days     []time.Weekday // empty: every day
	From, To time.Duration  // since midnight, by the clock on the wall
	Zone     *time.Location
	// Finish: what is under way when the window closes goes on; otherwise it is
	// interrupted, sources that were stopped are started again, and the next
	// window takes it up.
	Finish bool
}

// WindowForm is how a Window is written.
type WindowForm struct {
	Days []string `yaml:"days,omitempty" jsonschema:"description=mon tue wed thu fri sat sun; those on which it opens (default all)"`
	From string   `yaml:"from" jsonschema:"pattern=^[0-2][0-9]:[0-5][0-9]$,description=When it opens such as 22:00"`
	To   string   `yaml:"to" jsonschema:"pattern=^[0-2][0-9]:[0-5][0-9]$,description=When it closes; on the next day when not after from"`
	Zone string   `yaml:"zone,omitempty" jsonschema:"description=Time zone such as Europe/Berlin (default UTC)"`
	End  string   `yaml:"end,omitempty" jsonschema:"enum=interrupt,enum=finish,description=What happens to Systems under way when it closes (default interrupt)"`
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// window reads the form.
func (f WindowForm) window() (Window, error) {
	w := Window{Zone: time.UTC}
	for _, d := range f.Days {
		n := slices.Index(weekdays, strings.ToLower(d))
		if n < 0 {
			return w, fmt.Errorf("day %q is not one of mon, tue, wed, thu, fri, sat, sun", d)
		}
		w.Days = append(w.Days, time.Weekday(n))
	}
	for _, t := range []struct {
		text, name string
		to         *time.Duration
	}{{f.From, "from", &w.From}, {f.To, "to", &w.To}} {
		at, err := time.Parse("15:04", t.text)
		if err != nil && t.text == "24:00" {
			at, err = at.Add(24*time.Hour), nil
		}
		if err != nil {
			return w, fmt.Errorf("%s is %q; a time of day is written 22:00", t.name, t.text)
		}
		*t.to = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	if f.Zone != "" {
		z, err := time.LoadLocation(f.Zone)
		if err != nil {
			return w, fmt.Errorf("zone %q is not a time zone such as Europe/Berlin", f.Zone)
		}
		w.Zone = z
	}
	switch f.End {
	case "finish":
		w.Finish = true
	case "", "interrupt":
	default:
		return w, fmt.Errorf("end is %q; it is interrupt or finish", f.End)
	}
	return w, nil
}

// on is the window that opens on the day of t in its zone, if one does.
func (w Window) on(t time.Time) (open, shut time.Time, ok bool) {
	if len(w.Days) > 0 && !slices.Contains(w.Days, t.Weekday()) {
		return open, shut, false
	}
	// time.Date takes the clock on the wall, so days of 23 and 25 hours are right.
	at := func(day int, d time.Duration) time.Time {
		return time.Date(t.Year(), t.Month(), t.Day()+day, int(d/time.Hour), int(d/time.Minute)%60, 0, 0, w.Zone)
	}
	open = at(0, w.From)
	if w.To > w.From {
		return open, at(0, w.To), true
	}
	return open, at(1, w.To), true
}

// Open tells whether the window is open at now, and until when.
func (w Window) Open(now time.Time) (until time.Time, open bool) {
	now = now.In(w.Zone)
	for _, day := range []int{-1, 0} {
		if from, to, ok := w.on(now.AddDate(0, 0, day)); ok && !now.Before(from) && now.Before(to) {
			return to, true
		}
	}
	return time.Time{}, false
}

// Next is when the window opens after now.
func (w Window) Next(now time.Time) time.Time {
	now = now.In(w.Zone)
	for day := 0; day <= 8; day++ {
		if from, _, ok := w.on(now.AddDate(0, 0, day)); ok && from.After(now) {
			return from
		}
	}
	return time.Time{} // not reached: some day of the week is one of Days
}

// OpenAt tells whether one of the windows is open at now, or there are none;
// until is when the last of those closes that follow upon each other without a
// gap, zero without windows and where there is no gap in a week. When none is
// open, next is when the first opens.
func OpenAt(windows []Window, now time.Time) (open, finish bool, until, next time.Time) {
	if len(windows) == 0 {
		return true, true, until, next
	}
	at := now
	for longer := true; longer; {
		longer = false
		for _, w := range windows {
			if u, ok := w.Open(at); ok && u.After(until) {
				open, longer = true, true
				until, finish = u, w.Finish
			}
		}
		if at = until; until.Sub(now) > 8*24*time.Hour {
			until, longer = time.Time{}, false
		}
	}
	for _, w := range windows {
		if n := w.Next(now); next.IsZero() || n.Before(next) {
			next = n
		}
	}
	return open, finish, until, next
}

// form is how a window is written.
func (w Window) form() WindowForm {
	clock := func(d time.Duration) string { return fmt.Sprintf("%02d:%02d", d/time.Hour, d/time.Minute%60) }
	f := WindowForm{From: clock(w.From), To: clock(w.To), Zone: w.Zone.String()}
	for _, d := range w.Days {
		f.Days = append(f.Days, weekdays[d])
	}
	if w.Finish {
		f.End = "finish"
	}
	return f
}

// MarshalJSON writes the form, for the journal.
func (w Window) MarshalJSON() ([]byte, error) { return json.Marshal(w.form()) }

// UnmarshalJSON reads it.
func (w *Window) UnmarshalJSON(b []byte) error {
	var f WindowForm
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	var err error
	*w, err = f.window()
	return err
}

package migrate

import (
	"log/slog"
	"time"
)

// Observer is told of what the engine does, for metrics. Its methods may be
// called concurrently and must not block.
type Observer interface {
	// RunBegan and RunEnded tell of a run in this process; state and class are
	// those of its Report.
	RunBegan(source, destination string)
	RunEnded(source, destination, state, class string)
	// StepEnded tells how long a step, or a hook, took.
	StepEnded(step string, took time.Duration, failed bool)
	// Moved tells of bytes read from a source for a destination.
	Moved(source, destination string, bytes int64)
}

// unobserved is nobody.
type unobserved struct{}

func (unobserved) RunBegan(string, string)                 {}
func (unobserved) RunEnded(string, string, string, string) {}
func (unobserved) StepEnded(string, time.Duration, bool)   {}
func (unobserved) Moved(string, string, int64)             {}

func (e *Engine) observer() Observer {
	if e.Observer != nil {
		return e.Observer
	}
	return unobserved{}
}

func (e *Engine) logger() *slog.Logger {
	if e.Log != nil {
		return e.Log
	}
	return slog.New(slog.DiscardHandler)
}

// log is the logger of a run: every record says which run and System it is of.
func (r *run) log() *slog.Logger { return r.engine.logger().With("run", r.id, "system", r.System) }

// wait says what the run waits for, and since when.
func (r *run) wait(what string, since time.Time) {
	note := what + ", since " + since.Format(time.TimeOnly)
	r.feed.emit(Event{Run: r.id, System: r.System, Phase: "waiting", Note: note})
	r.log().Info("waiting", "for", what, "since", since.UTC())
}

// timed does a step or a hook, and tells of it.
func (r *run) timed(s Step, do func() error) error {
	started := time.Now()
	r.log().Info("begins", "step", string(s))
	err := do()
	took := time.Since(started)
	if err == nil {
		r.log().Info("ended", "step", string(s), "took", took.Round(time.Millisecond))
	} else {
		r.log().Info("failed", "step", string(s), "took", took.Round(time.Millisecond), "class", ClassOf(err).String(), "error", err.Error())
	}
	r.engine.observer().StepEnded(stepName(s), took, err != nil)
	return err
}

// stepName keeps the number of names small: hooks count as one.
func stepName(s Step) string {
	if len(s) > 5 && s[:5] == "hook " {
		return "hook"
	}
	return string(s)
}

package migrate

import (
	"sync"
	"time"
)

// Event is progress of the engine. Done and Total are in bytes for the phases
// transfer and verify, which name a Disk; in other phases they count steps or
// percent. Rate is in bytes a second, 0 when unknown.
type Event struct {
	Time   time.Time `json:"time"`
	Run    string    `json:"run,omitempty"`
	System string    `json:"system,omitempty"`
	Disk   string    `json:"disk,omitempty"`
	Phase  string    `json:"phase"`
	Done   int64     `json:"done"`
	Total  int64     `json:"total"`
	Rate   int64     `json:"rate"`
	// Note says what is waited for, and since when.
	Note string `json:"note,omitempty"`
}

// feed carries events to one listener without ever blocking who emits them:
// a listener that is slow misses intermediate values, never the last one.
type feed struct {
	mu      sync.Mutex
	pending map[Event]*Event // by key, the latest value
	order   []Event          // keys, oldest first
	since   map[Event]mark   // start of each phase, for the rate
	wake    chan struct{}
	done    chan struct{}
	closed  bool
}

type mark struct {
	at   time.Time
	done int64
}

func newFeed(listener func(Event)) *feed {
	f := &feed{pending: map[Event]*Event{}, since: map[Event]mark{}, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if listener == nil {
		f.closed = true
		close(f.done)
		return f
	}
	go func() {
		defer close(f.done)
		for range f.wake {
			for e, ok := f.next(); ok; e, ok = f.next() {
				listener(e)
			}
		}
	}()
	return f
}

func (f *feed) next() (Event, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.order) == 0 {
		return Event{}, false
	}
	k := f.order[0]
	f.order = f.order[1:]
	e := *f.pending[k]
	delete(f.pending, k)
	return e, true
}

// emit tells the listener, later, of e.
func (f *feed) emit(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	key := Event{Run: e.Run, System: e.System, Disk: e.Disk, Phase: e.Phase}
	start, seen := f.since[key]
	if !seen || e.Done < start.done {
		start = mark{e.Time, e.Done}
		f.since[key] = start
	}
	if d := e.Time.Sub(start.at); d > 0 && e.Rate == 0 && e.Disk != "" {
		e.Rate = int64(float64(e.Done-start.done) / d.Seconds())
	}
	if e.Total > 0 && e.Done >= e.Total {
		delete(f.since, key)
	}
	if p := f.pending[key]; p != nil {
		*p = e
	} else {
		f.pending[key] = &e
		f.order = append(f.order, key)
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// close delivers what is pending and ends the feed.
func (f *feed) close() {
	f.mu.Lock()
	was := f.closed
	f.closed = true
	f.mu.Unlock()
	if !was {
		select {
		case f.wake <- struct{}{}:
		default:
		}
		close(f.wake)
	}
	<-f.done
}

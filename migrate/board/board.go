// Package board shows people what moves: a web page that follows an
// evacuation, or the Jobs of a cloud, and the same as one HTML file at the end.
//
// A Board is a picture of everything at one moment; a Source gives one
// whenever it changes. The page needs nothing from outside, works with a
// keyboard and a screen reader, and changes nothing unless a token is given.
package board

import (
	"context"
	"time"
)

// Board is everything that there is to see at one moment.
type Board struct {
	Title    string    `json:"title"`
	Subtitle string    `json:"subtitle,omitempty"`
	State    string    `json:"state"` // running, paused, ended, failed, interrupted, planned, idle
	Time     time.Time `json:"time"`
	Started  time.Time `json:"started"`
	Lanes    []Lane    `json:"lanes"`
	Totals   Totals    `json:"totals"`
	// Things, Done and Failed are the words for what Totals count.
	Things string `json:"things"`
	Done   string `json:"done"`
	Failed string `json:"failed"`
	// Rates is the throughput over time, oldest first.
	Rates []Sample `json:"rates"`
	// Controls: the source takes requests (Controller).
	Controls bool `json:"controls"`
	// Over: this is the last picture, and who made it is gone.
	Over bool `json:"over,omitempty"`
}

// Totals count Systems, and bytes of disks.
type Totals struct {
	Systems int `json:"systems"`
	Done    int `json:"done"`
	Failed  int `json:"failed"`
	// Cancelled by an operator, or undone.
	Cancelled int   `json:"cancelled,omitempty"`
	Running   int   `json:"running"`
	Waiting   int   `json:"waiting"`
	Bytes     int64 `json:"bytes"` // capacity of what is done
	Rate      int64 `json:"rate"`  // bytes a second now
	// Seconds from the beginning of the first until now, or the end of the last.
	Seconds float64 `json:"seconds,omitempty"`
}

// Lane is a wave, or another set of Systems that belong together.
type Lane struct {
	Name  string `json:"name"`
	State string `json:"state"` // waiting, running, ended, stopped
	// Note says more than the state: when a planned wave begins.
	Note  string `json:"note,omitempty"`
	Cards []Card `json:"cards"`
}

// Card is one System.
type Card struct {
	ID      string     `json:"id"` // names it in requests
	System  string     `json:"system"`
	Name    string     `json:"name,omitempty"` // at the destination
	State   string     `json:"state"`
	Step    string     `json:"step,omitempty"`
	Reason  string     `json:"reason,omitempty"` // why it is not begun
	Disks   []Bar      `json:"disks,omitempty"`
	Bytes   int64      `json:"bytes,omitempty"`
	Started *time.Time `json:"started,omitempty"`
	Ended   *time.Time `json:"ended,omitempty"`
	Error   string     `json:"error,omitempty"`
	Hint    string     `json:"hint,omitempty"`
	// Proof is there when it has ended: the digests of each disk on both sides.
	Proof    []Proof  `json:"proof,omitempty"`
	Findings []string `json:"findings,omitempty"`
	Rate     int64    `json:"rate,omitempty"`     // bytes a second, of the whole
	Downtime float64  `json:"downtime,omitempty"` // seconds that machines stood still
	// Log goes along with the last picture of what failed.
	Log []Line `json:"log,omitempty"`
}

// Proof are the content digests of a disk.
type Proof struct {
	Disk        string `json:"disk"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Verified    bool   `json:"verified"`
}

// Bar is how far a disk is, in bytes; a rate of 0 is not known.
type Bar struct {
	Disk  string `json:"disk"`
	Phase string `json:"phase"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
	Rate  int64  `json:"rate,omitempty"`
}

// Sample is the throughput in bytes a second at a moment.
type Sample struct {
	Time time.Time `json:"time"`
	Rate int64     `json:"rate"`
}

// Line is a line of a System's log.
type Line struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// Source gives Boards. Its methods may be called concurrently.
type Source interface {
	Board(ctx context.Context) (*Board, error)
	// Watch gives a channel that is sent to, without waiting, when something has
	// changed; stop ends it.
	Watch() (changes <-chan struct{}, stop func())
	// Log is what happened to one System, oldest first.
	Log(ctx context.Context, card string) ([]Line, error)
}

// Controller is a Source that takes an operator's requests.
type Controller interface {
	// Do carries out pause, continue, cancel or retry; card is empty where the
	// whole is meant.
	Do(ctx context.Context, verb, card string) error
}

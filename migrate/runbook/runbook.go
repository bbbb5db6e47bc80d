// Package runbook reads what a batch evacuation moves, when and how: YAML,
// strictly, with the line and column of everything that is wrong.
//
// A runbook names its endpoints, the Systems (by name, or by a selection that
// the clouds answer), the waves and the windows of time they move in, limits,
// retries and what a failure does to the rest. It never holds credentials:
// secrets are referred to (Value). What a System does not say is taken from
// its wave, then from defaults.
package runbook

import (
	"errors"
	"strings"
	"time"
)

// Version is the version of the form that this package reads.
const Version = 1

// ErrInvalid: the runbook cannot be read or breaks its rules.
var ErrInvalid = errors.New("runbook is not valid")

// Runbook is a parsed runbook. Items are resolved: every field that a wave or
// defaults fill is filled. Items with a Select stand for the Systems that a
// cloud lists; Expand puts those in their place.
type Runbook struct {
	// Name is the absolute path of the file, or what Parse was given.
	Name      string
	Endpoints map[string]Endpoint
	// Waves in the order they can run in: each stands behind those it is after.
	Waves  []Wave
	Items  []Item
	Limits Limits
	// Windows bound everything, waves' own windows included.
	Windows   []Window
	Retries   Retries
	OnFailure OnFailure
	Notify    []Notify
	Vars      map[string]string
}

// Wave is a named set of Systems that move together.
type Wave struct {
	Name string
	// After names the waves that must have ended before this one begins.
	After     []string
	Windows   []Window
	Limits    Limits
	OnFailure OnFailure
	Line      int
}

// Endpoint is a cloud. URL is whatever the command line takes as an endpoint.
type Endpoint struct {
	URL    string `yaml:"url" jsonschema:"description=The cloud as the command line names it: the URL of its entry point or local:DIR or @name of the configuration file (where its credentials stand)"`
	Limits Limits `yaml:"limits,omitempty" jsonschema:"description=What this cloud bears whatever the total allows"`
}

// Limits: 0 is no limit of this kind.
type Limits struct {
	Systems   int      `yaml:"systems,omitempty" jsonschema:"minimum=0,description=Systems moved at the same time"`
	Disks     int      `yaml:"disks,omitempty" jsonschema:"minimum=0,description=Disks moved at the same time"`
	Bandwidth ByteRate `yaml:"bandwidth,omitempty" jsonschema:"description=Bytes a second such as 50MiB"`
}

// Retries of an item that failed in a way that may pass.
type Retries struct {
	Count int      `yaml:"count,omitempty" jsonschema:"minimum=0,description=How often a failed System is tried again"`
	Wait  Duration `yaml:"wait,omitempty" jsonschema:"description=How long to wait first; doubled each time (default 30s)"`
}

// DefaultWait comes before the first retry.
const DefaultWait = 30 * time.Second

// OnFailure says what a failed item does to the others.
type OnFailure string

const (
	Continue OnFailure = "continue"
	StopWave OnFailure = "stop-wave" // the rest of its wave, and waves after it, are not begun
	Stop     OnFailure = "stop"      // nothing more is begun
)

// Notify is a webhook that is told of what happens.
type Notify struct {
	URL string   `yaml:"url" jsonschema:"format=uri,description=Gets a JSON document by POST"`
	On  []string `yaml:"on,omitempty" jsonschema:"description=started; wave; failed; verified; finished (default failed and finished)"`
	// Secret signs the body: header X-Cimimove-Signature, sha256=HMAC in hex.
	Secret *Value `yaml:"secret,omitempty" jsonschema:"description=Key of the HMAC-SHA256 in the header X-Cimimove-Signature"`
}

// Events that a Notify can name.
var notifyEvents = []string{"started", "wave", "failed", "verified", "finished"}

// Item is one System to move, or a selection of some.
type Item struct {
	System      string  // id, path or unique name at the source; empty with Select
	Select      *Select // nil when System is named
	Source      string  // key of Endpoints, or @name
	Destination string  // key of Endpoints, or @name
	Name        string  // at the destination; empty keeps it
	// Naming is the template that Name was made of; empty where it was written as
	// it is.
	Naming string
	// From is the selection that it came of; nil where the runbook names it.
	From *Select
	Wave string // name of a Wave; empty: in none, begun at once
	// After names Systems of this runbook that must be verified before.
	After   []string
	Net     map[string]string
	Storage map[string]string
	// Controllers puts disks on controllers of another bus.
	Controllers map[string]string
	Properties  map[string]Value
	MAC         string
	Verify      string
	Via         string
	Stage       string
	IfExists    string
	OnFailure   string // rollback or keep
	PowerOn     bool
	Warm        bool
	Retries     Retries
	Cutover     Cutover
	Hooks       []Hook
	File        string // that it stands in
	Line        int    // in File
}

// Cutover says how the source's machines are stopped and what becomes of the source.
type Cutover struct {
	Stop     string   `yaml:"stop,omitempty" jsonschema:"enum=graceful,enum=force,enum=refuse,enum=never,description=How running machines come to rest: they are asked to stop and one that does not in time fails (graceful) or is switched off (force); refuse (or never) refuses Systems that run"`
	Deadline Duration `yaml:"deadline,omitempty" jsonschema:"description=How long machines may take to stop (default 5m)"`
	Source   string   `yaml:"source,omitempty" jsonschema:"enum=keep,enum=start,enum=stop,enum=delete,description=What becomes of the source when all is verified"`
}

// Hook is a command or webhook around a phase of each migration.
type Hook struct {
	On        string   `yaml:"on" jsonschema:"description=before or after and the phase such as 'before quiesce' or 'after verify'"`
	Run       []string `yaml:"run,omitempty" jsonschema:"description=The command and its arguments; gets the plan as JSON on standard input"`
	URL       string   `yaml:"url,omitempty" jsonschema:"description=A webhook in place of a command; gets the plan by POST"`
	Timeout   Duration `yaml:"timeout,omitempty" jsonschema:"description=Deadline (default 5m)"`
	OnFailure string   `yaml:"onFailure,omitempty" jsonschema:"enum=fail,enum=continue,description=Whether the migration fails with it (default fail)"`
}

// Key names the item among those of a runbook, the same each time it is run.
func (i Item) Key() string {
	return strings.Join([]string{i.Source, i.System, i.Destination, i.Name}, "\x1f")
}

// EndpointURL is what the command line takes for an endpoint's name in the runbook.
func (r *Runbook) EndpointURL(name string) string {
	if e, ok := r.Endpoints[name]; ok {
		return e.URL
	}
	return name
}

// Wave finds a wave by name; the one without a name is always there.
func (r *Runbook) Wave(name string) Wave {
	for _, w := range r.Waves {
		if w.Name == name {
			return w
		}
	}
	return Wave{OnFailure: r.OnFailure}
}

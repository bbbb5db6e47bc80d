package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/migrate/hook"

	"github.com/cimimove/cimimove/ovf/object"
)

// Via is a way for the bytes (design.md, "How the bytes flow").
type Via string

const (
	ViaAuto      Via = "auto"
	ViaDirect    Via = "direct"
	ViaRelay     Via = "relay"
	ViaStage     Via = "stage"
	ViaResources Via = "resources"
)

// Verify says how a destination is proved equal.
type Verify string

const (
	VerifyNone   Verify = "none"
	VerifyDigest Verify = "digest" // by the digests the destination's cloud gives
	VerifyFull   Verify = "full"   // by reading the destination anew
)

// IfExists says what to do about a System of the same name.
type IfExists string

const (
	ExistsFail    IfExists = "fail"
	ExistsSkip    IfExists = "skip"
	ExistsReplace IfExists = "replace" // the old one is deleted when the new one is verified
	ExistsRename  IfExists = "rename"  // NAME-2, NAME-3, …
)

// OnFailure says what becomes of what was made at the destination.
type OnFailure string

const (
	FailureRollback OnFailure = "rollback"
	FailureKeep     OnFailure = "keep"
)

// Options are those of NewPlan. Zero values are the defaults named.
type Options struct {
	Source, Destination Endpoint
	// System is a CIMI id, a path below the entry point, or a unique name.
	System string
	// Name at the destination; default: that at the source.
	Name string
	// Nets maps networks of the System to networks of the destination, by name
	// or id; "*" is the default of the map. Others are created with the System.
	Nets map[string]string
	// Storage maps disks to places; "*" is the default of the map.
	Storage map[string]string
	// Controllers puts disks on controllers of another bus: ide, scsi, sata, nvme.
	Controllers map[string]string
	// MAC: keep (default), regenerate, strip.
	MAC string
	// Properties are values of OVF properties. They are never journaled.
	Properties map[string]string
	// Configuration is a deployment option of the package.
	Configuration string
	Via           Via       // default auto
	Verify        Verify    // default full
	IfExists      IfExists  // default fail
	OnFailure     OnFailure // default rollback
	// PowerOn starts the machines when all is verified.
	PowerOn bool
	// Allow and Deny are rule ids: findings that do not refuse though they are
	// errors, or refuse though they are not. Strict refuses on warnings too.
	Allow, Deny []string
	Strict      bool
	// AcceptEULAs records that somebody accepted the licences of the package.
	AcceptEULAs bool
	// ParallelDisks is how many disks move at the same time, where the
	// destination writes several; default 2. Endpoints may allow fewer.
	ParallelDisks int
	// Quiesce says how running machines come to rest; default graceful.
	Quiesce Quiesce
	// Warm copies the disks while the machines run, and sends what has changed
	// when they are at rest.
	Warm bool
	// SourceAfter says what becomes of the source; default keep.
	SourceAfter SourceAfter
	// StopTimeout is how long machines may take to stop; 0: the Engine's.
	StopTimeout time.Duration
	// Hooks run around the steps.
	Hooks []hook.Hook
	// Stage is the folder or s3://bucket/prefix where the package waits between
	// export and import; it asks for that way.
	Stage string
	// Objects says how object stores are reached.
	Objects object.Options
	// Throttled: what passes through this process is held back.
	Throttled bool
	// Relay says where a destination outside this process fetches from.
	Relay RelayOptions
	// Survey is shared by the plans of many Systems; nil: this one asks for itself.
	Survey *Survey
	// Measured tells what earlier runs between two endpoints moved, for the
	// estimate; nil where nothing is known. Engine.Plan sets it.
	Measured func(source, destination string) (Rate, bool)
	// MeasuredHash tells how fast earlier warm runs compared and proved disks.
	MeasuredHash func(source, destination string) (Rate, bool)
}

// Quiesce says how machines that run at the source come to rest before their
// disks are read.
type Quiesce string

const (
	QuiesceGraceful Quiesce = "graceful" // they are asked to stop; one that does not in time ends the run
	QuiesceForce    Quiesce = "force"    // one that does not in time is switched off
	QuiesceRefuse   Quiesce = "refuse"   // none is stopped: they are exported as they run, or not at all
)

// SourceAfter says what becomes of the source once the destination is
// verified. Before that it is never changed but for machines that are stopped,
// and started again when the run fails.
type SourceAfter string

const (
	SourceKeep   SourceAfter = "keep"   // it stays as the move left it
	SourceStart  SourceAfter = "start"  // machines that ran run again: a copy
	SourceStop   SourceAfter = "stop"   // every machine is stopped
	SourceDelete SourceAfter = "delete" // it is deleted
)

// RelayOptions say where the relay listens.
type RelayOptions struct {
	// Listen is an address, host:port. Default: a free port of the loopback
	// interface when the destination is there, else of all interfaces.
	Listen string
	// URL is how the destination reaches that address.
	URL string
}

func (o *Options) setDefaults() {
	if o.Stage != "" && (o.Via == "" || o.Via == ViaAuto) {
		o.Via = ViaStage
	}
	def(&o.MAC, "keep")
	def(&o.Via, ViaAuto)
	def(&o.Verify, VerifyFull)
	def(&o.IfExists, ExistsFail)
	def(&o.OnFailure, FailureRollback)
	def(&o.Quiesce, QuiesceGraceful)
	def(&o.SourceAfter, SourceKeep)
	if o.Survey == nil {
		o.Survey = &Survey{}
	}
	if o.ParallelDisks == 0 {
		o.ParallelDisks = 2
	}
}

func def[T ~string](v *T, d T) {
	if *v == "" {
		*v = d
	}
}

func (o *Options) check() error {
	if o.Source.Provider == nil || o.Destination.Provider == nil {
		return errors.New("a migration needs a source and a destination")
	}
	if o.ParallelDisks < 0 {
		return fmt.Errorf("%d disks at the same time: it is at least one", o.ParallelDisks)
	}
	for _, h := range o.Hooks {
		if err := h.Check(); err != nil {
			return err
		}
	}
	return errors.Join(
		oneOf("mac", o.MAC, "keep", "regenerate", "strip"),
		oneOf("via", o.Via, ViaAuto, ViaDirect, ViaRelay, ViaStage, ViaResources),
		oneOf("verify", o.Verify, VerifyNone, VerifyDigest, VerifyFull),
		oneOf("if-exists", o.IfExists, ExistsFail, ExistsSkip, ExistsReplace, ExistsRename),
		oneOf("on-failure", o.OnFailure, FailureRollback, FailureKeep),
		oneOf("quiesce", o.Quiesce, QuiesceGraceful, QuiesceForce, QuiesceRefuse),
		oneOf("source-after", o.SourceAfter, SourceKeep, SourceStart, SourceStop, SourceDelete),
	)
}

func oneOf[T ~string](name string, v T, values ...T) error {
	if slices.Contains(values, v) {
		return nil
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = string(v)
	}
	return fmt.Errorf("%s is %q; it is one of %s", name, v, strings.Join(words, ", "))
}

// lookup finds what a map says of name, its "*" otherwise; empty when nothing.
func lookup(m map[string]string, name string) string {
	if v, ok := m[name]; ok {
		return v
	}
	return m["*"]
}

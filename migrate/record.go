package migrate

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// record is what the journal keeps of a plan: enough to go on without the
// process that made it. It holds no secrets: of properties only the keys, as
// nobody knows which values are passwords.
type record struct {
	Version  int    `json:"version"`
	SystemID string `json:"systemId"`
	// Location is that of the source; records of before have none.
	Location     string            `json:"location,omitempty"`
	System       string            `json:"system"`
	Name         string            `json:"name"`
	Via          Via               `json:"via"`
	Verify       Verify            `json:"verify"`
	IfExists     IfExists          `json:"ifExists"`
	OnFailure    OnFailure         `json:"onFailure"`
	MAC          string            `json:"mac"`
	Nets         map[string]string `json:"nets,omitempty"`
	Storage      map[string]string `json:"storage,omitempty"`
	Controllers  map[string]string `json:"controllers,omitempty"`
	PropertyKeys []string          `json:"propertyKeys,omitempty"`
	Config       string            `json:"configuration,omitempty"`
	PowerOn      bool              `json:"powerOn,omitempty"`
	Quiesce      Quiesce           `json:"quiesce,omitempty"`
	SourceAfter  SourceAfter       `json:"sourceAfter,omitempty"`
	Stage        string            `json:"stage,omitempty"`
	Relay        RelayOptions      `json:"relay"`
	Before       []string          `json:"before,omitempty"`
	Shape        *Shape            `json:"shape"`
	Findings     []ovf.Finding     `json:"findings,omitempty"`
	Bytes        int64             `json:"bytes"`
	// ParallelDisks move at the same time; Chunk is how many bytes of each may
	// have to be sent twice, 0 where the destination keeps nothing.
	ParallelDisks int `json:"parallelDisks,omitempty"`
	// Unique: the destination itself sees to it that the name is free.
	Unique      bool          `json:"unique,omitempty"`
	Chunk       int64         `json:"chunk,omitempty"`
	StopTimeout time.Duration `json:"stopTimeout,omitempty"`
	Warm        bool          `json:"warm,omitempty"`
	Hooks       []string      `json:"hooks,omitempty"`
	// Assembly is how the parts are made, on the way by resources.
	Assembly *assembly `json:"assembly,omitempty"`
	// PlanDoc is the plan as hooks get it; empty without hooks.
	PlanDoc json.RawMessage `json:"plan,omitempty"`
}

const recordVersion = 2

func (p *Plan) record() record {
	o := p.opts
	var doc json.RawMessage
	if len(o.Hooks) > 0 {
		doc = json.RawMessage(plain(p))
	}
	return record{Version: recordVersion, SystemID: p.ID, Location: p.src.Location, System: p.System, Name: p.Name, Via: p.Via, Verify: o.Verify,
		IfExists: o.IfExists, OnFailure: o.OnFailure, MAC: o.MAC, Nets: o.Nets, Storage: o.Storage, Controllers: o.Controllers,
		PropertyKeys: slices.Sorted(maps.Keys(o.Properties)), Config: o.Configuration, PowerOn: o.PowerOn, Quiesce: o.Quiesce, SourceAfter: o.SourceAfter,
		Stage: p.Stage, Relay: o.Relay, Before: p.before, Shape: p.shape, Findings: p.Findings, Bytes: p.Bytes, ParallelDisks: p.ParallelDisks, Chunk: p.Resume.ChunkBytes,
		StopTimeout: o.StopTimeout, Warm: o.Warm, Hooks: hookNames(o.Hooks), Assembly: p.assembly, PlanDoc: doc,
		Unique: p.target.capable("System", cimi.CapabilityUniqueName)}
}

func (r record) encode() json.RawMessage {
	b, err := json.Marshal(r)
	if err != nil {
		panic("migrate: a record is plain data: " + err.Error())
	}
	return b
}

// mapped tells whether a network goes to one of the destination's own.
func (r record) mapped(network string) bool { return network != "" && lookup(r.Nets, network) != "" }

// What the steps leave in the journal.

type quiesceNotes struct {
	Stopped []string `json:"stopped,omitempty"` // ids of machines that ran
	// Base is what the disks at the destination held before, by diskId.
	Base map[string]baseNote `json:"base,omitempty"`
}

type exportNotes struct {
	Job      string `json:"job,omitempty"`
	Location string `json:"location,omitempty"`
	// Identity of the source's bytes.
	Version    string `json:"version,omitempty"`
	Size       int64  `json:"size,omitempty"`
	Descriptor string `json:"descriptor,omitempty"` // SHA-256
	// Points are what disks were exported at; see exportPoints. Held are such as
	// are known for as long as the export is there.
	Points map[string]string `json:"points,omitempty"`
	Held   bool              `json:"held,omitempty"`
	// Live: it is a snapshot of machines that run, which the source keeps until it is
	// Left.
	Live bool `json:"live,omitempty"`
	Left bool `json:"left,omitempty"`
	// Images are where the disks are read, on the way by resources.
	Images []imageNote `json:"images,omitempty"`
	// Contents tell what the source's Volumes held, by id, when they began to be read.
	Contents map[string]contentNote `json:"contents,omitempty"`
}

type transferNotes struct {
	Attempt int    `json:"attempt"`
	Listen  string `json:"listen,omitempty"` // address taken; empty in process
	Reach   string `json:"reach,omitempty"`  // how the destination gets there
	// Linked: the destination fetches from where the package waits.
	Linked  bool  `json:"linked,omitempty"`
	Read    int64 `json:"read"`
	Written int64 `json:"written"`
	// Disks are the source's content digests, by diskId.
	Disks map[string]diskNote `json:"disks,omitempty"`
	// Copied is what disks were copied that the source's cloud keeps track of, by
	// diskId; see copiedDigests.
	Copied map[string]diskNote `json:"copied,omitempty"`
}

type diskNote struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Blank  bool   `json:"blank,omitempty"` // it has no file: all zeros
}

type importNotes struct {
	Attempt int      `json:"attempt"`
	Name    string   `json:"name"`
	Before  []string `json:"before,omitempty"`
	Job     string   `json:"job,omitempty"`
	System  string   `json:"system,omitempty"`
}

type verifyNotes struct {
	Disks         []DiskReport  `json:"disks,omitempty"`
	Configuration []Comparison  `json:"configuration,omitempty"`
	Findings      []ovf.Finding `json:"findings,omitempty"`
	Verified      bool          `json:"verified"`
	Unprovable    string        `json:"unprovable,omitempty"`
	BytesAtDest   int64         `json:"bytes,omitempty"`
}

type startNotes struct {
	Started []string `json:"started,omitempty"`
}

type finishNotes struct {
	Stopped []string `json:"stopped,omitempty"` // ids of the source's machines that ran
	// Deleting: the source is being deleted, or was.
	Deleting bool `json:"deleting,omitempty"`
}

// importUndo is what rollback needs besides the notes.
type importUndo struct {
	DeleteSystemOf string `json:"deleteSystemOf"` // the run whose System is to be deleted
}

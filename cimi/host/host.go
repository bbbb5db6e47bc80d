// Package host says what a hypervisor must offer so that cimi/provider can
// show it as a CIMI cloud, in the terms of virtualisation: machines, disks,
// networks, and packages that go in and out whole (DSP0263 4.3 and Annex A:
// the hypervisor imports and exports, CIMI resources are a view of the result).
package host

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Host holds machines and disks: a folder, vSphere, libvirt. Methods may be
// called concurrently; ids are opaque and never reused. An id that is not
// there gives an error that wraps ErrNotFound.
type Host interface {
	// Capabilities says what this host can do; it does not change while open.
	Capabilities() Capabilities
	// Systems lists what the host holds, complete Systems only, in a stable order.
	Systems(ctx context.Context) iter.Seq2[*System, error]
	// System reads one System whole.
	System(ctx context.Context, id string) (*System, error)
	// Import creates a System from a package, reading it in one pass, and
	// verifies digests and sizes before anything is listed. All or nothing: on
	// error, cancellation or death of the process nothing of it remains after
	// the next Open.
	Import(ctx context.Context, pkg ovf.Package, opts ImportOptions) (*System, error)
	// Export freezes a System into a package whose size and bytes are fixed
	// until it is closed; it edits the kept descriptor only where the System
	// differs from it. Machines must be stopped (ErrBusy otherwise).
	Export(ctx context.Context, id string, opts ExportOptions) (Export, error)
	// Update changes what CIMI lets a consumer write of a System: names,
	// descriptions, cpus, memory, MAC addresses. Only fields that differ are
	// changed; what the host cannot change gives an error that wraps ErrUnsupported.
	Update(ctx context.Context, s *System) error
	// Delete removes a System with everything it owns.
	Delete(ctx context.Context, id string) error
	// OpenDisk opens the content of a disk for reading, as it is now. Who reads a
	// disk some at a time opens it often. An image whose Version() is not empty
	// tells its content from that of other times by it.
	OpenDisk(ctx context.Context, diskID string) (disk.Image, error)
	io.Closer
}

var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("exists already")
	ErrBusy        = errors.New("machine is running")
	ErrUnsupported = errors.New("not supported by this host")
	ErrNoSpace     = errors.New("no space left")
	// ErrChanged: what an earlier export was frozen over is not the same any more.
	ErrChanged = errors.New("has changed since")
	// ErrUnproved: a disk was changed in part, and nothing has proved it since.
	ErrUnproved = errors.New("its content was changed in part and is not proved yet")
)

// Capabilities: the zero value can do nothing beyond Import and Export.
type Capabilities struct {
	// VirtualSystemTypes are the values of VirtualSystemType the host runs
	// (DSP0243 8.1), most wanted first; empty takes the first hardware section.
	VirtualSystemTypes []string
	// SharedDisks: a disk can be attached to several machines.
	SharedDisks bool
	// ParallelDisks: the disks of one import can be written at the same time.
	ParallelDisks bool
	// Live: machines that run can be exported; see ExportOptions.
	Live bool
	// Devices are the controllers and cards that machines have when the package
	// says so, in the form of cimi.CapabilityDevices; nil: it is not known.
	Devices []string
	// FreeBytes tells the space left for disks, -1 when unknown.
	FreeBytes func(ctx context.Context) (int64, error)
}

// ImportOptions choose among what a package offers; the zero value takes its defaults.
type ImportOptions struct {
	// ID is the id the new System shall have; empty lets the host choose.
	ID string
	// Name of the System; empty takes the package's.
	Name string
	// Holder is what the System is for, where it is none, and Of the resource
	// that it belongs to; see Maker.
	Holder, Of string
	// Configuration is a deployment option (DSP0243 9.8); empty takes the default.
	Configuration string
	// Networks and Storage map OVF network names and disk ids to the host's;
	// "*" is the default of the map.
	Networks map[string]string
	Storage  map[string]string
	// Properties are values of OVF properties by environment key (DSP0243 9.5).
	Properties map[string]string
	// MAC: keep (default), regenerate, strip.
	MAC string
	// ParallelDisks is how many disks may be written at the same time, where the
	// package can be read anywhere; 0 and 1 is one after the other.
	ParallelDisks int
	// Resume names what this import and those that go on with it have in common;
	// empty: none will. See Keeper.
	Resume string
	// Progress is told of each disk as it is written; may be nil. It and Finding
	// are called by one goroutine at a time.
	Progress func(DiskProgress)
	// Finding is told of what was noticed or lost on the way; may be nil.
	Finding func(ovf.Finding)
}

// DiskProgress: bytes of logical content of one disk.
type DiskProgress struct {
	Disk        string // diskId of the descriptor
	Done, Total int64
}

// ExportOptions of Export; the zero value freezes the System as it is now.
type ExportOptions struct {
	// Frozen is the State of an earlier Export of the same System: the layout
	// is reproduced, byte for byte, or the error says what has changed.
	Frozen []byte
	// Using are the ids of other Systems some of whose parts this one uses:
	// those parts are exported with it (DSP0263 5.13.1.2); see Borrow.
	Using []string
	// Descriptor takes the place of the kept one: the package is of what it
	// describes, disks and other files with the content that the System has of
	// the same ids.
	Descriptor []byte
	// Live exports machines that run as a snapshot shows them, where the host can;
	// without it, and where it cannot, they are ErrBusy.
	Live bool
	// Untracked: nobody will ask what was written to the disks since a Live export.
	Untracked bool
	// Snapshot names what the host keeps for a Live export; the State has it, for
	// FrozenSnapshot. Hosts set it for BuildExport.
	Snapshot string
	// Points are where the host began to keep track of what is written to the
	// disks of a Live export, by id; see ChangeTracker. Hosts set it for BuildExport.
	Points map[string]string
	// PointsHeld: they are known for as long as the export is there, not longer.
	PointsHeld bool
	// Findings are what was noticed before: the first ones of the Export.
	Findings []ovf.Finding
}

// Export is a System frozen as a package in OVA form: random access, exact
// size, the same bytes until Close and, given State, after a restart.
type Export interface {
	io.ReaderAt
	io.Closer
	Size() int64
	// Version identifies the bytes.
	Version() string
	// State is what ExportOptions.Frozen takes to make the same bytes again.
	State() ([]byte, error)
	// Findings is what export noticed (a signature made void, …).
	Findings() []ovf.Finding
}

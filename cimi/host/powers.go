package host

import "context"

// What a Host may be able to do beyond Host itself, each an interface of its
// own. What a host does not implement is not offered by its cloud.

// Power is a Host that can run machines.
type Power interface {
	// Start boots a stopped machine and resumes one that is paused or suspended.
	Start(ctx context.Context, machineID string) error
	// Stop shuts a machine down; force is the virtual equivalent of pulling the plug.
	Stop(ctx context.Context, machineID string, force bool) error
}

// Pauser is a Power whose machines can stand still, their memory kept in memory.
type Pauser interface {
	Pause(ctx context.Context, machineID string) error
}

// Suspender is a Power whose machines can stand still, their memory kept on disk.
type Suspender interface {
	Suspend(ctx context.Context, machineID string) error
}

// Versioned is a Host that can say cheaply whether anything has changed: the
// same Version, the same Systems.
type Versioned interface {
	Version() int64
}

// Tracker is a Versioned Host that can say what has changed.
type Tracker interface {
	Versioned
	// Changed gives the Systems that were made or changed after a version, as
	// Systems gives them, the ids of those that were removed, and the version
	// that this brings the caller to. When ok is false the host does not know
	// any more, and Systems must be read anew.
	Changed(ctx context.Context, since int64) (made []*System, gone []string, now int64, ok bool, err error)
}

// Gauge is a Host that knows how much of it is in use. What it does not know is -1.
type Gauge interface {
	MachineUse(ctx context.Context, machineID string) (Use, error)
	// DiskUse is the space in bytes that a disk's content takes.
	DiskUse(ctx context.Context, diskID string) (int64, error)
}

// Use is what a machine uses at one moment.
type Use struct {
	CPUPercent  float64 // of all its processors together, 0 to 100
	MemoryBytes int64
}

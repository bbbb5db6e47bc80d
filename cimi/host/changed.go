package host

import (
	"context"
	"encoding/json"

	"github.com/cimimove/cimimove/ovf/disk"
)

// ChangeTracker is a Host that knows of some disks, as its hypervisor says, what
// was written to them since they were exported Live: so that only that need be
// read again. A point is a moment in the life of one disk; see FrozenPoints.
type ChangeTracker interface {
	// ChangedSince are the areas of a disk, ascending, that may not hold now what
	// they held at a point; its machines must be stopped, ErrBusy otherwise. What
	// is not in them holds that for certain, as far as the hypervisor says: in any
	// doubt (the tracking began anew, the disk is another one, or was put back, a
	// snapshot is there) the error wraps ErrChanged.
	ChangedSince(ctx context.Context, diskID, point string) ([]disk.Extent, error)
	// OpenFew is OpenDisk for who reads little of a disk: what is not read need
	// not be fetched. Holes need not be told. The Version is the same.
	OpenFew(ctx context.Context, diskID string) (disk.Image, error)
}

// FrozenPoints are the points, by id of the disk, at which a frozen Live export
// shows those of its disks that are kept track of. Where they are held, they are
// known for as long as the export is there.
func FrozenPoints(state []byte) (points map[string]string, held bool) {
	var f frozen
	if json.Unmarshal(state, &f) != nil {
		return nil, false // thaw says what is wrong with it
	}
	return f.Points, f.PointsHeld
}

// KnownSums are what is known of a disk's content already.
type KnownSums struct {
	// Version is that of the image whose blocks were read; they say nothing of
	// an image of another one.
	Version string
	// Sum is that of a block, where it is known.
	Sum func(block int64) (disk.BlockSum, bool, error)
}

// PartProver is a Patcher that can prove a disk without reading anew what was
// read since it was written.
type PartProver interface {
	// ProveKnown is Prove, but for the blocks that are known. With those of another
	// version, or none, it is Prove.
	ProveKnown(ctx context.Context, diskID string, want disk.Digest, known KnownSums, progress disk.Progress) error
}

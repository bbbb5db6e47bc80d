package local

import (
	"context"

	"github.com/cimimove/cimimove/cimi/host"
)

// MachineUse: what does not run uses nothing.
func (h *Host) MachineUse(context.Context, string) (host.Use, error) { return host.Use{}, nil }

// DiskUse is the space that the data of a disk takes, holes left out.
func (h *Host) DiskUse(ctx context.Context, diskID string) (int64, error) {
	img, err := h.OpenDisk(ctx, diskID)
	if err != nil {
		return -1, err
	}
	defer img.Close()
	var n int64
	for e, err := range img.Extents(ctx, 0, img.Size()) {
		if err != nil {
			return -1, err
		}
		if !e.Zero {
			n += e.Length
		}
	}
	return n, nil
}

package local

import (
	"context"

	"github.com/cimimove/cimimove/cimi/host"
)

var _ host.Versioner = (*Host)(nil)

// ContentVersion is size and date of the disk's file.
func (h *Host) ContentVersion(ctx context.Context, diskID string) (string, error) {
	img, err := h.OpenDisk(ctx, diskID)
	if err != nil {
		return "", err
	}
	defer img.Close()
	return img.(*openDisk).Version(), nil
}

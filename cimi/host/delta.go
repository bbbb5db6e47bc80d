package host

import (
	"context"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/flatten"
)

// wholeDisks is the package with its delta disks made whole (DSP0243 9.1,
// parentRef), told of as MAP-DISK-002; nil where it has none. No host keeps a
// chain of disks: what it holds of one is a volume.
func wholeDisks(ctx context.Context, pkg ovf.Package, finding func(ovf.Finding)) (*flatten.Whole, error) {
	if !flatten.Needed(pkg.Envelope()) {
		return nil, nil
	}
	// What is decoded again at once need not be compressed.
	w, err := flatten.Package(ctx, pkg, flatten.Options{Level: disk.LevelStored})
	if err != nil {
		return nil, err
	}
	for _, f := range w.Changes() {
		finding(f)
	}
	return w, nil
}

// Package is what Unpack reads: the package that was given, its disks whole.
func (a *Arrival) Package() ovf.Package { return a.pkg }

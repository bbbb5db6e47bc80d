package main

import (
	"errors"
	"slices"

	"github.com/cimimove/cimimove/migrate"
)

// Words of ovftool's --diskMode. The disks of every cloud here are thin.
var (
	thinModes  = []string{"thin", "sparse", "seSparse", "monolithicSparse", "twoGbMaxExtentSparse"}
	thickModes = []string{"thick", "flat", "eagerZeroedThick", "monolithicFlat", "twoGbMaxExtentFlat"}
)

// checkDiskMode refuses disks that would not be thin.
func (c *call) checkDiskMode() error {
	switch mode := c.String("disk-mode"); {
	case mode == "", slices.Contains(thinModes, mode):
		return nil
	case slices.Contains(thickModes, mode):
		return &migrate.Error{Class: migrate.ClassRefused, Object: "--diskMode " + mode, Err: errThick, Advice: "leave it out, or say thin"}
	default:
		return usage("--diskMode %q: known are %v and %v", mode, thinModes, thickModes)
	}
}

var errThick = errors.New("disks are made thin: space is taken as content is written")

package disk

import "github.com/cimimove/cimimove/ovf/disk/internal/inorder"

// Processors is how many workers there are where nothing else is said: as many
// as GOMAXPROCS, without the one that SpareProcessor has added.
func Processors() int { return inorder.Processors() }

// SpareProcessor adds one to GOMAXPROCS that is nobody's, once. It is for
// programs that convert disks, at their start: workers then wait less for each
// other.
func SpareProcessor() { inorder.SpareProcessor() }

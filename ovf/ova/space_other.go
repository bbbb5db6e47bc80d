//go:build !linux && !darwin && !freebsd

package ova

// freeSpace is not known here; writing fails when the disk is full.
func freeSpace(string) (int64, bool) { return 0, false }

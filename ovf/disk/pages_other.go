//go:build !linux

package disk

func wantLargePages([]byte) {}

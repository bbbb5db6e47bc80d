//go:build linux || darwin || freebsd

package ova

import "syscall"

// freeSpace is how many bytes the disk with that folder has left.
func freeSpace(folder string) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(folder, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}

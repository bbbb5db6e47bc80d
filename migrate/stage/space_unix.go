//go:build linux || darwin || freebsd

package stage

import "syscall"

// freeSpace is how many bytes the disk with that folder has left.
func freeSpace(folder string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(folder, &st); err != nil {
		return -1, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

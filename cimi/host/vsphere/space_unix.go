//go:build unix

package vsphere

import "syscall"

// freeSpace is how many bytes a folder has room for, -1 when nobody knows.
func freeSpace(folder string) int64 {
	var st syscall.Statfs_t
	if syscall.Statfs(folder, &st) != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}

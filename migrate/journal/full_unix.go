//go:build unix

package journal

import "golang.org/x/sys/unix"

// exhausted tells whether the file system of dir has next to no room.
func exhausted(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && uint64(st.Bavail)*uint64(st.Bsize) < 64<<10
}

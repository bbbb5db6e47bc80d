//go:build unix

package beside

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// foreign applies to a link what Linux does when fs.protected_symlinks is set, as
// who follows it by its text goes past that: in a folder that is sticky and for all
// to write, such as /tmp, its owner is who works here or who owns the folder.
func foreign(link string, info fs.FileInfo) bool {
	folder, err := os.Stat(filepath.Dir(link))
	if err != nil || folder.Mode()&fs.ModeSticky == 0 || folder.Mode().Perm()&0o002 == 0 {
		return false
	}
	own, ok := info.Sys().(*syscall.Stat_t)
	above, known := folder.Sys().(*syscall.Stat_t)
	return ok && known && own.Uid != uint32(os.Geteuid()) && own.Uid != above.Uid
}

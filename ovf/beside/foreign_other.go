//go:build !unix

package beside

import "io/fs"

// foreign knows of no folders for all here.
func foreign(string, fs.FileInfo) bool { return false }

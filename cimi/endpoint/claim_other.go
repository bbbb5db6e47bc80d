//go:build !unix || solaris || illumos || aix

package endpoint

import (
	"errors"
	"os"
)

// lockFile is refused where there is no lock that dies with its process.
func lockFile(path string) (*os.File, error) {
	return nil, &os.PathError{Op: "lock", Path: path, Err: errors.ErrUnsupported}
}

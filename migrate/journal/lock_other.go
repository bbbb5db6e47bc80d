//go:build !unix

package journal

import (
	"errors"
	"os"
)

var errHeld = errors.New("held")

// tryLock: without a lock that ends with the process a run could be taken up
// twice, so there is none to be had.
func tryLock(*os.File) error {
	return errors.New("this operating system offers no file lock that the journal knows")
}

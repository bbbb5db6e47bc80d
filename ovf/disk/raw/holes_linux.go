package raw

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cimimove/cimimove/ovf/disk"
)

// lseek(2) whence values; the syscall package lacks them.
const (
	seekData = 3
	seekHole = 4
)

// nextExtent is the run at off, cut at end, which must lie within the file.
// It moves the file's position, which nothing here uses.
func nextExtent(f file, off, end int64) (disk.Extent, error) {
	e := disk.Extent{Offset: off, Length: end - off}
	data, err := f.Seek(off, seekData)
	switch {
	case errors.Is(err, syscall.ENXIO): // nothing but a hole up to the end
		e.Zero = true
		return e, nil
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EOPNOTSUPP):
		return e, nil // the file system cannot tell
	case err != nil:
		return e, fmt.Errorf("raw: finding data after %d: %w", off, err)
	}
	if data > off {
		e.Zero, e.Length = true, min(data, end)-off
		return e, nil
	}
	hole, err := f.Seek(off, seekHole)
	if err != nil {
		return e, fmt.Errorf("raw: finding the hole after %d: %w", off, err)
	}
	if hole > off {
		e.Length = min(hole, end) - off
	}
	return e, nil
}

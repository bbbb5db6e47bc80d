package vmdk

import (
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/grain"
)

// newEncoder is the grain encoder of a disk.EncodeOptions level.
func newEncoder(level int) *grain.Encoder {
	switch level {
	case 0:
		level = grain.LevelDefault
	case disk.LevelStored:
		level = grain.LevelStored
	}
	return grain.NewEncoder(level)
}

// inflateGrain inflates one grain's zlib stream; more than out holds is an
// error.
func inflateGrain(out, stored []byte) (int, error) {
	n, _, err := grain.InflateZlib(out, stored)
	return n, err
}

package dir

import (
	"io"
	"os"

	"github.com/cimimove/cimimove/ovf/disk"
)

// leastHole is how many zero bytes are worth a hole: what file systems allocate.
const leastHole = 4096

// holed writes a new file front to back and leaves out what is zero, so that a
// raw disk takes the space of its data. end makes the length right.
type holed struct {
	f    *os.File
	size int64
	gap  bool // the last bytes are a hole
}

func (h *holed) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		part := p[done:min(len(p), done+leastHole)]
		zero := len(part) == leastHole && disk.IsZero(part)
		for done+len(part) < len(p) {
			next := p[done+len(part) : min(len(p), done+len(part)+leastHole)]
			if (len(next) == leastHole && disk.IsZero(next)) != zero {
				break
			}
			part = p[done : done+len(part)+len(next)]
		}
		if zero {
			if _, err := h.f.Seek(int64(len(part)), io.SeekCurrent); err != nil {
				return done, err
			}
		} else if n, err := h.f.Write(part); err != nil {
			return done + n, err
		}
		h.gap = zero
		h.size += int64(len(part))
		done += len(part)
	}
	return done, nil
}

func (h *holed) end() error {
	if !h.gap {
		return nil
	}
	return h.f.Truncate(h.size)
}

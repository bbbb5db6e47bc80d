package host

import (
	"fmt"
	"sync"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// arriving is the sink of one content: it goes to every disk that is made from
// it, each at least as large as its capacity.
type arriving struct {
	disks   []*Disk
	sinks   []disk.Sink
	finding func(ovf.Finding)
	begun   func(disk.Info) // told what the image says of itself; may be nil

	mu  sync.Mutex
	err error // the first one of the sinks
}

func (t *arriving) Begin(info disk.Info) error {
	if t.begun != nil {
		t.begun(info)
	}
	for i, d := range t.disks {
		size := wholeSectors(info.Size)
		if d.CapacityBytes == 0 {
			d.CapacityBytes = size // the descriptor says nothing
		} else if size > d.CapacityBytes {
			// The image knows its disk better than the descriptor.
			t.finding(ovf.Finding{ID: "DISK-SIZE-001", Severity: ovf.Warning, Object: "disk " + d.OVFID, Clause: "DSP0243 9.1",
				Message: fmt.Sprintf("the image is of a disk of %d bytes, DiskSection says %d: the larger counts", size, d.CapacityBytes)})
			d.CapacityBytes = size
		} else if size < d.CapacityBytes && i == 0 {
			t.finding(ovf.Finding{ID: "DISK-SIZE-001", Severity: ovf.Info, Object: "disk " + d.OVFID, Clause: "DSP0243 9.1",
				Message: fmt.Sprintf("the image is of a disk of %d bytes, DiskSection says %d: the rest is zero", size, d.CapacityBytes)})
		}
		own := info
		own.Size = d.CapacityBytes
		if err := t.keep(t.sinks[i].Begin(own)); err != nil {
			return err
		}
	}
	return nil
}

func (t *arriving) WriteAt(p []byte, off int64) (int, error) {
	for _, s := range t.sinks {
		if n, err := s.WriteAt(p, off); t.keep(err) != nil {
			return n, err
		}
	}
	return len(p), nil
}

func (t *arriving) keep(err error) error {
	if err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.err == nil {
			t.err = err
		}
	}
	return err
}

package host

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Patcher is a Host that takes the parts of a disk that differ from another
// copy of it, so that the rest need not be sent again. A disk that was changed
// in part is unproved (Disk.Unproved), across the death of the process too,
// until Prove has read it: no machine is started on it and it is not exported,
// with ErrUnproved. Repeating what was done changes nothing.
type Patcher interface {
	// Patch writes blocks into a disk whose machines are stopped, ErrBusy
	// otherwise. A block that lies outside of the disk wraps ErrUnsupported, and
	// nothing is written then. What is written need not be durable yet.
	Patch(ctx context.Context, diskID string, blocks []Block) error
	// Prove makes durable what was written, and reads the disk anew. It is proved,
	// and has that content, when its first want.Size bytes have the digest and all
	// behind them is zero; else the error is an *ovf.IntegrityError and the disk
	// stays as it is, unproved. progress may be nil.
	Prove(ctx context.Context, diskID string, want disk.Digest, progress disk.Progress) error
	// Patches tells whether parts of a disk can be written at all.
	Patches(d *Disk) bool
}

// Block is a run of a disk's content, in bytes.
type Block struct {
	Offset, Length int64
	Data           []byte // Length bytes; nil where they are zeros
}

// Retainer is a Host that keeps something for the Live exports that it made,
// across the death of the process, so that they can be opened again.
type Retainer interface {
	// Retain removes what is kept for exports whose State is none of those given,
	// and that are not open.
	Retain(ctx context.Context, states [][]byte) error
}

// FrozenSnapshot is the name of what the host keeps for a frozen export; see
// ExportOptions.Snapshot.
func FrozenSnapshot(state []byte) string {
	var f frozen
	if json.Unmarshal(state, &f) != nil {
		return "" // thaw says what is wrong with it
	}
	return f.Snapshot
}

// Proved is an error that wraps ErrUnproved where a disk of a System is unproved.
func Proved(s *System) error {
	for d := range s.AllDisks() {
		if d.Unproved {
			return fmt.Errorf("disk %s: %w", d.Name, ErrUnproved)
		}
	}
	return nil
}

// CheckContent compares what img was read as with what a disk of that name, in
// that file, is to have: behind want.Size nothing but zeros. Else it is an
// IntegrityError.
func CheckContent(ctx context.Context, name, file string, img disk.Image, now, want disk.Digest) error {
	wrong := &ovf.IntegrityError{Package: "disk " + name, File: file, Algorithm: "content", Expected: want.String()}
	if now.Sum != want.Sum {
		wrong.Actual = now.String()
		wrong.Reason = fmt.Sprintf("its content digest is %s, it was to be %s", now, want)
		return wrong
	}
	off, err := disk.FirstData(ctx, img, want.Size)
	if err != nil {
		return err
	}
	if off >= 0 {
		wrong.Reason = fmt.Sprintf("behind its %d bytes it is not zero, at %d", want.Size, off)
		return wrong
	}
	return nil
}

package raw

import (
	"fmt"
	"os"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Sink writes a disk as a sparse raw file.
type Sink struct {
	f    *os.File
	w    *disk.Turns // f
	size int64
	kept int64
}

var _ disk.Sink = (*Sink)(nil)

// NewSink makes f, a regular file open for writing, the sink. Begin empties it
// and gives it the disk's size; zeros written later become holes.
func NewSink(f *os.File) *Sink { return ContinueSink(f, 0) }

// ContinueSink is a Sink for a file that holds the first kept bytes of its disk
// already: Begin leaves those, and clears what lies behind them.
func ContinueSink(f *os.File, kept int64) *Sink { return &Sink{f: f, w: disk.NewTurns(f), kept: kept} }

func (s *Sink) Begin(info disk.Info) error {
	st, err := s.f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return &disk.UnsupportedError{Name: s.f.Name(), Format: disk.Raw, Feature: "writing to what is not a regular file"}
	}
	if err := s.f.Truncate(min(s.kept, info.Size)); err != nil {
		return err
	}
	s.size = info.Size
	return s.f.Truncate(info.Size)
}

func (s *Sink) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.size-int64(len(p)) {
		return 0, fmt.Errorf("%s: %d bytes at %d exceed the disk's %d", s.f.Name(), len(p), off, s.size)
	}
	err := disk.NonZero(off, p, func(off int64, p []byte) error {
		_, err := s.w.WriteAt(p, off)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

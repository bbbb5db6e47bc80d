package ova

import (
	"fmt"
	"io"
	"os"

	"github.com/cimimove/cimimove/ovf"
)

// RuleSpooled: a file before the descriptor of a stream was kept on disk.
const RuleSpooled = "OVF-PKG-010"

// spareSpace stays free where files are spooled.
const spareSpace = 64 << 20

// spool keeps a file that comes before the descriptor of a stream, on a disk
// that has the room: an OVA says its sizes beforehand.
func (s *stream) spool(m *member, folder string) (*os.File, error) {
	if free, ok := freeSpace(folder); ok && free-spareSpace < m.size {
		return nil, &ovf.DescriptorError{Package: s.name, Object: m.name, Offset: m.offset, Clause: "5.3",
			Message: fmt.Sprintf("file of %d bytes, and %s has %d bytes free to keep it", m.size, folder, free), Err: ErrLateDescriptor}
	}
	f, err := os.CreateTemp(folder, "cimimove-spool-*")
	if err != nil {
		return nil, fmt.Errorf("%s: %s: keeping what comes before the descriptor: %w", s.name, m.name, err)
	}
	s.spooled = append(s.spooled, f)
	if _, err := io.Copy(f, s.content(m)); err != nil {
		return nil, fmt.Errorf("%s: %s: keeping what comes before the descriptor: %w", s.name, m.name, err)
	}
	s.findings = append(s.findings, ovf.Finding{ID: RuleSpooled, Severity: ovf.Warning, Object: m.name, Clause: "DSP0243 5.3",
		Message: fmt.Sprintf("the file comes before the descriptor; its %d bytes were kept in %s", m.size, folder), Hint: "packages have their descriptor first"})
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

// dropSpooled removes the files that spool made.
func (s *stream) dropSpooled() {
	for _, f := range s.spooled {
		f.Close()
		os.Remove(f.Name())
	}
	s.spooled = nil
}

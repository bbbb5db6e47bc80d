package ova

import (
	"archive/tar"
	"bytes"
	"fmt"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
)

// recognise looks at the first block of what should be a tar archive, and
// says what it is instead.
func recognise(name string, start []byte) error {
	if f := compression.Detect(start); f != compression.Identity {
		return fmt.Errorf("%s: %s: %w", name, f, ErrCompressed)
	}
	if len(start) == blockSize {
		if b := (*block)(start); b.zero() || b.checksummed() {
			return nil
		}
	}
	what := fmt.Sprintf("it starts with %q", start[:min(len(start), 16)])
	text := bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(start) == 0:
		what = "it is empty"
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		what = "it is a zip file"
	case bytes.HasPrefix(start, []byte("KDMV")):
		what = "it is a VMDK disk"
	case bytes.HasPrefix(start, []byte("QFI\xfb")):
		what = "it is a qcow2 disk"
	case bytes.HasPrefix(text, []byte("<!DOCTYPE html")), bytes.HasPrefix(text, []byte("<html")):
		what = "it is a web page"
	case bytes.HasPrefix(text, []byte("<")):
		what = "it is XML; a descriptor is named .ovf"
	case len(start) < blockSize:
		what = fmt.Sprintf("it has %d bytes", len(start))
	}
	return &ovf.DescriptorError{Package: name, Offset: -1, Message: "not an OVA (a tar archive): " + what, Clause: "5.3"}
}

// HeaderSize is how many first bytes Begins wants to see: what PAX says of the
// whole archive and of its first entry, or a long name of GNU's, two blocks each,
// stand before the header of that.
const HeaderSize = 5 * blockSize

// Begins tells from the first bytes of a file whether it is an OVA: a tar whose
// first entry is the descriptor (DSP0243 5.3). A raw disk may be any other tar.
func Begins(header []byte) bool {
	r := tar.NewReader(bytes.NewReader(header))
	h, err := r.Next()
	if err == nil && h.Typeflag == tar.TypeXGlobalHeader {
		h, err = r.Next()
	}
	return err == nil && strings.EqualFold(path.Ext(h.Name), ".ovf")
}

package ova

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// maxOctal is the largest size that ustar's eleven octal digits hold: a member
// over 8 GiB gets GNU's base-256 form, and never a PAX header, which several
// importers refuse.
const maxOctal = 1<<33 - 1

// maxBase256 is the largest size written: far beyond any archive.
const maxBase256 = 1 << 62

// endOfArchive is two blocks of zeros.
const endOfArchive = 2 * blockSize

// formatHeader makes the header blocks of a file: one, or three when the name
// fits neither ustar's name field nor its prefix. The same input gives the
// same bytes: mode 0644, owner 0, no names of owners.
func formatHeader(name string, size int64, modified time.Time) ([]byte, error) {
	switch {
	case size < 0 || size > maxBase256:
		return nil, fmt.Errorf("%s: size %d does not fit a tar header", name, size)
	case name == "" || strings.ContainsRune(name, 0):
		return nil, fmt.Errorf("%q is not a name for a file in an archive", name)
	case len(name) > maxLongName-1:
		return nil, fmt.Errorf("%s: name of %d bytes, the limit is %d", shorten(name), len(name), maxLongName-1)
	}
	if prefix, rest, ok := splitName(name); ok {
		h := newHeader(rest, size, modified, '0')
		copy(h[345:500], prefix)
		h.sum()
		return h[:], nil
	}
	long := newHeader("././@LongLink", int64(len(name)+1), epoch, 'L')
	long.asGNU()
	long.sum()
	data := make([]byte, padded(int64(len(name)+1)))
	copy(data, name)
	h := newHeader(name[:100], size, modified, '0')
	h.asGNU()
	h.sum()
	return append(append(long[:], data...), h[:]...), nil
}

// splitName divides a name between ustar's prefix (155 bytes) and name (100).
func splitName(name string) (prefix, rest string, ok bool) {
	if len(name) <= 100 {
		return "", name, true
	}
	for i := min(len(name)-2, 155); i > 0 && len(name)-i-1 <= 100; i-- {
		if name[i] == '/' {
			return name[:i], name[i+1:], true
		}
	}
	return "", "", false
}

func newHeader(name string, size int64, modified time.Time, typeflag byte) *block {
	var b block
	copy(b[0:100], name)
	octal(b[100:108], 0o644)
	octal(b[108:116], 0)
	octal(b[116:124], 0)
	octal(b[136:148], max(0, min(modified.Unix(), maxOctal)))
	b[156] = typeflag
	copy(b[257:265], "ustar\x0000")
	octal(b[329:337], 0)
	octal(b[337:345], 0)
	if size <= maxOctal {
		octal(b[124:136], size)
		return &b
	}
	b.asGNU()
	for i := 135; i > 124; i-- {
		b[i] = byte(size)
		size >>= 8
	}
	b[124] = 0x80
	return &b
}

// asGNU marks the header as one of GNU's dialect.
func (b *block) asGNU() { copy(b[257:265], "ustar  \x00") }

func octal(field []byte, n int64) {
	copy(field, fmt.Appendf(nil, "%0*o", len(field)-1, n))
}

func (b *block) sum() {
	copy(b[148:156], "        ")
	var n int64
	for _, c := range b {
		n += int64(c)
	}
	copy(b[148:156], fmt.Appendf(nil, "%06o\x00 ", n))
}

// padDescriptor fills a descriptor with blanks after </Envelope> to size
// bytes, a line feed last, in its own encoding; XML allows white space there.
func padDescriptor(b []byte, size int64) ([]byte, error) {
	n := size - int64(len(b))
	if n < 0 {
		return nil, fmt.Errorf("descriptor has %d bytes, %d were reserved", len(b), size)
	}
	if n == 0 {
		return b, nil
	}
	blank, feed := []byte(" "), []byte("\n")
	if wide, high := utf16(b); wide && high {
		blank, feed = []byte("\x00 "), []byte("\x00\n")
	} else if wide {
		blank, feed = []byte(" \x00"), []byte("\n\x00")
	}
	if n%int64(len(blank)) != 0 {
		return nil, fmt.Errorf("descriptor in UTF-16 has %d bytes, %d were reserved, expected an even number", len(b), size)
	}
	out := append(bytes.Clone(b), bytes.Repeat(blank, int(n)/len(blank)-1)...)
	return append(out, feed...), nil
}

// utf16 tells from the first bytes whether a document has two bytes a character
// (XML 1.0 appendix F), and whether the high one comes first.
func utf16(b []byte) (wide, high bool) {
	high = bytes.HasPrefix(b, []byte{0xFE, 0xFF}) || bytes.HasPrefix(b, []byte{0, '<'})
	return high || bytes.HasPrefix(b, []byte{0xFF, 0xFE}) || bytes.HasPrefix(b, []byte{'<', 0}), high
}

// epoch is the time of members when nobody gives one, so that nothing depends on the clock.
var epoch = time.Unix(0, 0)

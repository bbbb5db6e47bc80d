package xmltree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
)

// charset is how the original bytes relate to the UTF-8 text the tree is made of.
type charset struct {
	name  string // utf-8, utf-16, iso-8859-1, us-ascii, other
	bom   []byte
	order binary.ByteOrder  // utf-16 only
	other encoding.Encoding // of producers on localized systems
	// says is the encoding that the declaration names where that is another one; it is
	// put right once the document is edited.
	says string
}

var encodingDecl = regexp.MustCompile(`^<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']`)

// detect follows XML 1.0 appendix F: byte order mark, then the shape of the
// first bytes, then the declaration.
func detect(b []byte) (charset, error) {
	switch {
	case bytes.HasPrefix(b, []byte{0xEF, 0xBB, 0xBF}):
		return charset{name: "utf-8", bom: b[:3]}, nil
	case bytes.HasPrefix(b, []byte{0xFE, 0xFF}):
		return charset{name: "utf-16", bom: b[:2], order: binary.BigEndian}, nil
	case bytes.HasPrefix(b, []byte{0xFF, 0xFE}):
		return charset{name: "utf-16", bom: b[:2], order: binary.LittleEndian}, nil
	case bytes.HasPrefix(b, []byte{0, '<', 0, '?'}):
		return charset{name: "utf-16", order: binary.BigEndian}, nil
	case bytes.HasPrefix(b, []byte{'<', 0, '?', 0}):
		return charset{name: "utf-16", order: binary.LittleEndian}, nil
	}
	name := "utf-8"
	if m := encodingDecl.FindSubmatch(b[:min(len(b), 1024)]); m != nil {
		name = strings.ToLower(string(m[1]))
	}
	switch name {
	case "utf-8", "utf8":
		return charset{name: "utf-8"}, nil
	case "utf-16", "utf-16le", "utf-16be", "unicode":
		// The declaration was read as ASCII, so it is wrong: XenCenter saves the
		// string of a .NET writer, which says utf-16 of itself, as UTF-8.
		return charset{name: "utf-8"}, nil
	case "us-ascii", "ascii":
		return charset{name: "us-ascii"}, nil
	case "iso-8859-1", "iso8859-1", "latin1":
		return charset{name: "iso-8859-1"}, nil
	}
	if other, err := ianaindex.IANA.Encoding(name); err == nil && other != nil && likeASCII(other) {
		return charset{name: "other", other: other}, nil
	}
	return charset{}, &SyntaxError{Line: 1, Msg: fmt.Sprintf("encoding %q is not known; UTF-8 is", name)}
}

// likeASCII: the bytes of markup mean themselves, in any state, so that what
// one reader takes for text is no tag to another (as in UTF-7, ISO-2022, HZ,
// EBCDIC).
func likeASCII(e encoding.Encoding) bool {
	var ascii []byte
	for b := byte(' '); b < 0x7F; b++ {
		ascii = append(ascii, b)
	}
	for _, twice := range [][]byte{ascii, []byte("~{VP~} \x1b$B+AGEAbA-"), []byte("+ADw- \r\n\t")} {
		if text, err := e.NewDecoder().Bytes(twice); err != nil || !bytes.Equal(text, twice) {
			return false
		}
	}
	return true
}

// misdeclared is the encoding that the declaration of text names where that is
// another one than what its bytes are in; otherwise empty. Where there is a choice
// the bytes have been believed.
func (c charset) misdeclared(text []byte) string {
	m := encodingDecl.FindSubmatch(text[:min(len(text), 1024)])
	if m == nil || c.name != "utf-8" && c.name != "utf-16" {
		return "" // read by what it says
	}
	is := "other"
	switch says := strings.ToLower(string(m[1])); says {
	case "utf-8", "utf8":
		is = "utf-8"
	case "utf-16", "utf-16le", "utf-16be", "unicode", "ucs-2", "iso-10646-ucs-2":
		is = "utf-16"
	}
	if is == c.name {
		return ""
	}
	return string(m[1])
}

// declared is text with a declaration that holds.
func (c charset) declared(text []byte) []byte {
	at := encodingDecl.FindSubmatchIndex(text[:min(len(text), 1024)])
	if c.says == "" || at == nil {
		return text
	}
	return slices.Concat(text[:at[2]], []byte(c.name), text[at[3]:])
}

// decode gives the UTF-8 text without byte order mark. For UTF-8 it is a
// slice of b, not a copy.
func (c charset) decode(b []byte) ([]byte, error) {
	b = b[len(c.bom):]
	switch c.name {
	case "utf-16":
		if len(b)%2 != 0 {
			return nil, &SyntaxError{Line: 1, Offset: int64(len(b)), Msg: "UTF-16 document with an odd number of bytes"}
		}
		out := make([]byte, 0, len(b))
		for i := 0; i < len(b); i += 2 {
			r := rune(c.order.Uint16(b[i:]))
			if utf16.IsSurrogate(r) {
				low := rune(0)
				if i+3 < len(b) {
					low = rune(c.order.Uint16(b[i+2:]))
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return nil, &SyntaxError{Line: 1 + bytes.Count(out, []byte("\n")), Offset: int64(len(c.bom) + i), Msg: "unpaired UTF-16 surrogate"}
				}
				i += 2
			}
			out = utf8.AppendRune(out, r)
		}
		return out, nil
	case "iso-8859-1":
		out := make([]byte, 0, len(b)+len(b)/8)
		for _, x := range b {
			out = utf8.AppendRune(out, rune(x))
		}
		return out, nil
	case "other":
		out, err := c.other.NewDecoder().Bytes(b)
		if err != nil {
			return nil, &SyntaxError{Line: 1, Msg: err.Error()}
		}
		if i := bytes.IndexRune(out, utf8.RuneError); i >= 0 {
			return nil, &SyntaxError{Line: 1 + bytes.Count(out[:i], []byte("\n")), Offset: c.offset(out, int64(i)), Msg: "bytes that mean nothing in the encoding that is declared"}
		}
		return out, nil
	case "us-ascii":
		for i, x := range b {
			if x >= 0x80 {
				return nil, &SyntaxError{Line: 1 + bytes.Count(b[:i], []byte("\n")), Offset: int64(i), Msg: "byte outside of US-ASCII, which the declaration promises"}
			}
		}
	}
	return b, nil
}

// encode is the inverse of decode. Edits can bring characters that a narrow
// charset lacks: they become character references.
func (c charset) encode(text []byte) []byte {
	out := append([]byte(nil), c.bom...)
	switch c.name {
	case "utf-16":
		ao := c.order.(binary.AppendByteOrder)
		for _, r := range string(text) {
			if a, b := utf16.EncodeRune(r); a != utf8.RuneError {
				out = ao.AppendUint16(ao.AppendUint16(out, uint16(a)), uint16(b))
				continue
			}
			out = ao.AppendUint16(out, uint16(r))
		}
		return out
	case "other":
		for _, r := range string(text) {
			b, err := c.other.NewEncoder().String(string(r))
			if err != nil {
				b = fmt.Sprintf("&#%d;", r)
			}
			out = append(out, b...)
		}
		return out
	case "iso-8859-1", "us-ascii":
		top := rune(0xFF)
		if c.name == "us-ascii" {
			top = 0x7F
		}
		for _, r := range string(text) {
			if r > top {
				out = fmt.Appendf(out, "&#%d;", r)
				continue
			}
			out = append(out, byte(r))
		}
		return out
	}
	return append(out, text...)
}

// offset turns an offset into the text into one into the original bytes.
func (c charset) offset(text []byte, off int64) int64 {
	off = min(max(off, 0), int64(len(text)))
	n := off
	switch c.name {
	case "utf-16":
		n = 0
		for _, r := range string(text[:off]) {
			if r > 0xFFFF {
				n += 2
			}
			n += 2
		}
	case "iso-8859-1":
		n = int64(utf8.RuneCount(text[:off]))
	case "other":
		n = int64(len(c.encode(text[:off])))
	}
	return n + int64(len(c.bom))
}

package xmltree

import (
	"bytes"
	"fmt"
)

// Declaration binds a prefix; an empty prefix is the default namespace.
type Declaration struct{ Prefix, Space string }

// Render is a document with f as its root, indented by two blanks, that
// declares the given prefixes on the root.
func Render(f Fragment, declare []Declaration) []byte {
	s := &scope{bound: map[string]string{}}
	var decl []byte
	for _, d := range declare {
		s.bound[d.Prefix] = d.Space
		name := "xmlns"
		if d.Prefix != "" {
			name += ":" + d.Prefix
		}
		decl = fmt.Appendf(decl, ` %s="%s"`, name, escapeAttr(d.Space, '"'))
	}
	var body bytes.Buffer
	f.write(&body, s, []byte("\n"), []byte("  "))
	b := body.Bytes()
	at := 1 + len(tagName(b))
	out := append([]byte(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"), b[:at]...)
	out = append(out, decl...)
	out = append(out, b[at:]...)
	return append(out, '\n')
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible writes to a terminal, and shows as \u009b what that would obey: control
// characters other than line feed and tab, and what turns the direction of text.
// XML and JSON let names have them. Inside a JSON string it means the same.
type visible struct{ w io.Writer }

// shown is w, where it is a terminal as visible. What goes to files and pipes
// stays as it is, byte for byte.
func shown(w io.Writer) io.Writer {
	if _, ok := terminal(w); ok {
		return &visible{w}
	}
	return w
}

// unwrapped is what w writes to, for what a terminal is to obey.
func unwrapped(w io.Writer) io.Writer {
	if v, ok := w.(*visible); ok {
		return v.w
	}
	return w
}

func (v *visible) Write(p []byte) (int, error) {
	if _, err := io.WriteString(v.w, visibly(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func visibly(p []byte) string {
	if !bytes.ContainsFunc(p, obeyed) {
		return string(p)
	}
	var b strings.Builder
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, p[0])
		case r == '\r' && len(p) > 1 && p[1] == '\n':
			// Texts of packages end lines so; the line feed does the same.
		case obeyed(r) && r != utf8.RuneError:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.Write(p[:n])
		}
		p = p[n:]
	}
	return b.String()
}

// oneLineOf is text without what begins another line, or is obeyed.
func oneLineOf(text string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(visibly([]byte(text)))
}

func obeyed(r rune) bool {
	switch r {
	case '\n', '\t':
		return false
	case utf8.RuneError: // also of what is no UTF-8
		return true
	case '\u061c', '\u200e', '\u200f', '\u2028', '\u2029':
		return true
	}
	return unicode.IsControl(r) || '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

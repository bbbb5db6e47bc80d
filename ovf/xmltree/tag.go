package xmltree

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
)

// Attr is an attribute with its name resolved and its value unescaped.
// Namespace declarations are not attributes here.
type Attr struct {
	Name  Name
	Value string
}

// rawAttr is an attribute as it stands in a start tag, with spans into it.
type rawAttr struct {
	prefix, local   string
	from, valueFrom int // of the name; of the value inside its quotes
	valueTo, to     int // end of the value; after the closing quote
}

// tag is the start tag as it stands now.
func (n *Node) tag() []byte {
	if n.edit != nil && n.edit.tag != nil {
		return n.edit.tag
	}
	return n.src.text[n.start:n.tagEnd]
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// rawAttrs scans a start tag that the decoder has accepted.
func rawAttrs(tag []byte) iter.Seq[rawAttr] {
	return func(yield func(rawAttr) bool) {
		i := 1
		for i < len(tag) && !isSpace(tag[i]) && tag[i] != '>' && tag[i] != '/' {
			i++
		}
		for {
			for i < len(tag) && isSpace(tag[i]) {
				i++
			}
			if i >= len(tag) || tag[i] == '>' || tag[i] == '/' {
				return
			}
			a := rawAttr{from: i}
			for i < len(tag) && !isSpace(tag[i]) && tag[i] != '=' {
				i++
			}
			a.prefix, a.local = splitName(string(tag[a.from:i]))
			for i < len(tag) && tag[i] != '"' && tag[i] != '\'' {
				i++
			}
			if i >= len(tag) {
				return
			}
			a.valueFrom = i + 1
			end := bytes.IndexByte(tag[i+1:], tag[i])
			if end < 0 {
				return
			}
			a.valueTo = i + 1 + end
			a.to = a.valueTo + 1
			i = a.to
			if !yield(a) {
				return
			}
		}
	}
}

func splitName(s string) (prefix, local string) {
	if p, l, ok := strings.Cut(s, ":"); ok && p != "" && l != "" {
		return p, l
	}
	return "", s
}

func (a rawAttr) isNamespace() bool {
	return a.prefix == "xmlns" || a.prefix == "" && a.local == "xmlns"
}

// resolve gives the name of an attribute: without prefix it is in no namespace.
func (n *Node) resolve(a rawAttr) Name {
	if a.prefix == "" {
		return Name{"", a.local}
	}
	if space, ok := n.scope.lookup(a.prefix); ok {
		return Name{space, a.local}
	}
	return Name{UnboundPrefix + a.prefix, a.local}
}

// Attrs are the attributes in order.
func (n *Node) Attrs() iter.Seq[Attr] {
	return func(yield func(Attr) bool) {
		tag := n.tag()
		for a := range rawAttrs(tag) {
			if a.isNamespace() {
				continue
			}
			if !yield(Attr{n.resolve(a), unescapeAttr(tag[a.valueFrom:a.valueTo])}) {
				return
			}
		}
	}
}

// Attr is the value of an attribute, and whether the element has it.
func (n *Node) Attr(space, local string) (string, bool) {
	tag := n.tag()
	if a, ok := n.findAttr(space, local); ok {
		return unescapeAttr(tag[a.valueFrom:a.valueTo]), true
	}
	return "", false
}

func (n *Node) findAttr(space, local string) (rawAttr, bool) {
	for a := range rawAttrs(n.tag()) {
		if a.local == local && !a.isNamespace() && n.resolve(a).Space == space {
			return a, true
		}
	}
	return rawAttr{}, false
}

// ResolvePrefix gives the namespace that a prefix (as in a QName value such as
// that of xsi:type) is bound to at this element; "" asks for the default one.
func (n *Node) ResolvePrefix(prefix string) (string, bool) { return n.scope.lookup(prefix) }

// Prefix gives a prefix bound to the namespace at this element. For attributes
// the default namespace does not count.
func (n *Node) Prefix(space string, attribute bool) (string, bool) {
	if space == xmlNamespace {
		return "xml", true
	}
	if space == "" {
		if v, ok := n.scope.lookup(""); attribute || !ok || v == "" {
			return "", true
		}
		return "", false
	}
	if !attribute {
		if v, ok := n.scope.lookup(""); ok && v == space {
			return "", true
		}
	}
	best := ""
	for s := n.scope; s != nil; s = s.outer {
		for p, v := range s.bound {
			if v != space || p == "" {
				continue
			}
			// An inner element may have rebound the prefix.
			if w, _ := n.scope.lookup(p); w == space && (best == "" || p < best) {
				best = p
			}
		}
		if best != "" {
			return best, true
		}
	}
	return "", false
}

var predefined = map[string]string{"lt": "<", "gt": ">", "amp": "&", "apos": "'", "quot": `"`}

// unescapeAttr resolves references and normalises white space (XML 1.0, 3.3.3).
func unescapeAttr(raw []byte) string {
	if !bytes.ContainsAny(raw, "&\r\n\t") {
		return string(raw)
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; c {
		case '\r':
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
			b.WriteByte(' ')
		case '\n', '\t':
			b.WriteByte(' ')
		case '&':
			end := bytes.IndexByte(raw[i:], ';')
			if end < 0 {
				b.WriteByte(c)
				continue
			}
			ref := string(raw[i+1 : i+end])
			if s, ok := predefined[ref]; ok {
				b.WriteString(s)
			} else if r, ok := charRef(ref); ok {
				b.WriteRune(r)
			}
			i += end
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func charRef(ref string) (rune, bool) {
	num, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if h, ok := strings.CutPrefix(num, "x"); ok {
		num, base = h, 16
	}
	r, err := strconv.ParseUint(num, base, 32)
	return rune(r), err == nil && r <= 0x10FFFF
}

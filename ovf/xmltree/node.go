package xmltree

import (
	"bytes"
	"encoding/xml"
	"io"
	"iter"
	"strings"
)

// Node is an element. Its spans are offsets into its source:
//
//	<a x="1"> text <b/> </a>
//	^start   ^tagEnd    ^endTag
//	                        ^end
//
// For an empty-element tag tagEnd, endTag and end are equal.
type Node struct {
	src                        *source
	parent                     *Node
	first, last, next          *Node
	name                       *Name
	scope                      *scope
	edit                       *edit
	start, tagEnd, endTag, end int32
}

// scope holds the prefixes that one element declares.
type scope struct {
	outer *scope
	bound map[string]string
}

func (s *scope) lookup(prefix string) (string, bool) {
	if prefix == "xml" {
		return xmlNamespace, true
	}
	for ; s != nil; s = s.outer {
		if v, ok := s.bound[prefix]; ok {
			return v, true
		}
	}
	return "", false
}

func (n *Node) appendChild(c *Node) {
	c.parent = n
	if n.last == nil {
		n.first = c
	} else {
		n.last.next = c
	}
	n.last = c
}

// Name is the resolved name.
func (n *Node) Name() Name { return *n.name }

// Parent is nil for the root and for a removed element.
func (n *Node) Parent() *Node { return n.parent }

// Offset is where the element starts, in bytes of the original document; -1
// for an inserted one.
func (n *Node) Offset() int64 {
	d := n.src.doc
	if d == nil || n.src != d.src {
		return -1
	}
	return d.charset.offset(d.src.text, int64(n.start))
}

// Line is the line where the element starts in the original document, from 1;
// 0 for an inserted one.
func (n *Node) Line() int {
	d := n.src.doc
	if d == nil || n.src != d.src {
		return 0
	}
	return d.line(int64(n.start))
}

// Children are the child elements in order.
func (n *Node) Children() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for c := n.first; c != nil; c = c.next {
			if !yield(c) {
				return
			}
		}
	}
}

// Descendants are n and all elements below it, in document order.
func (n *Node) Descendants() iter.Seq[*Node] {
	return func(yield func(*Node) bool) { n.walk(yield) }
}

func (n *Node) walk(yield func(*Node) bool) bool {
	if !yield(n) {
		return false
	}
	for c := n.first; c != nil; c = c.next {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}

// Text is the character data directly inside the element, comments and child
// elements left out, entities and CDATA resolved, not trimmed.
func (n *Node) Text() string {
	if n.edit != nil && n.edit.items != nil {
		var b strings.Builder
		for _, it := range n.edit.items {
			if it.node == nil {
				b.WriteString(unescapeContent(it.raw))
			}
		}
		return b.String()
	}
	if n.first == nil {
		return unescapeContent(n.src.text[n.tagEnd:n.endTag])
	}
	var b strings.Builder
	at := n.tagEnd
	for c := n.first; c != nil; c = c.next {
		b.WriteString(unescapeContent(n.src.text[at:c.start]))
		at = c.end
	}
	b.WriteString(unescapeContent(n.src.text[at:n.endTag]))
	return b.String()
}

// unescapeContent is the character data of well-formed content without elements.
func unescapeContent(raw []byte) string {
	if bytes.IndexByte(raw, '<') < 0 && bytes.IndexByte(raw, '&') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return string(raw)
	}
	var b strings.Builder
	dec := xml.NewDecoder(bytes.NewReader(raw))
	dec.Strict = false
	for {
		tok, err := dec.RawToken()
		if err == io.EOF || err != nil {
			return b.String()
		}
		if t, ok := tok.(xml.CharData); ok {
			b.Write(t)
		}
	}
}

// Raw is the element as it stands in the document now, from start tag to end
// tag, in UTF-8.
func (n *Node) Raw() []byte {
	if !n.dirty() {
		return n.src.text[n.start:n.end:n.end]
	}
	var b bytes.Buffer
	n.writeTo(&b)
	return b.Bytes()
}

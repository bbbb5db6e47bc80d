// Package xmltree is an XML document as a tree of elements that remember where
// they stand in the original bytes.
//
// It promises that an untouched document is given back byte for byte, that an
// edited one differs from the original only where it was edited, that names
// are resolved by namespace and never by prefix, and that a hostile document
// costs bounded memory and time: sizes, depth, attributes and elements are
// limited, document types that define or fetch entities are refused.
//
// A general document tree (etree and its like) keeps all elements, but writes
// quotes, attribute spacing, empty-element tags and character references its
// own way; the descriptor of an OVF package is signed and digested as bytes,
// so that is not enough here. Tokens are encoding/xml's.
package xmltree

import (
	"bytes"
	"fmt"
	"sync"
)

// Limits bound what Parse accepts. A zero field takes the value of DefaultLimits.
type Limits struct {
	Bytes      int // of the document as given
	Depth      int // of nested elements
	Attributes int // of one element
	Elements   int // of the document
}

// DefaultLimits let ten thousand virtual systems pass.
var DefaultLimits = Limits{Bytes: 64 << 20, Depth: 128, Attributes: 1024, Elements: 2 << 20}

func (l Limits) orDefault() Limits {
	d := DefaultLimits
	for _, p := range []struct{ have, def *int }{
		{&l.Bytes, &d.Bytes}, {&l.Depth, &d.Depth}, {&l.Attributes, &d.Attributes}, {&l.Elements, &d.Elements},
	} {
		if *p.have == 0 {
			*p.have = *p.def
		}
	}
	return l
}

// SyntaxError is a document that is not well-formed, or not one we read.
type SyntaxError struct {
	Line   int   // from 1
	Offset int64 // in bytes of the original document
	Msg    string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// LimitError is a document that exceeds one of the Limits.
type LimitError struct {
	What   string // "bytes", "depth", "attributes", "elements", Entities, ExternalEntities
	Limit  int
	Line   int   // 0 when the whole document is meant
	Offset int64 // in bytes of the original document
}

// What a LimitError says of a document type that could define or fetch
// something, of which none is allowed.
const (
	Entities         = "entities"
	ExternalEntities = "external entities"
)

func (e *LimitError) Error() string {
	s := fmt.Sprintf("more than %d %s", e.Limit, map[string]string{
		"bytes": "bytes", "depth": "nested elements", "attributes": "attributes on one element", "elements": "elements",
	}[e.What])
	switch e.What {
	case Entities:
		s = "document type with an internal subset: entity definitions are refused"
	case ExternalEntities:
		s = "document type with an external identifier: external entities are refused"
	}
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %s", e.Line, s)
	}
	return s
}

// Document is a parsed document. Reading it from several goroutines is safe
// while nobody edits it.
type Document struct {
	original []byte
	charset  charset
	src      *source // prologue and epilogue around the root come from here
	root     *Node
	edits    int

	lines  sync.Once
	breaks []int32 // offsets of the line breaks in the text
}

// Root is the document element.
func (d *Document) Root() *Node { return d.root }

// Misdeclared gives the encoding that the XML declaration names and the one that
// the document is in and was read by, where they differ; else says is empty.
func (d *Document) Misdeclared() (says, is string) { return d.charset.says, d.charset.name }

// Edits counts the edits made so far; 0 means that Bytes gives the original.
func (d *Document) Edits() int { return d.edits }

// Bytes is the document: the original bytes when nothing was edited, else the
// original with the edits in their places, in the original's encoding, which its
// declaration names by then.
func (d *Document) Bytes() []byte {
	if d.edits == 0 {
		return d.original
	}
	var b bytes.Buffer
	b.Grow(len(d.src.text) + 1024)
	b.Write(d.src.text[:d.root.start])
	d.root.writeTo(&b)
	b.Write(d.src.text[d.root.end:])
	return d.charset.encode(d.charset.declared(b.Bytes()))
}

// source is text that nodes have spans in: that of the document, or that of
// an inserted fragment.
type source struct {
	doc  *Document
	text []byte
}

// Name is a resolved name. Space is empty for a name in no namespace, and
// UnboundPrefix + prefix where the document does not declare the prefix.
type Name struct{ Space, Local string }

// UnboundPrefix starts the Space of a name whose prefix is not declared.
const UnboundPrefix = "unbound:"

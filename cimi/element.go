package cimi

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
)

// element is a parsed XML element: what the decoder and extension attributes work on.
type element struct {
	space, local string
	attrs        []xml.Attr
	children     []*element
	text         strings.Builder
}

// isCIMI: no namespace, or one of the standard's; some end it in a slash.
func isCIMI(ns string) bool {
	switch strings.TrimSuffix(ns, "/") {
	case "", Namespace, Namespace1, namespaceDrafts:
		return true
	}
	return false
}

// parseXML parses one document within the limits. Document types are refused,
// and with them every entity that XML itself does not define.
func parseXML(b []byte, l Limits) (*element, error) {
	l = l.orDefault()
	if len(b) > l.Bytes {
		return nil, ErrTooLarge
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	var root *element
	var stack []*element
	nodes := 0
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			line, col := d.InputPos()
			return nil, decodeErrorf("", "not XML: line %d, column %d: %s", line, col, strings.TrimPrefix(err.Error(), "XML syntax error on "))
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			el := &element{space: tok.Name.Space, local: tok.Name.Local, attrs: tok.Attr}
			if nodes += 1 + len(tok.Attr); nodes > l.Nodes || len(stack) >= l.Depth {
				return nil, ErrTooLarge
			}
			if len(stack) > 0 {
				top := stack[len(stack)-1]
				top.children = append(top.children, el)
			} else if root != nil {
				return nil, decodeErrorf("", "not XML: more than one root element")
			} else {
				root = el
			}
			stack = append(stack, el)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text.Write(tok)
			}
		case xml.Directive:
			return nil, decodeErrorf("", "not accepted in XML: a document type or entity declaration")
		}
	}
	if root == nil {
		return nil, decodeErrorf("", "not XML: no element")
	}
	return root, nil
}

// value is the text without the white space at its ends, unless that is marked as content.
func (el *element) value() string {
	s := el.text.String()
	for _, a := range el.attrs {
		if a.Name.Local == "space" && a.Value == "preserve" && (a.Name.Space == "xml" || a.Name.Space == "http://www.w3.org/XML/1998/namespace") {
			return s
		}
	}
	return strings.TrimSpace(s)
}

// plainAttrs are the XML attributes that are neither declarations nor of another namespace.
func (el *element) plainAttrs() map[string]string {
	m := map[string]string{}
	for _, a := range el.attrs {
		if a.Name.Space == "" && a.Name.Local != "xmlns" || isCIMI(a.Name.Space) && a.Name.Space != "" {
			m[a.Name.Local] = a.Value
		}
	}
	return m
}

func (el *element) attr(name string) string { return el.plainAttrs()[name] }

// bare: nothing in it at all.
func (el *element) bare() bool {
	return len(el.children) == 0 && el.value() == "" && len(el.plainAttrs()) == 0
}

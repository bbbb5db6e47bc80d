package xmltree

import (
	"bytes"
	"fmt"
	"strings"
)

// edit is what was changed about an element. A node without one, and without
// one below it, is written from its source.
type edit struct {
	tag   []byte // the start tag, when it was changed; never an empty-element tag when items is set
	items []item // the content, when children or text were changed; nil otherwise
	below bool   // something deeper was changed
}

// item is a piece of content: an element, or the raw text between elements.
type item struct {
	raw  []byte
	node *Node
}

func (n *Node) dirty() bool { return n.edit != nil }

func (n *Node) touch() *edit {
	if n.edit == nil {
		n.edit = &edit{}
	}
	for p := n.parent; p != nil; p = p.parent {
		if p.edit == nil {
			p.edit = &edit{}
		}
		if p.edit.below {
			break
		}
		p.edit.below = true
	}
	if n.src.doc != nil {
		n.src.doc.edits++
	}
	return n.edit
}

func (n *Node) writeTo(b *bytes.Buffer) {
	if n.edit == nil {
		b.Write(n.src.text[n.start:n.end])
		return
	}
	tag := n.tag()
	empty := bytes.HasSuffix(tag, []byte("/>"))
	if n.edit.items == nil {
		b.Write(tag)
		if empty {
			return
		}
		at := n.tagEnd
		for c := n.first; c != nil; c = c.next {
			b.Write(n.src.text[at:c.start])
			c.writeTo(b)
			at = c.end
		}
		b.Write(n.src.text[at:n.end])
		return
	}
	b.Write(tag)
	for _, it := range n.edit.items {
		if it.node != nil {
			it.node.writeTo(b)
		} else {
			b.Write(it.raw)
		}
	}
	if n.endTag < n.end {
		b.Write(n.src.text[n.endTag:n.end])
	} else {
		b.WriteString("</" + tagName(tag) + ">")
	}
}

func tagName(tag []byte) string {
	i := 1
	for i < len(tag) && !isSpace(tag[i]) && tag[i] != '>' && tag[i] != '/' {
		i++
	}
	return string(tag[1:i])
}

// QName is the name as the document writes it, with its prefix.
func (n *Node) QName() string { return tagName(n.tag()) }

// SetAttr changes or adds an attribute. Setting the value it has is no edit.
// A new namespace is declared on the element under the hint (or "ns") when no
// prefix is bound to it.
func (n *Node) SetAttr(space, local, value, hint string) {
	tag := n.tag()
	if a, ok := n.findAttr(space, local); ok {
		if unescapeAttr(tag[a.valueFrom:a.valueTo]) == value {
			return
		}
		quote := tag[a.valueTo]
		n.touch().tag = splice(tag, a.valueFrom, a.valueTo, escapeAttr(value, quote))
		return
	}
	prefix, ok := n.Prefix(space, true)
	declare := ""
	if !ok {
		prefix = n.freePrefix(hint)
		n.scope = &scope{outer: n.scope, bound: map[string]string{prefix: space}}
		declare = fmt.Sprintf(` xmlns:%s="%s"`, prefix, escapeAttr(space, '"'))
	}
	name := local
	if prefix != "" {
		name = prefix + ":" + local
	}
	at := 1 + len(tagName(tag))
	for a := range rawAttrs(tag) {
		at = a.to
	}
	n.touch().tag = splice(tag, at, at, fmt.Sprintf(`%s %s="%s"`, declare, name, escapeAttr(value, '"')))
}

// freePrefix finds a prefix that is not bound here.
func (n *Node) freePrefix(hint string) string {
	if hint == "" {
		hint = "ns"
	}
	p := hint
	for i := 1; ; i++ {
		if _, taken := n.scope.lookup(p); !taken {
			return p
		}
		p = fmt.Sprintf("%s%d", hint, i)
	}
}

// RedeclareNamespace declares, wherever the document declares a namespace that
// is a key of to, the one it leads to instead. Names that were resolved before
// stay as they were: parse the bytes to see the others.
func (d *Document) RedeclareNamespace(to map[string]string) {
	for n := range d.root.Descendants() {
		for again := true; again; {
			again = false
			tag := n.tag()
			for a := range rawAttrs(tag) {
				if !a.isNamespace() {
					continue
				}
				was := unescapeAttr(tag[a.valueFrom:a.valueTo])
				if is, ok := to[was]; ok && is != was {
					n.touch().tag = splice(tag, a.valueFrom, a.valueTo, escapeAttr(is, tag[a.valueTo]))
					again = true
					break
				}
			}
		}
	}
}

// RemoveAttr takes an attribute away with the white space before it.
func (n *Node) RemoveAttr(space, local string) {
	a, ok := n.findAttr(space, local)
	if !ok {
		return
	}
	tag := n.tag()
	from := a.from
	for from > 0 && isSpace(tag[from-1]) {
		from--
	}
	n.touch().tag = splice(tag, from, a.to, "")
}

// SetText replaces the text of the element, and all else in it. Setting the
// text it has is no edit.
func (n *Node) SetText(s string) {
	if n.first == nil && n.Text() == s {
		return
	}
	for c := n.first; c != nil; c = c.next {
		c.parent = nil
	}
	n.first, n.last = nil, nil
	n.openTag()
	n.touch().items = []item{{raw: []byte(escapeText(s))}}
}

// openTag turns an empty-element tag into a start tag.
func (n *Node) openTag() {
	tag := n.tag()
	if inner, ok := bytes.CutSuffix(tag, []byte("/>")); ok {
		e := n.touch()
		e.tag = append(bytes.TrimRight(bytes.Clone(inner), " \t\r\n"), '>')
		if e.items == nil {
			e.items = []item{}
		}
	}
}

// contents makes the content a list that can be edited.
func (n *Node) contents() *edit {
	n.openTag()
	e := n.touch()
	if e.items != nil {
		return e
	}
	e.items = []item{}
	at := n.tagEnd
	raw := func(to int32) {
		if to > at {
			e.items = append(e.items, item{raw: n.src.text[at:to]})
		}
	}
	for c := n.first; c != nil; c = c.next {
		raw(c.start)
		e.items = append(e.items, item{node: c})
		at = c.end
	}
	raw(n.endTag)
	return e
}

// Remove takes the element out of its parent with the indentation before it.
// The root cannot be removed.
func (n *Node) Remove() {
	p := n.parent
	if p == nil {
		return
	}
	e := p.contents()
	i := indexOf(e.items, n)
	from := i
	if i > 0 && e.items[i-1].node == nil {
		// Keep comments and text; drop the line break and the indent only.
		kept := bytes.TrimRight(e.items[i-1].raw, " \t\r\n")
		if cut := bytes.LastIndexByte(e.items[i-1].raw, '\n'); cut >= len(kept) {
			if cut > 0 && e.items[i-1].raw[cut-1] == '\r' {
				cut--
			}
			e.items[i-1].raw = e.items[i-1].raw[:cut]
		}
		if len(e.items[i-1].raw) == 0 {
			from--
		}
	}
	e.items = append(e.items[:from:from], e.items[i+1:]...)
	p.relink()
	n.parent, n.next = nil, nil
}

func indexOf(items []item, n *Node) int {
	for i, it := range items {
		if it.node == n {
			return i
		}
	}
	return -1
}

// relink rebuilds the list of children from the edited content.
func (n *Node) relink() {
	n.first, n.last = nil, nil
	for _, it := range n.edit.items {
		if it.node != nil {
			it.node.next = nil
			n.appendChild(it.node)
		}
	}
}

func splice(b []byte, from, to int, s string) []byte {
	out := make([]byte, 0, len(b)+len(s))
	out = append(out, b[:from]...)
	out = append(out, s...)
	return append(out, b[to:]...)
}

var textEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;")

func escapeText(s string) string { return textEscaper.Replace(clean(s)) }

var attrEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;", "\n", "&#10;", "\t", "&#9;")

func escapeAttr(s string, quote byte) string {
	s = attrEscaper.Replace(clean(s))
	if quote == '\'' {
		return strings.ReplaceAll(s, "'", "&apos;")
	}
	return strings.ReplaceAll(s, `"`, "&quot;")
}

// clean drops what XML 1.0 cannot hold, even escaped (2.2).
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r', r >= 0x20 && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000:
			return r
		}
		return -1
	}, s)
}

package xmltree

import (
	"bytes"
	"fmt"
)

// Fragment is an element to be inserted. Names are resolved against the place
// where it goes: the prefixes there are used, missing ones declared.
type Fragment struct {
	Name     Name
	Hint     string // prefix to declare for Name.Space when none is bound
	Attrs    []FragmentAttr
	Text     string // only where there are no children
	Children []Fragment
}

// FragmentAttr is an attribute of a Fragment.
type FragmentAttr struct {
	Name  Name
	Hint  string
	Value string
}

// Append inserts the fragment as the last child of n.
func (n *Node) Append(f Fragment) (*Node, error) { return n.Insert(f, nil, false) }

// Insert puts the fragment among n's children: behind ref where after is
// true, else before it; a nil ref means last, or first where after is true.
// Indentation follows that of the neighbours.
func (n *Node) Insert(f Fragment, ref *Node, after bool) (*Node, error) {
	if ref != nil && ref.parent != n {
		return nil, fmt.Errorf("insert of %s: the place is not a child of %s", f.Name.Local, n.name.Local)
	}
	line, unit := n.indent()
	var b bytes.Buffer
	f.write(&b, n.scope, line, unit)
	node, err := n.parseFragment(b.Bytes())
	if err != nil {
		return nil, err
	}
	e := n.contents()
	at := len(e.items)
	switch {
	case ref != nil && after:
		at = indexOf(e.items, ref) + 1
	case ref != nil:
		at = indexOf(e.items, ref)
	case after:
		at = 0
	}
	// Before ref the indent that stands before ref serves the new element, and
	// ref gets a new one; elsewhere the new element brings its own.
	switch {
	case ref != nil && !after:
		e.items = insert(e.items, at, item{node: node}, item{raw: line})
	case at == len(e.items) && at > 0 && e.items[at-1].node == nil && isBlank(e.items[at-1].raw):
		e.items = insert(e.items, at-1, item{raw: line}, item{node: node})
	case at == len(e.items) && at == 0:
		e.items = insert(e.items, at, item{raw: line}, item{node: node}, item{raw: closing(line, unit)})
	default:
		e.items = insert(e.items, at, item{raw: line}, item{node: node})
	}
	n.relink()
	return node, nil
}

func insert(items []item, at int, add ...item) []item {
	out := make([]item, 0, len(items)+len(add))
	out = append(out, items[:at]...)
	out = append(out, add...)
	return append(out, items[at:]...)
}

func isBlank(b []byte) bool { return len(bytes.TrimSpace(b)) == 0 }

// indent is the white space before a child of n, line break included, and how
// much one level adds. A document on one line gets none.
func (n *Node) indent() (line, unit []byte) {
	own := n.before()
	at := 0 // in the edited content, where c is looked for from
	for c := n.first; c != nil; c = c.next {
		w := []byte(nil)
		if c.placed() {
			for n.edit.items[at].node != c {
				at++
			}
			w = c.behind(n.edit.items, at)
		} else {
			w = c.before()
		}
		if w != nil {
			if own != nil && bytes.HasPrefix(w, own) && len(w) > len(own) {
				return w, w[len(own):]
			}
			return w, nil
		}
	}
	if own == nil {
		if n.parent == nil && n.first == nil {
			return []byte("\n  "), []byte("  ")
		}
		return nil, nil
	}
	unit = []byte("  ")
	if p := n.parent; p != nil {
		if w := p.before(); w != nil && bytes.HasPrefix(own, w) && len(own) > len(w) {
			unit = own[len(w):]
		}
	}
	return append(bytes.Clone(own), unit...), unit
}

// before is the line break and indent in front of the element; nil when
// something else stands there.
func (n *Node) before() []byte {
	if n.placed() {
		return n.behind(n.parent.edit.items, indexOf(n.parent.edit.items, n))
	}
	return n.beforeInSource()
}

// placed tells whether what stands before the element is known from the edited
// content of its parent alone.
func (n *Node) placed() bool {
	return (n.src.doc == nil || n.src != n.src.doc.src) && n.edit == nil &&
		n.parent != nil && n.parent.edit != nil && n.parent.edit.items != nil
}

// behind is before, of the element that stands at an index of the content.
func (n *Node) behind(items []item, at int) []byte {
	if at > 0 && items[at-1].node == nil {
		return lastLine(items[at-1].raw)
	}
	return n.beforeInSource()
}

func (n *Node) beforeInSource() []byte {
	if n.parent == nil {
		return []byte("\n")
	}
	return lastLine(n.src.text[:n.start])
}

func lastLine(b []byte) []byte {
	i := len(b)
	for i > 0 && (b[i-1] == ' ' || b[i-1] == '\t') {
		i--
	}
	if i == 0 || b[i-1] != '\n' {
		return nil
	}
	i--
	if i > 0 && b[i-1] == '\r' {
		i--
	}
	return b[i:]
}

func closing(line, unit []byte) []byte { return bytes.TrimSuffix(line, unit) }

// parseFragment parses text in the scope of n.
func (n *Node) parseFragment(text []byte) (*Node, error) {
	src := &source{doc: n.src.doc, text: text}
	p := &parser{src: src, limits: DefaultLimits, names: map[Name]*Name{}, bound: map[string]string{"xml": xmlNamespace}}
	for s := n.scope; s != nil; s = s.outer {
		for prefix, space := range s.bound {
			if _, inner := p.bound[prefix]; !inner {
				p.bound[prefix] = space
			}
		}
	}
	node, err := p.parse()
	if err != nil {
		return nil, err
	}
	for d := range node.Descendants() {
		if d.scope == nil {
			d.scope = n.scope
			continue
		}
		s := d.scope
		for s.outer != nil && s.outer != n.scope {
			s = s.outer
		}
		s.outer = n.scope
	}
	return node, nil
}

// write puts the fragment as text. within is what is bound around it; line and
// unit are the indent of its own line and of one level.
func (f Fragment) write(b *bytes.Buffer, within *scope, line, unit []byte) {
	holder := &Node{scope: within}
	var declare []byte
	qualify := func(name Name, hint string, attribute bool) string {
		prefix, ok := holder.Prefix(name.Space, attribute)
		if !ok && name.Space == "" {
			// Undo the default namespace for this element.
			holder.scope = &scope{outer: holder.scope, bound: map[string]string{"": ""}}
			declare = append(declare, ` xmlns=""`...)
			return name.Local
		}
		if !ok {
			prefix = holder.freePrefix(hint)
			holder.scope = &scope{outer: holder.scope, bound: map[string]string{prefix: name.Space}}
			declare = fmt.Appendf(declare, ` xmlns:%s="%s"`, prefix, escapeAttr(name.Space, '"'))
		}
		if prefix == "" {
			return name.Local
		}
		return prefix + ":" + name.Local
	}
	tag := qualify(f.Name, f.Hint, false)
	var attrs []byte
	for _, a := range f.Attrs {
		attrs = fmt.Appendf(attrs, ` %s="%s"`, qualify(a.Name, a.Hint, true), escapeAttr(a.Value, '"'))
	}
	fmt.Fprintf(b, "<%s%s%s", tag, declare, attrs)
	switch {
	case len(f.Children) > 0:
		b.WriteByte('>')
		inner := line
		if line != nil {
			inner = append(bytes.Clone(line), unit...)
		}
		for _, c := range f.Children {
			b.Write(inner)
			c.write(b, holder.scope, inner, unit)
		}
		b.Write(line)
		fmt.Fprintf(b, "</%s>", tag)
	case f.Text != "":
		fmt.Fprintf(b, ">%s</%s>", escapeText(f.Text), tag)
	default:
		b.WriteString("/>")
	}
}

// Wrap puts a new element in n's place with n inside of it, behind the
// fragment's own children.
func (n *Node) Wrap(f Fragment) (*Node, error) {
	p := n.parent
	if p == nil {
		return nil, fmt.Errorf("wrap of %s: the root element stays", n.name.Local)
	}
	outer, err := p.Insert(f, n, false)
	if err != nil {
		return nil, err
	}
	e := p.edit
	i := indexOf(e.items, n)
	from := i
	if i > 0 && e.items[i-1].node == nil && isBlank(e.items[i-1].raw) {
		from--
	}
	e.items = append(e.items[:from:from], e.items[i+1:]...)
	p.relink()
	line, unit := outer.indent()
	o := outer.contents()
	at := len(o.items)
	tail := item{raw: closing(line, unit)}
	if at > 0 && o.items[at-1].node == nil && isBlank(o.items[at-1].raw) {
		tail = o.items[at-1]
		at--
	}
	n.next = nil
	o.items = append(o.items[:at:at], item{raw: line}, item{node: n}, tail)
	outer.relink()
	outer.touch()
	return outer, nil
}

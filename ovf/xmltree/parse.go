package xmltree

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unsafe"
)

const xmlNamespace = "http://www.w3.org/XML/1998/namespace"

// Parse reads a document. Errors are *SyntaxError and *LimitError. The
// document keeps b: the caller does not change it any more.
func Parse(b []byte, limits Limits) (*Document, error) {
	limits = limits.orDefault()
	if len(b) > limits.Bytes {
		return nil, &LimitError{What: "bytes", Limit: limits.Bytes}
	}
	cs, err := detect(b)
	if err != nil {
		return nil, err
	}
	text, err := cs.decode(b)
	if err != nil {
		return nil, err
	}
	cs.says = cs.misdeclared(text)
	d := &Document{original: b, charset: cs}
	d.src = &source{doc: d, text: text}
	p := &parser{src: d.src, limits: limits, names: map[Name]*Name{}, bound: map[string]string{"xml": xmlNamespace}}
	root, err := p.parse()
	if err != nil {
		return nil, d.locate(err)
	}
	d.root = root
	return d, nil
}

// locate completes an error that knows only its offset in the text.
func (d *Document) locate(err error) error {
	var se *SyntaxError
	var le *LimitError
	switch {
	case errors.As(err, &se):
		se.Line = d.line(se.Offset)
		se.Offset = d.charset.offset(d.src.text, se.Offset)
	case errors.As(err, &le):
		le.Line = d.line(le.Offset)
		le.Offset = d.charset.offset(d.src.text, le.Offset)
	}
	return err
}

// line finds the line of an offset in the text. Reports name many lines, so
// the line breaks are looked for once.
func (d *Document) line(off int64) int {
	d.lines.Do(func() {
		for i, c := range d.src.text {
			if c == '\n' {
				d.breaks = append(d.breaks, int32(i))
			}
		}
	})
	n, _ := slices.BinarySearch(d.breaks, int32(min(max(off, 0), int64(len(d.src.text)))))
	return n + 1
}

// parser builds the tree of one source. Nodes come from slabs, names are
// shared: ten thousand virtual systems have some sixty distinct names.
type parser struct {
	src    *source
	limits Limits
	slab   []Node
	count  int
	names  map[Name]*Name
	bound  map[string]string // prefix to namespace, at this point of the document
	undo   []binding         // what bound held before, by depth
	open   []openElement
}

type binding struct {
	prefix, space string
	was           bool
}

type openElement struct {
	node *Node
	raw  xml.Name // as written, prefix in Space
	undo int
}

func (p *parser) parse() (*Node, error) {
	if err := p.scan(); err != nil {
		return nil, err
	}
	text := p.src.text
	dec := xml.NewDecoder(bytes.NewReader(text))
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var root *Node
	for {
		from := dec.InputOffset()
		tok, err := dec.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			at := dec.InputOffset()
			msg := err.Error()
			var se *xml.SyntaxError
			if errors.As(err, &se) {
				msg = se.Msg
			}
			return nil, &SyntaxError{Offset: at, Msg: msg}
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if root != nil && len(p.open) == 0 {
				return nil, &SyntaxError{Offset: from, Msg: fmt.Sprintf("element %s after the end of the root element", rawName(t.Name))}
			}
			n, err := p.start(t, from, dec.InputOffset())
			if err != nil {
				return nil, err
			}
			if root == nil {
				root = n
			}
		case xml.EndElement:
			if len(p.open) == 0 {
				return nil, &SyntaxError{Offset: from, Msg: fmt.Sprintf("end of element %s that was not opened", rawName(t.Name))}
			}
			top := p.open[len(p.open)-1]
			if top.raw != t.Name {
				return nil, &SyntaxError{Offset: from, Msg: fmt.Sprintf("element %s is closed by </%s>", rawName(top.raw), rawName(t.Name))}
			}
			top.node.endTag, top.node.end = int32(from), int32(dec.InputOffset())
			p.unbind(top.undo)
			p.open = p.open[:len(p.open)-1]
		case xml.CharData:
			if len(p.open) == 0 && len(bytes.TrimSpace(t)) > 0 {
				return nil, &SyntaxError{Offset: from, Msg: "text outside of the root element"}
			}
		case xml.ProcInst:
			if t.Target == "xml" && from != 0 {
				return nil, &SyntaxError{Offset: from, Msg: "XML declaration that is not at the start"}
			}
		case xml.Directive:
			if err := refuseDoctype(t, from); err != nil {
				return nil, err
			}
			if root != nil {
				return nil, &SyntaxError{Offset: from, Msg: "document type after the root element"}
			}
		}
	}
	if len(p.open) > 0 {
		top := p.open[len(p.open)-1]
		return nil, &SyntaxError{Offset: int64(len(text)), Msg: fmt.Sprintf("the document ends inside of element %s", rawName(top.raw))}
	}
	if root == nil {
		return nil, &SyntaxError{Offset: int64(len(text)), Msg: "no root element"}
	}
	return root, nil
}

// refuseDoctype lets a bare <!DOCTYPE name> pass: it defines nothing. All that
// can define or fetch an entity is refused; OVF has no DTD.
func refuseDoctype(t xml.Directive, at int64) error {
	s := string(t)
	switch {
	case strings.Contains(s, "<!ENTITY") || strings.Contains(s, "["):
		return &LimitError{What: Entities, Offset: at}
	case len(strings.Fields(s)) > 2:
		return &LimitError{What: ExternalEntities, Offset: at}
	}
	return nil
}

func (p *parser) start(t xml.StartElement, from, to int64) (*Node, error) {
	if len(p.open) >= p.limits.Depth {
		return nil, &LimitError{What: "depth", Limit: p.limits.Depth, Offset: from}
	}
	if p.count++; p.count > p.limits.Elements {
		return nil, &LimitError{What: "elements", Limit: p.limits.Elements, Offset: from}
	}
	if err := duplicateAttribute(t, from); err != nil {
		return nil, err
	}
	if len(p.slab) == 0 {
		// A slab follows the size of the document: a small one must not cost much.
		p.slab = make([]Node, min(1024, 16+len(p.src.text)/256))
	}
	n := &p.slab[0]
	p.slab = p.slab[1:]
	var parent *Node
	if len(p.open) > 0 {
		parent = p.open[len(p.open)-1].node
		n.scope = parent.scope
	}
	mark := len(p.undo)
	for _, a := range t.Attr {
		var prefix string
		switch {
		case a.Name.Space == "xmlns":
			prefix = a.Name.Local
		case a.Name.Space == "" && a.Name.Local == "xmlns":
		default:
			continue
		}
		was, ok := p.bound[prefix]
		p.undo = append(p.undo, binding{prefix, was, ok})
		p.bound[prefix] = a.Value
		if n.scope == nil || parent != nil && n.scope == parent.scope {
			n.scope = &scope{outer: n.scope, bound: map[string]string{}}
		}
		n.scope.bound[prefix] = a.Value
	}
	n.src, n.start, n.tagEnd = p.src, int32(from), int32(to)
	n.endTag, n.end = n.tagEnd, n.tagEnd
	n.name = p.name(t.Name)
	if parent != nil {
		parent.appendChild(n)
	}
	p.open = append(p.open, openElement{n, t.Name, mark})
	return n, nil
}

func (p *parser) unbind(mark int) {
	for i := len(p.undo) - 1; i >= mark; i-- {
		if b := p.undo[i]; b.was {
			p.bound[b.prefix] = b.space
		} else {
			delete(p.bound, b.prefix)
		}
	}
	p.undo = p.undo[:mark]
}

func (p *parser) name(raw xml.Name) *Name {
	space, ok := p.bound[raw.Space]
	if !ok && raw.Space != "" {
		space = UnboundPrefix + raw.Space
	}
	key := Name{space, raw.Local}
	n := p.names[key]
	if n == nil {
		n = &Name{strings.Clone(space), strings.Clone(raw.Local)}
		p.names[*n] = n
	}
	return n
}

func duplicateAttribute(t xml.StartElement, at int64) error {
	if len(t.Attr) < 2 {
		return nil
	}
	if len(t.Attr) <= 8 {
		for i, a := range t.Attr {
			for _, b := range t.Attr[:i] {
				if a.Name == b.Name {
					return &SyntaxError{Offset: at, Msg: fmt.Sprintf("attribute %s stands twice on element %s", rawName(a.Name), rawName(t.Name))}
				}
			}
		}
		return nil
	}
	seen := make(map[xml.Name]bool, len(t.Attr))
	for _, a := range t.Attr {
		if seen[a.Name] {
			return &SyntaxError{Offset: at, Msg: fmt.Sprintf("attribute %s stands twice on element %s", rawName(a.Name), rawName(t.Name))}
		}
		seen[a.Name] = true
	}
	return nil
}

// scan looks at the bytes before the decoder does, which collects all
// attributes of an element before it shows any, and reads entity definitions.
func (p *parser) scan() error {
	b := p.src.text
	for i := 0; i < len(b); {
		lt := bytes.IndexByte(b[i:], '<')
		if lt < 0 {
			return nil
		}
		i += lt
		switch rest := b[i:]; {
		case bytes.HasPrefix(rest, []byte("<!--")):
			i += skipTo(rest, 4, "-->")
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			i += skipTo(rest, 9, "]]>")
		case bytes.HasPrefix(rest, []byte("<?")):
			i += skipTo(rest, 2, "?>")
		case bytes.HasPrefix(rest, []byte("<!DOCTYPE")):
			end := bytes.IndexAny(rest, "[>")
			if end >= 0 && rest[end] == '[' {
				return &LimitError{What: Entities, Offset: int64(i)}
			}
			i += 9
		default:
			attrs, quote := 0, byte(0)
			j := 1
			for ; j < len(rest); j++ {
				c := rest[j]
				if quote != 0 {
					if c == quote {
						quote = 0
					}
					continue
				}
				if c == '>' || c == '<' {
					break
				}
				if c == '"' || c == '\'' {
					quote = c
				}
				if c == '=' {
					if attrs++; attrs > p.limits.Attributes {
						return &LimitError{What: "attributes", Limit: p.limits.Attributes, Offset: int64(i)}
					}
				}
			}
			i += j
		}
	}
	return nil
}

func skipTo(b []byte, from int, end string) int {
	if n := bytes.Index(b[from:], []byte(end)); n >= 0 {
		return from + n + len(end)
	}
	return len(b)
}

func rawName(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

// NodeBytes is the memory of one Node, for those who reckon with it.
const NodeBytes = int(unsafe.Sizeof(Node{}))

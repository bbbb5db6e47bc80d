package ovf

import (
	"iter"
	"strings"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// Content is a Content element (DSP0243 7.2): a VirtualSystem or a
// VirtualSystemCollection.
type Content struct {
	Element
	Collection bool // VirtualSystemCollection
	ID         string
	// Name is the Name element, empty when absent. See Title.
	Name string
	Info string
}

// Content is the outermost content; not ok where the envelope has none.
func (e *Envelope) Content() (c Content, ok bool) {
	for n := range e.doc.Root().Children() {
		if c, ok := e.content(n); ok {
			return c, true
		}
	}
	return Content{}, false
}

func (e *Envelope) content(n *xmltree.Node) (Content, bool) {
	k := e.kind(n)
	if k != "VirtualSystem" && k != "VirtualSystemCollection" {
		return Content{}, false
	}
	return Content{Element: Element{e, n}, Collection: k == "VirtualSystemCollection",
		ID: e.attrOr(n, "id", ""), Name: e.text(n, "Name"), Info: e.text(n, "Info")}, true
}

// Contents are all content elements, collections before what is in them.
func (e *Envelope) Contents() iter.Seq[Content] {
	return func(yield func(Content) bool) {
		for n := range e.doc.Root().Children() {
			if c, ok := e.content(n); ok && !c.walk(yield) {
				return
			}
		}
	}
}

func (c Content) walk(yield func(Content) bool) bool {
	if !yield(c) {
		return false
	}
	for _, k := range c.Children() {
		if !k.walk(yield) {
			return false
		}
	}
	return true
}

// VirtualSystems are all virtual systems of the package, however deep in
// collections, in document order.
func (e *Envelope) VirtualSystems() []Content {
	var out []Content
	for c := range e.Contents() {
		if !c.Collection {
			out = append(out, c)
		}
	}
	return out
}

// ByID is the content element with that ovf:id.
func (e *Envelope) ByID(id string) (Content, bool) {
	for c := range e.Contents() {
		if c.ID == id {
			return c, true
		}
	}
	return Content{}, false
}

// Children are the contents directly in a collection; none for a virtual system.
func (c Content) Children() []Content {
	if !c.Collection || c.node == nil {
		return nil
	}
	var out []Content
	for n := range c.node.Children() {
		if k, ok := c.env.content(n); ok {
			out = append(out, k)
		}
	}
	return out
}

// Parent is the collection around it; not ok for the outermost content.
func (c Content) Parent() (p Content, ok bool) {
	if c.node == nil || c.node.Parent() == nil {
		return Content{}, false
	}
	return c.env.content(c.node.Parent())
}

// Title is what to call the content: its Name, else its id. oVirt's and
// VirtualBox's habits of naming are covered by these two.
func (c Content) Title() string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}

// Annotation is the text of AnnotationSection (DSP0243 9.4).
func (c Content) Annotation() string {
	if s := c.section("AnnotationSection"); s != nil {
		return c.env.text(s, "Annotation")
	}
	return ""
}

// section is the first section of that kind directly in the content.
func (c Content) section(kind string) *xmltree.Node {
	if c.node == nil {
		return nil
	}
	return c.env.child(c.node, kind)
}

// sections are those directly in the content.
func (c Content) sections(kind string) []*xmltree.Node {
	if c.node == nil {
		return nil
	}
	return c.env.children(c.node, kind)
}

func trimmed(n *xmltree.Node) string { return strings.TrimSpace(n.Text()) }

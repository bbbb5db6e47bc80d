package ovf

import (
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// Bundle is a message bundle (Strings, DSP0243 clause 10): the texts of one locale.
type Bundle struct {
	Element
	Lang    string // xml:lang
	FileRef string // of an external bundle: ovf:id of a File that holds the Strings
	Texts   map[string]string
}

// Bundles of the descriptor. Those with a FileRef have no Texts before they
// are read: see ParseBundle.
func (e *Envelope) Bundles() []Bundle {
	var out []Bundle
	for _, n := range e.children(e.doc.Root(), "Strings") {
		out = append(out, e.bundle(n))
	}
	return out
}

func (e *Envelope) bundle(n *xmltree.Node) Bundle {
	b := Bundle{Element: Element{e, n}, FileRef: e.attrOr(n, "fileRef", ""), Texts: map[string]string{}}
	b.Lang, _ = n.Attr(NSXML, "lang")
	for _, m := range e.children(n, "Msg") {
		if id := e.attrOr(m, "msgid", ""); id != "" {
			b.Texts[id] = trimmed(m)
		}
	}
	return b
}

// ParseBundle reads an external bundle: a document whose root is Strings.
func (e *Envelope) ParseBundle(document []byte) (Bundle, error) {
	doc, err := xmltree.Parse(document, xmltree.Limits{})
	if err != nil {
		return Bundle{}, &DescriptorError{Offset: -1, Message: "the message bundle", Err: err, Clause: "10.2"}
	}
	if e.kind(doc.Root()) != "Strings" {
		return Bundle{}, &DescriptorError{Offset: doc.Root().Offset(), Clause: "10.2",
			Message: fmt.Sprintf("the root of the message bundle is %s, expected Strings", doc.Root().Name().Local)}
	}
	return e.bundle(doc.Root()), nil
}

// Translate is the text of an element of type Msg_Type (Info, Label,
// Description, License …) in a locale: of the bundles, external ones included
// where the caller has read them, the one for the locale, else for its
// language, else the text that stands in the descriptor (10.1).
func (x Element) Translate(locale string, bundles []Bundle) string {
	if x.node == nil {
		return ""
	}
	id := x.env.attrOr(x.node, "msgid", "")
	if id == "" {
		return trimmed(x.node)
	}
	language, _, _ := strings.Cut(locale, "-")
	best, rank := trimmed(x.node), 0
	for _, b := range bundles {
		text, ok := b.Texts[id]
		r := 0
		of, _, _ := strings.Cut(b.Lang, "-")
		switch {
		case !ok:
		case strings.EqualFold(b.Lang, locale):
			r = 3
		case strings.EqualFold(b.Lang, language):
			r = 2
		case strings.EqualFold(of, language):
			r = 1
		}
		if r > rank {
			best, rank = text, r
		}
	}
	return best
}

// Child is the handle of the first child element of that kind, such as Label;
// the zero view when there is none.
func (x Element) Child(kind string) Element {
	if x.node == nil {
		return Element{}
	}
	if n := x.env.child(x.node, kind); n != nil {
		return Element{x.env, n}
	}
	return Element{}
}

package systemtemplate

import (
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// title is Name in the language of the Envelope, else ovf:id.
func (r *reader) title(c ovf.Content) string {
	if c.Name != "" {
		return c.Name
	}
	if s := r.localized(c.Node(), "Name"); s != "" {
		return s
	}
	return c.ID
}

func (r *reader) annotation(c ovf.Content) string {
	if s := c.Annotation(); s != "" {
		return s
	}
	for _, sec := range c.Sections() {
		if sec.Kind == "AnnotationSection" {
			return r.localized(sec.Node(), "Annotation")
		}
	}
	return ""
}

// localized is the message of an element that has only ovf:msgid, in the
// Envelope's own language (DSP0243 10).
func (r *reader) localized(n *xmltree.Node, child string) string {
	for k := range n.Children() {
		if k.Name().Local != child {
			continue
		}
		id, ok := k.Attr(r.env.Namespace(), "msgid")
		if !ok {
			return ""
		}
		text := ""
		for s := range r.env.Tree().Root().Children() {
			if s.Name().Local != "Strings" {
				continue
			}
			if lang, ok := s.Attr(ovf.NSXML, "lang"); ok && !strings.EqualFold(lang, r.env.Lang()) {
				continue
			}
			for msg := range s.Children() {
				if v, _ := msg.Attr(r.env.Namespace(), "msgid"); v == id {
					text = strings.TrimSpace(msg.Text())
				}
			}
		}
		return text
	}
	return ""
}

// Package ovf reads, edits and writes OVF descriptors (DSP0243 1.0, 1.1, 2.x)
// without loss: what is not modelled survives, and what is not edited is
// written back byte for byte.
//
// An Envelope is a document; its methods give typed views of the document,
// made when asked for. A view is a snapshot with a handle to its element: the
// edits that it offers change the document, and views made before an edit keep
// the values they had. A Package is an envelope with its files.
//
// OVF 0.9 (VMware's draft, Section and Content with xsi:type) and oVirt's
// dialect (namespace envelope/1/, or the standard's with oVirt's own words) are
// read through the same views.
package ovf

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// Namespaces of descriptors (DSP0243 6, Table 1) and of what they hold.
const (
	NS1     = "http://schemas.dmtf.org/ovf/envelope/1"
	NS2     = "http://schemas.dmtf.org/ovf/envelope/2"
	NS09    = "http://www.vmware.com/schema/ovf/1/envelope"
	NSOVirt = "http://schemas.dmtf.org/ovf/envelope/1/"
	NSRASD  = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
	NSVSSD  = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
	NSSASD  = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_StorageAllocationSettingData"
	NSEPASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_EthernetPortAllocationSettingData"
	NSVMW   = "http://www.vmware.com/schema/ovf"
	NSVBox  = "http://www.virtualbox.org/ovf/machine"
	// NSXenCenter is declared by what XenCenter exports.
	NSXenCenter = "http://schemas.citrix.com/ovf/envelope/1"
	NSXSI       = "http://www.w3.org/2001/XMLSchema-instance"
	NSXML       = "http://www.w3.org/XML/1998/namespace"
	NSBootC     = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_BootConfigSetting"
	NSBootS     = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_BootSourceSetting"
	NSOVFEnv    = "http://schemas.dmtf.org/ovf/environment/1"
	// NSCimimove holds our own extension attributes (clause 7.3).
	NSCimimove = "https://github.com/cimimove/cimimove/ns/1"
)

// Version is the version of the standard that a descriptor follows.
type Version string

const (
	V09    Version = "0.9"   // VMware's draft
	V1     Version = "1"     // envelope/1: 1.0 and 1.1 share the namespace
	V2     Version = "2"     // envelope/2
	VOVirt Version = "ovirt" // oVirt's dialect of 0.9
)

var versions = map[string]Version{NS1: V1, NS2: V2, NS09: V09, NSOVirt: VOVirt}

// Envelope is a descriptor (DSP0243 7). Reading it from several goroutines is
// safe while nobody edits it.
type Envelope struct {
	doc     *xmltree.Document
	ns      string
	version Version
	ovirt   bool

	mu    sync.Mutex
	index *index // made on demand, thrown away by edits
}

// Parse reads a descriptor within xmltree.DefaultLimits. It keeps b. The error
// is a *DescriptorError: the document is not well-formed, defines entities,
// exceeds a limit (then it wraps an *xmltree.LimitError), or is no descriptor
// of a known version.
func Parse(b []byte) (*Envelope, error) { return ParseLimited(b, xmltree.Limits{}) }

// ParseLimited is Parse with other limits.
func ParseLimited(b []byte, limits xmltree.Limits) (*Envelope, error) {
	doc, err := xmltree.Parse(b, limits)
	if err != nil {
		de := &DescriptorError{Offset: -1, Message: "the descriptor", Err: err, Clause: "6"}
		var se *xmltree.SyntaxError
		var le *xmltree.LimitError
		switch {
		case errors.As(err, &se):
			de.Offset, de.Message = se.Offset, "the descriptor is not well-formed XML"
			if strings.Contains(se.Msg, "unsupported version") {
				de.Message = "the descriptor is in a version of XML that is not read"
			}
		case errors.As(err, &le):
			de.Offset, de.Message, de.Clause = le.Offset, "the descriptor exceeds a limit", ""
		}
		return nil, de
	}
	name := doc.Root().Name()
	if name.Local != "Envelope" {
		return nil, &DescriptorError{Offset: doc.Root().Offset(), Clause: "7",
			Message: fmt.Sprintf("the root element is %s (namespace %q), not Envelope: this is no OVF descriptor", name.Local, name.Space)}
	}
	if name.Space == "" {
		// Some of VMware's tools lost the default namespace; the prefix that the
		// attributes use still tells.
		name.Space, _ = doc.Root().ResolvePrefix("ovf")
	}
	v, ok := versions[name.Space]
	if !ok {
		return nil, &DescriptorError{Offset: doc.Root().Offset(), Clause: "6",
			Message: fmt.Sprintf("the namespace of Envelope is %q, expected %s, %s, OVF 0.9's %s or oVirt's %s", name.Space, NS1, NS2, NS09, NSOVirt)}
	}
	e := &Envelope{doc: doc, ns: name.Space, version: v}
	e.readOVirt()
	return e, nil
}

// Bytes is the descriptor: the bytes that were parsed when nothing was edited,
// else those bytes with the edits in their places.
func (e *Envelope) Bytes() []byte { return e.doc.Bytes() }

// Edited says whether anything was changed since Parse.
func (e *Envelope) Edited() bool { return e.doc.Edits() > 0 }

// Clone is an independent copy with the edits made so far.
func (e *Envelope) Clone() *Envelope {
	c, err := Parse(e.Bytes())
	if err != nil {
		// The tree writes only well-formed documents, within the limits it was read with.
		panic("ovf: an edited descriptor does not parse: " + err.Error())
	}
	return c
}

// Version is the version of the standard, told by the namespace.
func (e *Envelope) Version() Version { return e.version }

// OVirt says that the descriptor is oVirt's: in its dialect (VOVirt), or in a
// version of the standard, as the engine's archives are, with oVirt's own words.
func (e *Envelope) OVirt() bool { return e.ovirt }

// Namespace is the namespace of the descriptor.
func (e *Envelope) Namespace() string { return e.ns }

// Lang is xml:lang of the Envelope (clause 10), en-US when there is none.
func (e *Envelope) Lang() string {
	if v, ok := e.doc.Root().Attr(NSXML, "lang"); ok && v != "" {
		return v
	}
	return "en-US"
}

// Tree is the document below the views, for what they do not cover.
func (e *Envelope) Tree() *xmltree.Document { return e.doc }

// Element is the handle of the Envelope element itself.
func (e *Envelope) Element() Element { return Element{e, e.doc.Root()} }

// kind is the name of an OVF element, that of xsi:type for the generic Section
// and Content elements of 0.9, and "" for elements of other namespaces.
func (e *Envelope) kind(n *xmltree.Node) string {
	name := n.Name()
	if !e.ours(name.Space) {
		return ""
	}
	if name.Local == "Section" || name.Local == "Content" {
		if t, ok := n.Attr(NSXSI, "type"); ok {
			prefix, local, found := strings.Cut(strings.TrimSpace(t), ":")
			if !found {
				prefix, local = "", t
			}
			if space, _ := n.ResolvePrefix(prefix); prefix == "" || e.ours(space) {
				return strings.TrimSuffix(local, "_Type")
			}
			return ""
		}
	}
	return name.Local
}

// ours: producers leave local elements unqualified (0.9, oVirt), or mix the
// namespaces of two versions.
func (e *Envelope) ours(space string) bool {
	if space == e.ns || space == "" {
		return true
	}
	_, ok := versions[space]
	return ok || space == xmltree.UnboundPrefix+"ovf"
}

// children are the child elements of that kind.
func (e *Envelope) children(n *xmltree.Node, kind string) []*xmltree.Node {
	var out []*xmltree.Node
	for c := range n.Children() {
		if e.kind(c) == kind {
			out = append(out, c)
		}
	}
	return out
}

func (e *Envelope) child(n *xmltree.Node, kind string) *xmltree.Node {
	for c := range n.Children() {
		if e.kind(c) == kind {
			return c
		}
	}
	return nil
}

// text is the trimmed text of the first child of that kind.
func (e *Envelope) text(n *xmltree.Node, kind string) string {
	if c := e.child(n, kind); c != nil {
		return strings.TrimSpace(c.Text())
	}
	return ""
}

// attr is an attribute of the OVF namespace; a producer that forgot the prefix
// is understood.
func (e *Envelope) attr(n *xmltree.Node, local string) (string, bool) {
	if v, ok := n.Attr(e.ns, local); ok {
		return v, true
	}
	var best string
	found := false
	for a := range n.Attrs() {
		if a.Name.Local == local && e.ours(a.Name.Space) && (!found || a.Name.Space != "") {
			best, found = a.Value, true
		}
	}
	return best, found
}

func (e *Envelope) attrOr(n *xmltree.Node, local, or string) string {
	if v, ok := e.attr(n, local); ok {
		return strings.TrimSpace(v)
	}
	return or
}

func (e *Envelope) boolAttr(n *xmltree.Node, local string, or bool) bool {
	if b, ok := parseBool(e.attrOr(n, local, "")); ok {
		return b
	}
	return or
}

// parseBool reads xs:boolean, in any case: oVirt writes True.
func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// Element is the handle that every view has: where it stands in the document.
type Element struct {
	env  *Envelope
	node *xmltree.Node
}

// Node is the element in the document tree; nil for the zero view.
func (x Element) Node() *xmltree.Node { return x.node }

// Envelope is the descriptor that the view is of.
func (x Element) Envelope() *Envelope { return x.env }

// Exists is false for the zero view.
func (x Element) Exists() bool { return x.node != nil }

// Same says whether two views are of the same element.
func (x Element) Same(y Element) bool { return x.node == y.node }

// Line is where the element stands in the original document, 0 for an inserted one.
func (x Element) Line() int {
	if x.node == nil {
		return 0
	}
	return x.node.Line()
}

func (x Element) fail(object, clause, format string, args ...any) error {
	de := &DescriptorError{Object: object, Clause: clause, Offset: -1, Message: fmt.Sprintf(format, args...)}
	if x.node != nil {
		de.Offset = x.node.Offset()
	}
	return de
}

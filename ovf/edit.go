package ovf

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// SetAttr sets an attribute of the OVF namespace on the element of a view, in
// the place and spelling where the descriptor has it.
func (x Element) SetAttr(local, value string) {
	for a := range x.node.Attrs() {
		if a.Name.Local == local && x.env.ours(a.Name.Space) {
			x.node.SetAttr(a.Name.Space, local, value, "ovf")
			return
		}
	}
	x.node.SetAttr(x.env.ns, local, value, "ovf")
}

// RemoveAttr removes an attribute of the OVF namespace.
func (x Element) RemoveAttr(local string) {
	for a := range x.node.Attrs() {
		if a.Name.Local == local && x.env.ours(a.Name.Space) {
			x.node.RemoveAttr(a.Name.Space, local)
			return
		}
	}
}

// Remove takes the element out of the descriptor.
func (x Element) Remove() { x.node.Remove() }

// AddFile adds an entry at the end of References.
func (e *Envelope) AddFile(f File) error {
	refs := e.child(e.doc.Root(), "References")
	if refs == nil {
		return &DescriptorError{Object: "file " + f.ID, Offset: -1, Clause: "7.1", Message: "the envelope has no References"}
	}
	w := draftWriter{ns: e.localSpace(refs)}
	frag := w.el("File")
	w.ns = e.ns
	_, err := refs.Append(w.set(frag, "id", f.ID, "href", f.Href, "size", number(f.Size, -1), "compression", f.Compression, "chunkSize", number(f.ChunkSize, 0)))
	return err
}

// SetHref changes where the file lies in the package.
func (f File) SetHref(href string) { f.SetAttr("href", href) }

// SetSize declares the stored size in bytes.
func (f File) SetSize(size int64) { f.SetAttr("size", strconv.FormatInt(size, 10)) }

// SetCompression declares how the stored bytes are compressed; "" for not at all.
func (f File) SetCompression(c string) {
	if c == "" {
		f.RemoveAttr("compression")
		return
	}
	f.SetAttr("compression", c)
}

// SetChunkSize declares chunks of that many bytes; 0 for one piece.
func (f File) SetChunkSize(n int64) {
	if n == 0 {
		f.RemoveAttr("chunkSize")
		return
	}
	f.SetAttr("chunkSize", strconv.FormatInt(n, 10))
}

// SetCapacity declares the capacity in bytes. It keeps the unit of the
// descriptor where that holds the value exactly.
func (d Disk) SetCapacity(bytes int64) {
	if u, err := ParseUnits(orElse(d.AllocationUnits, "byte")); err == nil && u.Base == "byte" {
		if one, err := u.Times("1"); err == nil && one > 0 && bytes%one == 0 {
			d.SetAttr("capacity", strconv.FormatInt(bytes/one, 10))
			return
		}
	}
	d.SetAttr("capacity", strconv.FormatInt(bytes, 10))
	d.SetAttr("capacityAllocationUnits", "byte")
}

// SetFormat declares the format of the stored disk, a URI (DSP0243 5.2).
// oVirt's word for it, which would say otherwise, is removed.
func (d Disk) SetFormat(uri string) {
	d.SetAttr("format", uri)
	d.RemoveAttr("volume-format")
}

// SetPopulatedSize declares the used size in bytes; negative removes it.
func (d Disk) SetPopulatedSize(bytes int64) {
	if bytes < 0 {
		d.RemoveAttr("populatedSize")
		return
	}
	d.SetAttr("populatedSize", strconv.FormatInt(bytes, 10))
}

// SetFileRef says which File holds the disk's content; "" makes it blank.
func (d Disk) SetFileRef(id string) {
	if id == "" {
		d.RemoveAttr("fileRef")
		return
	}
	d.SetAttr("fileRef", id)
}

// SetName sets the Name element of the content.
func (c Content) SetName(name string) error {
	if n := c.env.child(c.node, "Name"); n != nil {
		n.SetText(name)
		return nil
	}
	f := xmltree.Fragment{Name: xmltree.Name{Space: c.env.localSpace(c.node), Local: "Name"}, Text: name}
	// Name follows Info in the schema.
	info := c.env.child(c.node, "Info")
	_, err := c.node.Insert(f, info, true)
	return err
}

// localSpace is the namespace that child elements of n are written in:
// drafts leave them unqualified.
func (e *Envelope) localSpace(n *xmltree.Node) string {
	for c := range n.Children() {
		if e.kind(c) != "" {
			return c.Name().Space
		}
	}
	if e.version == V09 || e.version == VOVirt {
		return ""
	}
	return e.ns
}

// SetField sets the text of a child element of an Item by its CIM name, in the
// Item that supplies the value; "" removes it.
func (it Item) SetField(name, value string) error {
	if n := it.FieldNode(name); n != nil {
		if value == "" {
			n.Remove()
			return nil
		}
		n.SetText(value)
		return nil
	}
	if value == "" {
		return nil
	}
	space := NSRASD
	var before *xmltree.Node
	for _, n := range it.fields {
		space = n.Name().Space
		// The schemas have the fields in the order of the alphabet.
		if before == nil && n.Parent() == it.node && n.Name().Local > name {
			before = n
		}
	}
	f := xmltree.Fragment{Name: xmltree.Name{Space: space, Local: name}, Hint: "rasd", Text: value}
	if before != nil {
		_, err := it.node.Insert(f, before, false)
		return err
	}
	var last *xmltree.Node
	for _, n := range it.fields {
		if n.Parent() == it.node {
			last = n
		}
	}
	_, err := it.node.Insert(f, last, last != nil)
	return err
}

// Settle makes the document's Item what a combined Item is: its first one gets
// the child elements that others supply (DSP0243 9.8). Those others stay.
func (it Item) Settle() error {
	done := map[xmltree.Name]bool{}
	for _, group := range [][]*xmltree.Node{it.fields, it.others} {
		for _, n := range group {
			if n.Parent() == it.node || done[n.Name()] {
				continue
			}
			done[n.Name()] = true
			if err := it.adopt(n.Name(), group); err != nil {
				return err
			}
		}
	}
	return nil
}

// adopt copies the child elements of one name from other Items, in the place of
// those that the Item has of that name.
func (it Item) adopt(name xmltree.Name, group []*xmltree.Node) error {
	field := IsItemField(name.Space)
	var old, others []*xmltree.Node
	var before *xmltree.Node
	for k := range it.node.Children() {
		like := k.Name() == name || field && IsItemField(k.Name().Space) && sameField(k.Name().Local, name.Local)
		if like && !slices.Contains(group, k) {
			old = append(old, k)
		}
		// The schemas have the fields in the order of the alphabet, vendors' elements behind.
		if before == nil && field && !like && (k.Name().Local > name.Local || !IsItemField(k.Name().Space)) {
			before = k
		}
	}
	for _, n := range group {
		if n.Name() == name && n.Parent() != it.node {
			others = append(others, n)
		}
	}
	if len(old) == 1 && len(others) == 1 && slices.Equal(slices.Collect(old[0].Attrs()), slices.Collect(others[0].Attrs())) {
		old[0].SetText(others[0].Text())
		return nil
	}
	for _, n := range others {
		if _, err := it.node.Insert(fragmentOf(n), before, false); err != nil {
			return err
		}
	}
	for _, k := range old {
		k.Remove()
	}
	return nil
}

// RenameNetwork renames a network in NetworkSection and in every Connection to it.
func (e *Envelope) RenameNetwork(from, to string) error {
	if from == to {
		return nil
	}
	n, ok := e.Network(from)
	if !ok {
		return &DescriptorError{Object: "network " + from, Offset: -1, Message: "the package has no such network", Clause: "9.2"}
	}
	if _, taken := e.Network(to); taken {
		return &DescriptorError{Object: "network " + to, Offset: -1, Message: "the package has a network of that name already", Clause: "9.2"}
	}
	n.SetAttr("name", to)
	e.Reconnect(map[string]string{from: to})
	return nil
}

// Reconnect changes the networks that adapters name in Connection, all at once.
func (e *Envelope) Reconnect(to map[string]string) {
	for _, vs := range e.VirtualSystems() {
		for _, h := range vs.Hardware() {
			for _, it := range h.Items() {
				for _, f := range it.FieldNodes("Connection") {
					if name, ok := to[trimmed(f)]; ok {
						f.SetText(name)
					}
				}
			}
		}
	}
}

// WrapInCollection puts the outermost virtual system into a new collection
// with that id and name, so that others can stand beside it.
func (e *Envelope) WrapInCollection(id, name string) (Content, error) {
	c, ok := e.Content()
	if !ok || c.Collection {
		return Content{}, fmt.Errorf("the content of the package is no single virtual system")
	}
	if e.version == V09 || e.version == VOVirt {
		return Content{}, fmt.Errorf("a collection cannot be made in a descriptor of version %s", e.version)
	}
	w := draftWriter{ns: e.ns}
	f, err := w.content(DraftContent{Collection: true, ID: id, Name: name}, 1)
	if err != nil {
		return Content{}, err
	}
	n, err := c.node.Wrap(f)
	if err != nil {
		return Content{}, err
	}
	out, _ := e.content(n)
	return out, nil
}

// SetAttributes keeps values that OVF has no place for as JSON in the
// attribute cimimove:attributes of the element (7.3 lets every element have
// foreign attributes); an empty map removes it.
func (x Element) SetAttributes(values map[string]string) error {
	if len(values) == 0 {
		x.node.RemoveAttr(NSCimimove, "attributes")
		return nil
	}
	b, err := json.Marshal(values)
	if err != nil {
		return err
	}
	x.node.SetAttr(NSCimimove, "attributes", string(b), "cimimove")
	return nil
}

// Attributes reads what SetAttributes wrote; nil when there is nothing, or
// nothing readable.
func (x Element) Attributes() map[string]string {
	s, ok := x.node.Attr(NSCimimove, "attributes")
	if !ok {
		return nil
	}
	var out map[string]string
	if json.Unmarshal([]byte(s), &out) != nil {
		return nil
	}
	return out
}

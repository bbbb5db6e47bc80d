package systemtemplate

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

// group are the Items that make up one effective Item under the configuration,
// in order (DSP0243 9.8).
func (e *editor) group(h ovf.VirtualHardware, it ovf.Item) []ovf.Item {
	var out []ovf.Item
	for _, x := range h.Items() {
		if !x.Marker() && x.In(e.config) && (x.Same(it.Element) || it.Combines(x)) {
			out = append(out, x)
		}
	}
	return out
}

// setField gives an effective Item the values of one field; none removes it.
// The edit goes to the Item that supplies the value, and to one of the
// configuration's own where that Item serves other configurations too.
func (e *editor) setField(h ovf.VirtualHardware, it ovf.Item, name string, values ...string) error {
	group := e.group(h, it)
	if len(group) == 0 {
		return refuse("item "+it.InstanceID, "DSP0243 8.3", "is not there any more")
	}
	target := group[0]
	for _, x := range group {
		if len(x.Fields(name)) > 0 || x.FieldNode(name) != nil {
			target = x
		}
	}
	if e.servesOthers(target.Configuration) {
		own := -1
		for i, x := range group {
			if !e.servesOthers(x.Configuration) {
				own = i
			}
		}
		if own < 0 || own < slices.IndexFunc(group, func(x ovf.Item) bool { return x.Same(target.Element) }) {
			return e.override(group[len(group)-1], it, name, values)
		}
		target = group[own]
		if len(values) == 0 {
			values = []string{""} // an empty field hides that of the Item before
		}
	}
	return setFieldOf(target.Node(), spaceOf(target), name, values)
}

// override adds an Item of the configuration alone behind the group.
func (e *editor) override(last, it ovf.Item, name string, values []string) error {
	space := spaceOf(last)
	if len(values) == 0 {
		values = []string{""}
	}
	fields := []field{{"ElementName", or(it.ElementName, it.InstanceID)}, {"InstanceID", it.InstanceID}, {"ResourceType", strconv.Itoa(it.ResourceType)}}
	for _, v := range values {
		fields = append(fields, field{name, v})
	}
	f := e.item(space, fields)
	f.Name.Local = last.Kind
	f.Attrs = e.attrs("configuration", e.config)
	_, err := last.Node().Parent().Insert(f, last.Node(), true)
	return err
}

// spaceOf is the namespace of an Item's fields.
func spaceOf(it ovf.Item) string {
	for _, f := range []string{"InstanceID", "ResourceType", "ElementName", "Caption"} {
		if n := it.FieldNode(f); n != nil {
			return n.Name().Space
		}
	}
	switch it.Kind {
	case "StorageItem":
		return ovf.NSSASD
	case "EthernetPortItem":
		return ovf.NSEPASD
	}
	return ovf.NSRASD
}

type field struct{ name, value string }

// item makes an Item with its fields in the schema's order, which is that of
// the alphabet.
func (e *editor) item(space string, fields []field) xmltree.Fragment {
	slices.SortStableFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	f := xmltree.Fragment{Name: e.name("Item")}
	for _, x := range fields {
		f.Children = append(f.Children, fieldFragment(space, x.name, x.value))
	}
	return f
}

func fieldFragment(space, name, value string) xmltree.Fragment {
	return xmltree.Fragment{Name: xmltree.Name{Space: space, Local: name}, Hint: hintOf(space), Text: value}
}

func hintOf(space string) string {
	switch space {
	case ovf.NSSASD:
		return "sasd"
	case ovf.NSEPASD:
		return "epasd"
	}
	return "rasd"
}

// setFieldOf edits the child elements of one Item.
func setFieldOf(n *xmltree.Node, space, name string, values []string) error {
	var have []*xmltree.Node
	var before *xmltree.Node // the first field that the schema puts behind
	var last *xmltree.Node
	for c := range n.Children() {
		if c.Name().Space != space {
			continue
		}
		switch {
		case strings.EqualFold(c.Name().Local, name):
			have = append(have, c)
		case c.Name().Local > name && before == nil:
			before = c
		}
		last = c
	}
	for i, v := range values {
		if i < len(have) {
			have[i].SetText(v)
			continue
		}
		ref, after := before, false
		switch {
		case i > 0 && len(have) > 0:
			ref, after = have[len(have)-1], true
		case before == nil:
			ref, after = last, true
		}
		c, err := n.Insert(fieldFragment(space, name, v), ref, after)
		if err != nil {
			return err
		}
		have = append(have, c)
	}
	for i := len(values); i < len(have); i++ {
		have[i].Remove()
	}
	return nil
}

// removeItem takes an effective Item, with its range markers, out of the
// configuration: Items that serve others are left to those.
func (e *editor) removeItem(h ovf.VirtualHardware, it ovf.Item) {
	for _, x := range h.Items() {
		if !x.Same(it.Element) && !it.Combines(x) || !x.In(e.config) {
			continue
		}
		if !e.servesOthers(x.Configuration) {
			x.Node().Remove()
			continue
		}
		var rest []string
		of := x.Configuration
		if len(of) == 0 {
			for _, c := range e.env.Configurations() {
				of = append(of, c.ID)
			}
		}
		for _, c := range of {
			if c != e.config {
				rest = append(rest, c)
			}
		}
		e.setAttr(x.Node(), "configuration", strings.Join(rest, " "))
	}
}

// addItem appends an Item to the hardware and gives its InstanceID.
func (e *editor) addItem(h ovf.VirtualHardware, fields []field, a Attributes) (string, error) {
	id := nextInstance(h)
	f := e.item(ovf.NSRASD, append(fields, field{"InstanceID", id}))
	if len(e.env.Configurations()) > 1 {
		f.Attrs = e.attrs("configuration", e.config)
	}
	var ref *xmltree.Node
	for c := range h.Node().Children() {
		switch c.Name().Local {
		case "Info", "System", "Item":
			ref = c
		}
	}
	n, err := h.Node().Insert(f, ref, ref != nil)
	if err != nil {
		return "", err
	}
	return id, e.attributes(n, a)
}

func (e *editor) attributes(n *xmltree.Node, a Attributes) error {
	if attributesEmpty(a) {
		return nil
	}
	return e.setAttributes(n, n.Name().Local, func(all *Attributes) { *all = a })
}

func nextInstance(h ovf.VirtualHardware) string {
	top := 0
	for _, it := range h.Items() {
		if v, err := strconv.Atoi(it.InstanceID); err == nil && v > top && v < 1<<30 {
			top = v
		}
	}
	return strconv.Itoa(top + 1)
}

func marshal(a Attributes) (string, error) {
	b, err := json.Marshal(a)
	return string(b), err
}

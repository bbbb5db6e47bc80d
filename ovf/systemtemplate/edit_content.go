package systemtemplate

import (
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

func (e *editor) setName(n *xmltree.Node, name string) {
	var info *xmltree.Node
	for c := range n.Children() {
		switch c.Name().Local {
		case "Name":
			// The text is for all languages now.
			c.RemoveAttr(e.ns, "msgid")
			c.SetText(name)
			return
		case "Info":
			info = c
		}
	}
	_, _ = n.Insert(e.text("Name", name), info, true)
}

func (e *editor) setAnnotation(c ovf.Content, text string) {
	for _, s := range c.Sections() {
		if s.Kind != "AnnotationSection" {
			continue
		}
		if text == "" {
			s.Node().Remove()
			return
		}
		for k := range s.Node().Children() {
			if k.Name().Local == "Annotation" {
				k.RemoveAttr(e.ns, "msgid")
				k.SetText(text)
				return
			}
		}
		_, _ = s.Node().Append(e.text("Annotation", text))
		return
	}
	if text != "" {
		e.insertSection(c.Node(), e.annotation(text))
	}
}

func (e *editor) annotation(text string) xmltree.Fragment {
	return xmltree.Fragment{Name: e.name("AnnotationSection"), Children: []xmltree.Fragment{
		e.text("Info", "A human-readable annotation"), e.text("Annotation", text)}}
}

// insertSection puts a section behind the others, before the contents of a collection.
func (e *editor) insertSection(n *xmltree.Node, f xmltree.Fragment) *xmltree.Node {
	for c := range n.Children() {
		if l := c.Name().Local; l == "VirtualSystem" || l == "VirtualSystemCollection" || l == "Content" {
			out, _ := n.Insert(f, c, false)
			return out
		}
	}
	out, _ := n.Append(f)
	return out
}

// startup edits the Item of a child in the collection's StartupSection.
func (e *editor) startup(c ovf.Content, id string, b, w *Startup) error {
	if w == nil || b != nil && *b == *w || c.Node() == nil {
		return nil
	}
	for _, it := range c.Startup() {
		if it.ID == id {
			e.setStartup(it.Node(), b, w)
			return nil
		}
	}
	item := xmltree.Fragment{Name: e.name("Item"), Attrs: e.attrs("id", id, "order", "0")}
	for _, s := range c.Sections() {
		if s.Kind == "StartupSection" {
			n, err := s.Node().Append(item)
			if err == nil {
				e.setStartup(n, nil, w)
			}
			return err
		}
	}
	s := e.insertSection(c.Node(), xmltree.Fragment{Name: e.name("StartupSection"),
		Children: []xmltree.Fragment{e.text("Info", "The order of start and stop"), item}})
	for n := range s.Children() {
		if n.Name().Local == "Item" {
			e.setStartup(n, nil, w)
		}
	}
	return nil
}

func (e *editor) setStartup(n *xmltree.Node, b, w *Startup) {
	if b == nil {
		b = &Startup{StartAction: "powerOn", StopAction: "powerOff"}
	}
	num := func(name string, old, v int) {
		if old != v {
			e.setAttr(n, name, strconv.Itoa(v))
		}
	}
	num("order", b.Order, w.Order)
	num("startDelay", b.StartDelay, w.StartDelay)
	num("stopDelay", b.StopDelay, w.StopDelay)
	if v := or(w.StartAction, "powerOn"); v != or(b.StartAction, "powerOn") {
		e.setAttr(n, "startAction", v)
	}
	if v := or(w.StopAction, "powerOff"); v != or(b.StopAction, "powerOff") {
		e.setAttr(n, "stopAction", v)
	}
	if w.WaitingForGuest != b.WaitingForGuest {
		e.setAttr(n, "waitingForGuest", strconv.FormatBool(w.WaitingForGuest))
	}
}

// quantity edits ScaleOutSection (OVF 2) in the collection around.
func (e *editor) quantity(c ovf.Content, id string, b, w int, object string) error {
	if b == w {
		return nil
	}
	n, ok := c.ScaleOut(id, e.config)
	if !ok && e.env.Version() != ovf.V2 {
		return refuse(object, "DSP0263 5.13.4", "a quantity of %d needs OVF 2", w)
	}
	if ok {
		of := strings.Fields(attrOf(n.Node(), e.ns, "configuration"))
		if e.servesOthers(of) {
			_, err := n.Node().Parent().Insert(e.instanceCount(w, e.config), n.Node(), true)
			return err
		}
		e.setAttr(n.Node(), "default", strconv.Itoa(w))
		if n.Maximum >= 0 && w > n.Maximum {
			e.setAttr(n.Node(), "maximum", strconv.Itoa(w))
		}
		if n.Minimum > w {
			e.setAttr(n.Node(), "minimum", strconv.Itoa(w))
		}
		return nil
	}
	e.insertSection(c.Node(), e.scaleOut(id, w))
	return nil
}

func (e *editor) scaleOut(id string, n int) xmltree.Fragment {
	return xmltree.Fragment{Name: e.name("ScaleOutSection"), Attrs: e.attrs("id", id), Children: []xmltree.Fragment{
		e.text("Info", "The number of instances"), e.instanceCount(n, "")}}
}

func (e *editor) instanceCount(n int, config string) xmltree.Fragment {
	a := e.attrs("default", strconv.Itoa(n))
	if config != "" {
		a = append(a, e.attrs("configuration", config)...)
	}
	return xmltree.Fragment{Name: e.name("InstanceCount"), Attrs: a}
}

func attrOf(n *xmltree.Node, space, local string) string {
	v, _ := n.Attr(space, local)
	return v
}

// servesOthers: what names these configurations counts in others than ours too.
func (e *editor) servesOthers(of []string) bool {
	if e.config == "" {
		return false
	}
	if len(of) == 0 {
		return len(e.env.Configurations()) > 1
	}
	for _, c := range of {
		if c != e.config {
			return true
		}
	}
	return false
}

// removeContent takes a child out of its collection, with what names it there.
func (e *editor) removeContent(c, child ovf.Content) {
	for _, it := range c.Startup() {
		if it.ID == child.ID {
			it.Node().Remove()
		}
	}
	for _, s := range c.Sections() {
		if s.Kind == "ScaleOutSection" && attrOf(s.Node(), e.ns, "id") == child.ID {
			s.Node().Remove()
		}
	}
	child.Node().Remove()
}

// properties edits values of properties.
func (e *editor) properties(c ovf.Content, base, want []Property, object string) error {
	by := map[string]Property{}
	for _, p := range base {
		by[p.Key] = p
	}
	for _, w := range want {
		b, ok := by[w.Key]
		switch {
		case ok && b.Value == w.Value:
		case !ok:
			return refuse(object, "DSP0243 9.5", "the package has no property %s", w.Key)
		case !b.UserConfigurable:
			return refuse(object, "DSP0243 9.5", "property %s is not user-configurable", w.Key)
		default:
			e.setProperty(b.Element, w.Value)
		}
	}
	return nil
}

// setProperty puts a value where the one of the configuration comes from.
func (e *editor) setProperty(p ovf.Property, value string) {
	for _, v := range p.Values {
		for _, id := range strings.Fields(v.Configuration) {
			if e.config == "" || id != e.config {
				continue
			}
			if !e.servesOthers(strings.Fields(v.Configuration)) {
				e.setAttr(v.Node(), "value", value)
				return
			}
			// The first Value of a configuration counts.
			_, _ = p.Node().Insert(e.propertyValue(value), v.Node(), false)
			return
		}
	}
	if !e.servesOthers(nil) {
		e.setAttr(p.Node(), "value", value)
		return
	}
	_, _ = p.Node().Append(e.propertyValue(value))
}

func (e *editor) propertyValue(value string) xmltree.Fragment {
	return xmltree.Fragment{Name: e.name("Value"), Attrs: e.attrs("value", value, "configuration", e.config)}
}

// userData edits the user-data property, or adds one with transport iso.
func (e *editor) userData(b, w *Machine) {
	if b.UserData == w.UserData {
		return
	}
	for _, p := range b.Properties {
		if p.Element.Key == userDataKey && !p.Password {
			e.setProperty(p.Element, w.UserData)
			return
		}
	}
	e.addProperties(b.Content, []Property{{Key: userDataKey, Value: w.UserData}})
	if n := b.Hardware.Node(); n != nil && len(b.Hardware.Transport) == 0 {
		e.setAttr(n, "transport", "iso")
	}
}

// addProperties adds properties to the ProductSection without class and
// instance: the pair is unique among those of one content element (9.5).
func (e *editor) addProperties(c ovf.Content, props []Property) {
	for _, s := range c.ProductSections() {
		if s.Class != "" || s.Instance != "" {
			continue
		}
		var last *xmltree.Node
		for _, p := range s.Properties {
			last = p.Node()
		}
		for _, p := range props {
			last, _ = s.Node().Insert(e.property(p), last, last != nil)
		}
		return
	}
	e.insertSection(c.Node(), e.productSection(props))
}

func (e *editor) productSection(props []Property) xmltree.Fragment {
	f := xmltree.Fragment{Name: e.name("ProductSection"), Children: []xmltree.Fragment{e.text("Info", "Data for the guest")}}
	for _, p := range props {
		f.Children = append(f.Children, e.property(p))
	}
	return f
}

func (e *editor) property(p Property) xmltree.Fragment {
	return xmltree.Fragment{Name: e.name("Property"), Attrs: e.attrs("key", p.Key, "type", "string", "userConfigurable", "true", "value", p.Value)}
}
